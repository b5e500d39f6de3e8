"""Bad input: one clear line on standard error, exit code 2, nothing written. And what the command line promises."""

import os
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest

from disentangle_bench.benchmarks import plain_yaml, terminal
from disentangle_bench.benchmarks.__main__ import main, make_parser
from disentangle_bench.benchmarks.commands.carry_out import next_steps
from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.launchers.progress import ProgressBars
from disentangle_bench.benchmarks.planning import suite
from disentangle_bench.benchmarks.planning.plan import plan

BAD = {
    "unknown method": (["--method", "simcrl"], "unknown method 'simcrl': did you mean simclr"),
    "unknown data set": (["--dataset", "digit"], "unknown dataset 'digit': did you mean digits"),
    "unknown suite": (["--suite", "quik"], "unknown suite 'quik': did you mean quick?"),
    "misspelt option": (["--metod", "simclr"], "unknown option --metod: did you mean --method"),
    "wrong type": (["--devices", "two"], "--devices: expected a whole number, got 'two'"),
    "wrong type of a setting": (["--set", "method.lr=fast"], ": lr: expected a number >0, got 'fast'"),
    "an empty argument": ([""], "unknown option ''"),
    "a module as a backbone": (
        ["--set", "method.backbone=os.path"],
        "backbone os.path: expected a class or a function, got a module",
    ),
    "misspelt setting": (["--set", "method.temprature=1"], "unknown option 'temprature': did you mean temperature"),
    "setting of nobody": (["--set", "simcrl.lr=1"], "unknown addressee 'simcrl': did you mean simclr"),
    "setting without value": (["--set", "method.lr"], "expected KEY=VALUE"),
    "temperature 0": (["--set", "method.temperature=0"], "temperature"),
    "negative temperature": (["--set", "simclr.temperature=-1"], "temperature"),
    "batch larger than the data": (["--set", "data.batch_size=5000"], "larger than the 1293 training images"),
    "negative epochs": (
        ["--set", "budget.epochs=-3"],
        "budget.epochs: expected a whole number >0 and <=1000000, got -3",
    ),
    "two kinds of budget": (["--set", "budget.hours=3"], "unknown key 'hours': known are epochs, minutes, steps"),
    "seeds": (["--seeds", "0,one"], "--seeds must be whole numbers or ranges, such as 0,1,2 or 0-2; got '0,one'"),
    "seeds downwards": (["--seeds", "4-0"], "--seeds 4-0: a range goes from the smaller number to the larger one"),
    "too many seeds": (["--seeds", "0-4000000000"], "4,000,000,001 seeds, at most 1,000 may be"),
    "half a range": (["--seeds", "0-"], "or ranges, such as 0,1,2 or 0-2; got '0-'"),
    "negative seed": (["--seeds", "-1"], "seeds"),
    "missing data": (["--dataset", "image_folder", "--set", "image_folder.root=/nowhere"], "/nowhere"),
    "missing suite file": (["--suite", "no/such.yaml"], "no/such.yaml: No such file"),
    "devices": (["--devices", "999"], "--devices 999: this machine has"),
    "no devices": (["--devices", "0"], "at least 1"),
    "several machines": (["--nodes", "2"], "--nodes needs a cluster: --launcher slurm"),
    "misspelt resource": (["--set", "resources.partion=a"], "unknown key 'partion': did you mean partition?"),
    "no time": (
        ["--set", "resources.timeout_min=0"],
        "timeout_min: expected a whole number >0 and <=1000000, got 0",
    ),
    "resource of a wrong kind": (
        ["--set", "resources.mem_gb=much"],
        "resources.mem_gb: expected a number >0 and <=1000000, got 'much'",
    ),
    "a GPU of a machine without": (["--set", "resources.gpus_per_node=1"], "resources.gpus_per_node is of a cluster's"),
    "no resources": (["--set", "resources=3"], "--set resources=3: expected"),
    "own method that isn't there": (["--method", "no_file.MyMethod"], "no_file.MyMethod"),
    "results under a file": (["--out", "/dev/null/runs"], "/dev/null can't be written to"),
}


