"""The commands that read runs: leaderboard, report, compare, data."""

from unittest.mock import Mock

import pytest
from PIL import Image

from disentangle_bench.benchmarks.__main__ import main
from disentangle_bench.evaluation.leaderboard.report import page
from tests.evaluation.leaderboard.conftest import make_record, write_run


@pytest.fixture
def runs(tmp_path):
    for seed in range(4):
        for method, top1 in (("simclr", 0.90), ("vicreg", 0.80)):
            cost = {"forward_passes": 1000 if method == "simclr" else 2000}
            write_run(
                tmp_path / "runs", make_record(method=method, seed=seed, top1=top1 + 0.002 * seed, cost=cost), False
            )
    return str(tmp_path / "runs")


def test_leaderboard_in_every_format(runs, capsys):
    for form, word in (("md", "| simclr"), ("csv", "digits,simclr"), ("latex", r"\toprule"), ("html", "<table")):
        assert main(["leaderboard", "--out", runs, "--format", form]) == 0
        assert word in capsys.readouterr().out


def test_a_leaderboard_of_several_versions_says_so(runs, tmp_path, capsys):
    assert main(["leaderboard", "--out", runs]) == 0
    assert capsys.readouterr().err == ""
    other = make_record(method="byol")
    other["provenance"]["versions"]["torch"] = "1.0"
    write_run(tmp_path / "runs", other, False)
    assert main(["leaderboard", "--out", runs]) == 0
    assert capsys.readouterr().err == "bench: digits: torch differ between runs: 1.0, 2.14.1\n"


def test_leaderboard_in_a_file_says_where_it_comes_from(runs, tmp_path, capsys):
    file = tmp_path / "board.md"
    assert main(["leaderboard", "--out", runs, "--to", str(file)]) == 0
    assert capsys.readouterr().out == f"{file}\n"
    first = file.read_text()
    for word in ("- Command: `", "- Commit: ", "- Hardware: ", "- Versions: "):
        assert word in first
    assert main(["leaderboard", "--out", runs, "--to", str(file)]) == 0
    assert file.read_text() == first


def test_leaderboard_of_matched_budgets_leaves_the_others_out(runs, capsys):
    assert main(["leaderboard", "--out", runs, "--matched", "forward_passes"]) == 0
    matched = capsys.readouterr().out
    assert main(["leaderboard", "--out", runs]) == 0
    assert "| simclr" in capsys.readouterr().out
    assert "| simclr" not in matched, "no amount of forward passes is common to both methods"


def test_compare_is_a_gate(runs, capsys):
    assert main(["compare", "vicreg", "simclr", "--out", runs]) == 0
    assert main(["compare", "simclr", "vicreg", "--out", runs]) == 3
    assert "WORSE" in capsys.readouterr().out
    assert main(["compare", "simclr", "vicreg", "--out", runs, "--threshold", "0.5"]) == 0
    assert main(["compare", "simclr", "nobody", "--out", runs]) == 2
    assert "no method 'nobody'" in capsys.readouterr().err
    assert main(["compare", runs, "nowhere"]) == 2
    assert f"{runs} is a folder, and the other one isn't" in capsys.readouterr().err


def test_compared_measures_go_by_name_or_title_and_an_unknown_one_is_told(runs, capsys):
    for measures in ("linear", "linear@1"):
        assert main(["compare", "vicreg", "simclr", "--out", runs, "--measures", measures]) == 0
    for sides in (["vicreg", "simclr", "--out", runs], [runs, runs]):
        assert main(["compare", *sides, "--measures", "linear@1,liner"]) == 2
        assert "unknown measure 'liner': did you mean linear" in capsys.readouterr().err


def test_one_run_without_outcomes_is_underpowered(tmp_path, capsys):
    for name, top1 in (("a", 0.9), ("b", 0.2)):
        write_run(tmp_path / name, make_record(top1=top1), False)
    sides = ["compare", str(tmp_path / "a"), str(tmp_path / "b")]
    assert main(sides) == 4
    assert "1 underpowered" in capsys.readouterr().out
    assert main([*sides, "--allow-underpowered"]) == 0


