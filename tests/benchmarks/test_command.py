"""What the command line promises: dry runs, settings that arrive, help, lists, and names at the tab key."""

import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest

from disentangle_bench.benchmarks import terminal
from disentangle_bench.benchmarks.__main__ import main, make_parser
from disentangle_bench.benchmarks.commands.carry_out import next_steps
from disentangle_bench.benchmarks.launchers.progress import ProgressBars
from disentangle_bench.benchmarks.planning import suite
from disentangle_bench.benchmarks.planning.plan import plan
from disentangle_bench.benchmarks.runs.folder import Progress


def test_dry_run_writes_nothing(tmp_path, capsys):
    assert main(["run", "--suite", "smoke", "--out", str(tmp_path / "runs"), "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "not started  colored_digits/simclr seed 0 " in printed
    assert not (tmp_path / "runs").exists()


def test_settings_reach_the_methods_that_have_them(tmp_path):
    given = ["method.temperature=0.3", "supervised.lr=0.5", "data.batch_size=64"]
    cells = plan(suite.choose("smoke", "simclr,supervised", None, None, given))
    options = {cell.method: cell.options for cell in cells}
    assert options["simclr"]["temperature"] == 0.3
    assert "temperature" not in options["supervised"]
    assert (options["simclr"]["lr"], options["supervised"]["lr"]) == (0.002, 0.5)
    assert {cell.data["batch_size"] for cell in cells} == {64}


@pytest.mark.parametrize(("text", "seeds"), [("0,1,2", [0, 1, 2]), ("0-4", [0, 1, 2, 3, 4]), ("7, 1-2,2", [7, 1, 2])])
def test_seeds_are_numbers_and_ranges(text, seeds):
    assert suite.choose("smoke", seeds=text).seeds == seeds


def test_help_needs_neither_torch_nor_lightning():
    """What makes `bench --help` answer in a fraction of a second."""
    code = "import sys; from disentangle_bench.benchmarks.__main__ import make_parser; make_parser().format_help(); "
    code += "print(sorted({'torch', 'lightning', 'pandas', 'sklearn', 'numpy'} & sys.modules.keys()))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_print_config_can_be_read_back(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["run", "--suite", "smoke", "--seeds", "3", "--print_config"])
    assert stop.value.code == 0
    file = tmp_path / "request.yaml"
    file.write_text(capsys.readouterr().out)
    assert main(["run", "--config", str(file), "--dry-run", "--out", str(tmp_path / "runs")]) == 0
    assert "simclr seed 3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("methods: [pixels]", "unknown option 'methods': did you mean method"),
        ("dry-run: true", "unknown option 'dry-run': did you mean dry_run"),
        ("seeds: 0", 'seeds: expected text, in quotes: seeds: "0"'),
        ("method: [simclr, pixels]", 'method: expected text, in quotes: method: "simclr,pixels"'),
        ("", "a mapping was expected, OPTION: VALUE"),
    ],
)
def test_a_config_is_refused_in_the_words_of_its_file(content, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(content)
    assert main(["run", "--config", "mine.yaml", "--dry-run"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"bench: --config mine.yaml: {told}")


def test_eval_judges_an_encoder_of_a_run(tmp_path, capsys):
    out = ["--out", str(tmp_path)]
    tiny = ["--suite", "smoke", "--measures", "linear"]
    run = ["run", "--method", "simclr,random_init", "--dataset", "digits", "--set", "budget.steps=2", "--seeds", "0"]
    assert main([*run, *tiny, *out]) == 0
    trained, untrained = (next(tmp_path.glob(f"digits/{m}/*/encoder.safetensors")) for m in ("simclr", "random_init"))
    capsys.readouterr()
    assert main(["eval", "--encoder", str(trained), "--dataset", "colored_digits", *tiny, *out]) == 0
    told = capsys.readouterr()
    assert "simclr (digits)" in told.out
    assert f"bench report --out {tmp_path}" in told.err
    assert main(["eval", "--encoder", str(untrained), "--dataset", "digits", *out]) == 2
    assert "has not been trained" in capsys.readouterr().err
    assert main(["eval", "--encoder", str(trained), "--untrained", "--dataset", "digits", *out]) == 2
    assert "it was trained for 2 steps, leave out --untrained" in capsys.readouterr().err
    assert main(["eval", "--encoder", str(tmp_path / "none.safetensors"), "--dataset", "digits", *out]) == 2
    assert main(["eval", "--encoder", "timm:resnet1", "--dataset", "digits", *out]) == 2


def test_bench_alone_prints_help_and_its_words(capsys):
    assert main([]) == 0
    told = " ".join(capsys.readouterr().out.split())
    for word in ("usage: bench", "a cell is one method", "A space is one of", "The role of a target", "A rank set is"):
        assert word in told


@pytest.mark.parametrize(
    ("command", "said", "not_said"),
    [
        ("run", "--dry-run only list what would be done, and how long it takes", "{true,false}"),
        ("run", "name of a suite (see `bench list suites`), or a YAML file. (default: quick)", "default: null"),
        ("", "commands: run Train and judge every missing cell of a suite", "Available subcommands"),
        ("", "status Say how every cell of a folder fares cancel", "running, queued, failed"),
        ("merge", "folders of runs, as given to `bench run --out`, or boards.", "default: all"),
        ("eval", "usage: bench eval [--config CONFIG]", "type: "),
    ],
)
def test_help_says_options_as_they_are_written(command, said, not_said, capsys):
    with pytest.raises(SystemExit):
        main([*filter(None, [command]), "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert said in told
    assert not_said not in told


def test_what_the_machine_offers_fits_the_terminal_and_advice_stands_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("DISENTANGLE_BENCH_DATA", str(tmp_path))
    assert main(["doctor"]) == 0
    told = capsys.readouterr().out
    assert max(len(line) for line in told.splitlines() if str(tmp_path) not in line) <= 80
    words = " ".join(told.split())
    assert "included colored_digits, digits, sprites" in words
    assert "shapes3d, smallnorb" in words[words.index("not here") :]
    assert words.count("`bench list datasets NAME` says where") == 1


def test_lists_fit_the_terminal(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["list", "metrics"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 100
    assert main(["list", "metrics", "leakage"]) == 0
    told = capsys.readouterr().out
    assert "scored on test" in told
    assert "better: lower; range: 0 .. 1; chance: 0" in told


@pytest.mark.parametrize(
    ("arguments", "begins"),
    [(["--version"], f"bench {version('disentangle-bench')}\n"), (["--print-completion", "shtab-bash"], "#")],
)
def test_questions_that_are_answered_at_once(arguments, begins, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith(begins)


def test_the_tab_key_offers_names(tmp_path):
    """As bash asks for them, from the script alone: no Python runs when the key is pressed."""
    script = make_parser().get_completion_script("shtab-bash")
    lines = {
        "bench run --method random_": "random_init",
        "bench run --method simclr,vicr": "simclr,vicreg",
        "bench run --dataset colored_d": "colored_digits",
        "bench eval --suite paper/i": "paper/ip_irm",
        "bench leaderboard --measures linear,leak": "linear,leakage",
        "bench data show spr": "sprites",
        "bench list methods byo": "byol",
        "bench claims ip_i": "ip_irm",
        "bench report --out there": "therefore",
        "bench leaderboard --format lat": "latex",
    }
    (tmp_path / "therefore").mkdir()
    ask = 'COMP_WORDS=({0}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _shtab_bench; echo "${{COMPREPLY[*]}}"'
    commands = [script, *(ask.format(line) for line in lines)]
    told = subprocess.run(["bash"], input="\n".join(commands), capture_output=True, text=True, cwd=tmp_path)
    assert dict(zip(lines, told.stdout.splitlines(), strict=True)) == lines
    for shell in ("zsh", "fish"):
        assert "colored_digits" in make_parser().get_completion_script(f"shtab-{shell}")


def test_the_script_for_the_tab_key_does_without_torch():
    code = """if True:
        import sys
        from disentangle_bench.benchmarks.completion import names
        assert names() and "torch" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("verbosity", "said"),
    [("QUIET", []), ("NORMAL", ["done a"]), ("VERBOSE", ["started a (log: x/log.txt)", "done a"])],
)
def test_verbosity_decides_what_is_said_of_cells(verbosity, said, monkeypatch, capsys):
    monkeypatch.setattr(terminal, "verbosity", terminal.Verbosity[verbosity])
    bars, cell = ProgressBars(1, 0, 1), SimpleNamespace(title="a")
    bars.started(cell, Path("x/log.txt"))
    bars.finished(cell, None, 3.0)
    bars.close()
    assert [line.removesuffix(" in 3 s") for line in capsys.readouterr().err.splitlines() if line[0] in "ds"] == said


@pytest.mark.parametrize(("term", "moved"), [("xterm", True), ("dumb", False)])
def test_a_terminal_that_cannot_move_the_cursor_gets_lines_alone(term, moved, monkeypatch, capsys):
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    bars, cell = ProgressBars(1, 0, 1), SimpleNamespace(title="a")
    bars.show(0, cell, Progress("train", 3, 10))
    bars.finished(cell, None, 3.0)
    bars.close()
    told = capsys.readouterr().err
    assert "done a in 3 s\n" in told
    assert ("\x1b" in told, "\r" in told, terminal.shape()["colour"]) == (moved, moved, moved)


def test_what_people_do_next_names_their_folder():
    told = next_steps(Path("my runs"))
    assert "  bench report --out 'my runs'\n" in told
    assert "--out" not in next_steps(Path("results/runs"))
    assert max(map(len, told.splitlines())) < 80
    for line in told.splitlines()[1:]:  # and each of it can be done
        if not line.startswith("  #"):
            make_parser().parse_args(shlex.split(line.removeprefix("  bench ")))