GOOD = "datasets: [digits]\nmeasures: [linear@1]\nbudget: {epochs: 1}"
BOMB = "a0: &a0 [x]\n" + "\n".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9))


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_writes_nothing(case, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments, message = BAD[case]
    if "--out" not in arguments:
        arguments = [*arguments, "--out", "runs"]
    try:
        code = main(["run", *arguments])
    except SystemExit as stop:  # the parser's way
        code = stop.code
    error = capsys.readouterr().err
    assert code == 2
    assert message in error
    assert len(error.splitlines()) == 1, error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("datasets: [digits]\nmeasures: [linear@1]\nbudget: {epochs: 1}\nepocs: 3", "unknown key 'epocs'"),
        ("datasets: [", "not readable as YAML"),
        ("- digits", "a mapping was expected"),
        ("datasets: [digits]\nmeasures: [linear@9]\nbudget: {epochs: 1}", "unknown measure 'linear@9'"),
        (
            "datasets: [digits]\nmeasures: [linear@1]\nbudget: {epochs: 1}\nseeds: [a]",
            "seeds: expected a list, each entry a whole number >=0 and <4294967296, got ['a']",
        ),
        (
            "datasets: digits\nmeasures: [linear@1]\nbudget: {epochs: 1}",
            "expected a list, each entry text, got 'digits'",
        ),
        ("datasets: [digits]\nmeasures: [linear@1]", "budget: exactly one of"),
        ("datasets: [digits]\nmeasures: [linear@1]\nbudget: 3", "budget must hold epochs, minutes, steps, got 3"),
        ("datasets: [digits]\nmeasures: [linear@1]\nbudget: {epochs: 1, steps: 2}", "exactly one of epochs, steps"),
        ("datasets: [digits]\nmeasures: [linear@1]\nbudget: {minutes: .nan}", "budget.minutes: expected a number"),
        ("datasets: [digits]\nmeasures: [linear@1]\nbudget: {minutes: .inf}", "budget.minutes: expected a number"),
        ("datasets: [digits]\nmeasures: [linear@1]\nbudget: {epochs: true}", "budget.epochs: expected a whole number"),
        (f"{GOOD}\nthreads: 0", "threads: expected a whole number >0 and <=4096, got 0"),
        (f"{GOOD}\nprecision: fp8", "precision: expected one of auto, fp32, bf16, got 'fp8': did you mean fp32?"),
        (f"{GOOD}\nsettings: {{data: 3}}", "settings: expected a mapping"),
        (f"{GOOD}\nseeds: []", "`seeds` must not be empty"),
        (f"{GOOD}\nseeds: [0]\nseeds: [1]", "seeds stands twice"),
        (f"{GOOD}\nsettings: {{simclr: {{lr: 1, lr: 2}}}}", "lr stands twice"),
        (f"{GOOD}\nsettings: {{simclr: {{lr: .inf}}}}", "suite mine: settings is NaN or infinite"),
        (BOMB, "its aliases unfold into too much"),
        ("a: &a [*a]", "its aliases unfold into too much"),
        ("[" * 5000, "not readable as YAML"),
        ("!!python/object/apply:os.system [true]", "not readable as YAML"),
    ],
)
def test_bad_suite_file(content, message, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(content)
    with pytest.raises(RequestError) as caught:
        plan(suite.read(str(file)))
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


WRONG = {
    "run --jobs two": "--jobs: expected a whole number, got 'two'",
    "run --launcher slrm": "--launcher: expected one of local, slurm, got 'slrm': did you mean slurm?",
    "run --nodes": "--nodes: a value is missing",
    "run --set": "--set: a value is missing",
    "run --dry-run=maybe": "--dry-run: expected true or false, got 'maybe'",
    "run simclr": "'simclr' is not understood: options begin with --, `bench COMMAND --help` lists them",
    "run --metod simclr": "unknown option --metod: did you mean --method or --set or --tuned?",
    "run --set augmentation.flip=1": "settings: unknown addressee 'augmentation': expected data, method, or the "
    "name of a method or data set, as in method.augmentation",
    "runn": "unknown command 'runn': did you mean run or tune?",
    "tune --suite quick": "tune: --to must be given",
    "tune --jobs x": "--jobs: expected a whole number, got 'x'",
    "list": "list: what (methods, datasets, suites, measures, claims, backbones, views, keys, metrics) must be given",
    "status --dry-run": "unknown option --dry-run: `bench COMMAND --help` lists those that there are",
    "cancel --out": "--out: a value is missing",
    "leaderboard --matched epoch": "--matched: expected one of epochs, images, forward_passes, minutes, got 'epoch': "
    "did you mean epochs?",
    "report --logger csv": "--logger: expected one of none, wandb, got 'csv'",
    "data": "data: action (show, check) and name must be given",
    "data shw digits": "action: expected one of show, check, got 'shw': did you mean show?",
    "claims --run=maybe": "--run: expected true or false, got 'maybe'",
    "clean --weigths": "unknown option --weigths: did you mean --weights or --quiet?",
    "replay": "replay: folder must be given",
    "stress --widths a": "--widths: expected a list, each entry a whole number, got 'a'",
}


@pytest.mark.parametrize("words", WRONG)
def test_what_the_parser_refuses_is_told_in_the_words_that_were_typed(words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        code = main(shlex.split(words))
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    assert capsys.readouterr().err == f"bench: {WRONG[words]}\n"


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("method.augmentation.flp=1", "method simclr: unknown option of augmentation 'flp': did you mean flip?"),
        ("method.augmentation.flip=2", "method simclr: augmentation.flip: expected a number >=0 and <=1, got 2"),
        ("method.augmentation.zoom=2", "augmentation.zoom: expected a list of 2 values, each a number, got 2"),
        ("method.optimizer=adan", "optimizer: expected one of sgd, adam, adamw, lars, got 'adan': did you mean adam"),
        ("data.batch_size=abc", "data set digits: batch_size: expected a whole number >0, got 'abc'"),
    ],
)
def test_a_wrong_setting_is_told_with_what_would_be_right(assignment, message):
    with pytest.raises(RequestError) as told:
        plan(suite.choose("smoke", "simclr", "digits", assignments=[assignment]))
    assert message in str(told.value)