def test_leaderboard_of_chosen_measures_spaces_columns_and_order(runs, capsys):
    chosen = ["--measures", "linear", "--columns", "linear@1,train_seconds", "--sort", "train_seconds"]
    assert main(["leaderboard", "--out", runs, *chosen]) == 0
    told = capsys.readouterr().out
    assert "train s" in told
    assert "peak MB" not in told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sort", "nosuch"], "unknown column 'nosuch'"),
        (["--columns", "linear,nosuch"], "unknown column 'nosuch'"),
        (["--columns", "area"], "unknown column 'area'"),
        (["--spaces", "nosuch"], "unknown space 'nosuch'"),
        (["--measures", "nosuch"], "unknown measure 'nosuch'"),
        (["--measures", ","], "expected names"),
        (["--format", "csv", "--columns", "linear"], "csv holds every score"),
        (["--board", "board", "--measures", "linear"], "--measures is of a table without a board"),
        (["--board", "board", "--transpose"], "--transpose is of a table without a board"),
    ],
)
def test_what_the_records_do_not_have_is_told(runs, capsys, arguments, words):
    assert main(["leaderboard", "--out", str(runs), *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_board_takes_no_strangers_place(runs, tmp_path, capsys):
    mine = tmp_path / "records" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    assert main(["leaderboard", "--out", str(runs), "--board", str(tmp_path)]) == 2
    assert "mine.txt is no record and would go" in capsys.readouterr().err
    assert mine.read_text() == "mine"


def test_a_board_is_written_and_verified(runs, tmp_path, capsys):
    board = str(tmp_path / "board")
    assert main(["leaderboard", "--out", runs, "--board", board]) == 0
    assert main(["verify", board]) == 0
    assert "8 records" in capsys.readouterr().out


def test_a_board_stays_where_no_run_can_take_its_place(runs, tmp_path, capsys):
    board = tmp_path / "board"
    assert main(["leaderboard", "--out", runs, "--board", str(board)]) == 0
    before = sorted(board.rglob("*"))
    assert main(["leaderboard", "--out", runs, "--board", str(board), "--matched", "forward_passes"]) == 2
    assert f"none of the runs in {runs} can stand on it" in capsys.readouterr().err
    assert sorted(board.rglob("*")) == before


def test_a_report_that_fails_is_no_wrong_baseline(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(page, "build", Mock(side_effect=ValueError("a mistake in the report")))
    with pytest.raises(ValueError, match="a mistake in the report"):
        main(["report", "--out", runs, "--to", str(tmp_path / "report")])


def test_report_and_its_baseline(runs, tmp_path, capsys):
    to = ["--to", str(tmp_path / "report")]
    assert main(["report", "--out", runs, *to]) == 0
    assert (tmp_path / "report" / "index.html").exists()
    assert main(["report", "--out", runs, *to, "--baseline", "nobody"]) == 2
    assert "--baseline" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["leaderboard", "report"])
def test_no_runs_is_a_wrong_request(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([command, "--out", "nothing"]) == 2
    assert "no runs in nothing, there is no such folder" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    (tmp_path / "empty").mkdir()
    assert main([command, "--out", "empty"]) == 2
    assert "no complete runs under empty" in capsys.readouterr().err


def test_data_show_and_check(tmp_path, capsys):
    picture = tmp_path / "sheet.png"
    assert main(["data", "show", "colored_digits", "--set", "correlation=0.5", "--to", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    views = tmp_path / "views.png"
    assert main(["data", "show", "colored_digits", "--method", "simclr", "--to", str(views)]) == 0
    assert views.read_bytes().startswith(b"\x89PNG")
    assert main(["data", "check", "digits"]) == 0
    assert "1293 train, 144 val, 360 test" in capsys.readouterr().out
    assert main(["data", "check", "digits", "--set", "train_images=120"]) == 0, "fewer than a usual batch"
    assert main(["data", "check", "digits", "--set", "train_images=120", "--set", "data.batch_size=128"]) == 2
    assert "choose a smaller data.batch_size" in capsys.readouterr().err
    Image.new("L", (8, 8)).save(tmp_path / "one.png")
    for name in ("train/a", "train/b", "test/a", "test/b"):
        (tmp_path / "twice" / name).mkdir(parents=True)
        for number in range(10):
            (tmp_path / "twice" / name / f"{number}.png").write_bytes((tmp_path / "one.png").read_bytes())
    assert main(["data", "check", "image_folder", "--set", f"root={tmp_path / 'twice'}"]) == 1, "in two splits"
    assert main(["data", "check", "digit"]) == 2
    assert main(["data", "check", "digits", "--set", "correlation=1"]) == 2
    assert "unknown option 'correlation'" in capsys.readouterr().err