def test_a_data_set_that_is_not_there_is_named_once_and_then_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("DISENTANGLE_BENCH_DATA", str(tmp_path))
    with pytest.raises(RequestError, match=rf"^data set pacs: not in {tmp_path}/pacs; get pacs from "):
        plan(suite.choose("smoke", "random_init", "pacs"))


def test_a_suite_is_a_regular_file_of_reasonable_size(tmp_path):
    pipe, large, folder = (tmp_path / f"{name}.yaml" for name in ("pipe", "large", "folder"))
    os.mkfifo(pipe)
    large.write_text(GOOD + "#" * plain_yaml.LARGEST_FILE)
    folder.mkdir()
    for path, message in ((pipe, "not a regular file"), (large, "more than"), (folder, "not a regular file")):
        with pytest.raises(RequestError, match=message):
            suite.read(str(path))


def test_suites_of_the_package_and_aliases_of_a_reasonable_size_are_read(tmp_path):
    assert {suite.read(name).name for name in suite.names()} == set(suite.names())
    file = tmp_path / "mine.yaml"
    file.write_text(
        f"{GOOD}\nsettings:\n  data: &usual {{batch_size: 64}}\n  digits:\n    <<: *usual\n    val_fraction: 0.2\n"
    )
    assert suite.read(str(file)).settings["digits"] == {"batch_size": 64, "val_fraction": 0.2}


def test_checkpoint_of_another_configuration(cell, tmp_path, capsys):
    """A folder that holds somebody else's checkpoint is left as it is."""
    arguments = ["--suite", "smoke", "--method", "simclr", "--dataset", "digits", "--out", str(tmp_path)]
    assert main(["run", *arguments, "--dry-run"]) == 0
    folder = Path(capsys.readouterr().out.split()[5]) / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "step=1.ckpt").write_bytes(b"weights")
    (folder / "step=1.json").write_text('{"cell": "0123456789abcdef", "sha256": ""}')
    before = sorted(tmp_path.rglob("*"))
    assert main(["run", *arguments]) == 2
    assert "belongs to another configuration (0123456789abcdef" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_dry_run_writes_nothing(tmp_path, capsys):
    assert main(["run", "--suite", "smoke", "--out", str(tmp_path / "runs"), "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "not started colored_digits/simclr seed 0" in printed
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


def test_a_suites_file_without_its_ending_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(GOOD)
    assert main(["run", "--suite", "mine", "--dry-run"]) == 2
    assert capsys.readouterr().err.endswith("a file is named with its ending, --suite mine.yaml\n")


def test_eval_judges_an_encoder_of_a_run(tmp_path, capsys):
    out = ["--out", str(tmp_path)]
    tiny = ["--suite", "smoke", "--measures", "linear"]
    run = ["run", "--method", "simclr,random_init", "--dataset", "digits", "--set", "budget.steps=2", "--seeds", "0"]
    assert main([*run, *tiny, *out]) == 0
    trained, untrained = (next(tmp_path.glob(f"digits/{m}/*/encoder.safetensors")) for m in ("simclr", "random_init"))
    assert main(["eval", "--encoder", str(trained), "--dataset", "colored_digits", *tiny, *out]) == 0
    assert "simclr (digits)" in capsys.readouterr().out
    assert main(["eval", "--encoder", str(untrained), "--dataset", "digits", *out]) == 2
    assert "has not been trained" in capsys.readouterr().err
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
        ("merge", "folders of runs, as given to `bench run --out`, or boards.", "default: all"),
        ("eval", "usage: bench eval [--config CONFIG]", "type: "),
    ],
)
def test_help_says_options_as_they_are_written(command, said, not_said, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert said in told
    assert not_said not in told


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


def test_what_people_do_next_names_their_folder():
    told = next_steps(Path("my runs"))
    assert "bench report --out 'my runs' " in told
    assert "--out" not in next_steps(Path("results/runs"))
    for line in told.splitlines():  # and each of it can be done
        make_parser().parse_args(shlex.split(line.partition("bench ")[2], comments=True))


WRONG_AT_ONCE = [
    ["run", "--suite", "quik"],
    ["run", "--method", "simcrl"],
    ["run", "--method", "os.system"],
    ["run", "--dataset", "digit"],
    ["run", "--measures", "line"],
    ["run", "--set", "simcrl.lr=1"],
    ["run", "--sweep", "lr"],
    ["eval", "--encoder", "none.safetensors"],
    ["eval", "--encoder", "other.safetensors"],
    ["eval", "--encoder", "pipe.safetensors"],
    ["eval", "--encoder", "none.ts"],
    ["eval", "--encoder", "timm:resnet18,checkpoint=none.pth"],
    ["eval", "--encoder", "hf:nobody"],
    ["eval", "--encoder", "their:network", "--dataset", "digit"],
    ["eval", "--encoder", "their:network", "--dataset", "digits,mnist"],
    ["eval", "--encoder", "weights.ts"],
    ["eval", "--encoder", "features"],
    ["eval", "--features", "none"],
    ["eval", "--features", "features"],
    ["leaderboard", "--out", "none"],
    ["merge", "none"],
    ["merge", "pipes", "--out", "loop"],
    ["run", "--out", "loop"],
    ["replay", "none"],
    ["stress", "--measures", "line"],
]
"""Requests that are refused without the imports that take seconds; in this order, in one process."""


def test_a_wrong_request_is_refused_before_what_takes_seconds_to_import(tmp_path):
    (tmp_path / "other.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")
    os.mkfifo(tmp_path / "pipe.safetensors")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "weights.ts").touch()
    (tmp_path / "features").mkdir()
    os.mkfifo(tmp_path / "features" / "test.npy")
    code = "import sys\nfrom disentangle_bench.benchmarks.__main__ import main\n"
    code += f"for words in {WRONG_AT_ONCE}:\n    assert main(words) == 2, words\n"
    code += "    if heavy := {'torch', 'lightning', 'timm', 'sklearn'} & sys.modules.keys():\n"
    code += "        sys.exit(f'{words}: {heavy}')"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") == len(WRONG_AT_ONCE)
    assert "pipe.safetensors: not a regular file" in done.stderr
    assert "--encoder features: there is no encoder.safetensors in this folder" in done.stderr
    assert "--features features: test.npy is not a regular file" in done.stderr
