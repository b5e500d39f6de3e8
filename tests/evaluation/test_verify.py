"""A board is what its records and outcomes give, and what was edited by hand is named."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from disentangle_bench.benchmarks.__main__ import main
from disentangle_bench.evaluation.metrics.clustering import cluster_scores
from disentangle_bench.evaluation.outcomes import FILE as OUTCOMES
from disentangle_bench.evaluation.outcomes import Measured, Outcome, Outcomes, write_outcomes
from disentangle_bench.evaluation.records import CODE, FILE, digest_of_file, find_records, read_record, seal
from disentangle_bench.evaluation.verify import export_board, verify
from disentangle_bench.json_files import write_json
from tests.evaluation.leaderboard.conftest import make_record, right_or_wrong, write_judged


@pytest.fixture
def runs(tmp_path):
    for method in ("simclr", "vicreg"):
        for seed, right in enumerate(right_or_wrong((0.9, 0.91, 0.89))):
            path = write_judged(tmp_path / "runs", make_record(method=method, seed=seed), right)
            (path.parent / "encoder.safetensors").write_bytes(b"weights")
    return tmp_path / "runs"


@pytest.fixture
def board(runs, tmp_path):
    export_board(find_records(runs)[0], tmp_path / "board")
    return tmp_path / "board"


def in_order(board):
    """Paths of the records, by method and seed."""
    return sorted(board.rglob(FILE), key=lambda path: (path.parts[-3], read_record(path)["cell"]["seed"]))


def edit(path, old, new):
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def test_a_board_holds_records_outcomes_and_table_and_nothing_else(board):
    files = [path.relative_to(board) for path in board.rglob("*") if path.is_file()]
    assert sorted({path.name for path in files}) == ["leaderboard.md", "outcomes.npz", "result.json"]
    assert {path.parts[:3] for path in files if len(path.parts) > 1} == {
        ("records", "digits", "simclr"),
        ("records", "digits", "vicreg"),
    }
    report = verify(board)
    assert report.findings == []
    assert (len(report.found), report.recomputed, report.without) == (6, 6, 6)
    assert "all as recorded" in report.text()


def test_the_table_is_the_same_from_anywhere_and_each_time(board, runs, tmp_path):
    board.rename(tmp_path / "elsewhere")
    assert verify(tmp_path / "elsewhere").findings == []
    again = export_board(find_records(runs)[0], tmp_path / "again")
    assert again.read_bytes() == (tmp_path / "elsewhere" / "leaderboard.md").read_bytes()


def test_an_export_replaces_what_was_there(board, runs):
    found, _ = find_records(runs)
    export_board({path: r for path, r in found.items() if r["cell"]["method"] == "simclr"}, board)
    assert {path.parts[-3] for path in board.rglob(FILE)} == {"simclr"}
    assert verify(board).findings == []


def test_one_digit_changed_by_hand_is_named(board, capsys):
    path = in_order(board)[0]
    edit(path, '"train_seconds": 1', '"train_seconds": 2')
    assert main(["verify", str(board)]) == 1
    said = capsys.readouterr().out
    digests = f"its digest is recorded as {json.loads(path.read_text())['digest'][:16]}..., its content gives "
    assert f"{path}: not as it was sealed: edited by hand: {digests}" in said
    assert "Next: put both files back as they were (from where the board came, or `git checkout`), or make" in said
    assert "or make the run anew\n" in said, "its command may be what was edited"
    shown = (
        r"leaderboard\.md: not the table that the records give: line \d+, simclr, train s: it shows '11', recomputed '"
    )
    assert re.search(shown, said)


def test_a_table_of_which_a_figure_was_changed_is_made_anew_by_the_command_that_is_told(board, capsys):
    table = board / "leaderboard.md"
    good = table.read_text()
    table.write_text(good.replace("90.0 ±", "99.0 ±", 1))
    assert main(["verify", str(board)]) == 1
    said = capsys.readouterr().out
    assert "simclr, linear@1 top1 % ↑: it shows '**99.0 ± " in said
    assert "', recomputed '**90.0 ± " in said
    command = said.partition("`bench ")[2].partition("`")[0].split()
    assert main(command) == 0
    assert table.read_text() == good
    assert verify(board).findings == []
    table.write_text(good + "more\n")
    assert "is 'more', recomputed ''" in verify(board).text()
    table.unlink()
    assert "leaderboard.md: not the table that the records give: it is missing. Next: " in verify(board).text()


def test_a_figure_that_its_outcomes_do_not_give_is_named_though_the_record_is_sealed_anew(board):
    path = in_order(board)[0]
    record = json.loads(path.read_text())
    record["metrics"][0]["scores"]["top1"] += 1e-8  # of right or wrong more than rounding
    write_json(path, seal(record, path.with_name(OUTCOMES)))
    (finding, *_) = verify(board).findings
    wrong = record["metrics"][0]["scores"]["top1"]
    assert f"{path}: linear@1 features class top1 is recorded as {wrong!r}, its outcomes give 0.9" in finding
    assert "Next: put both files back" in finding


def test_code_that_a_record_was_not_made_with_is_named(board):
    first, second, *_ = in_order(board)
    record = json.loads(second.read_text())
    record["provenance"]["own_code"] = "00ff" * 16
    write_json(second, seal(record, second.with_name(OUTCOMES)))
    first.with_name(CODE).write_text("class Mine: ...\n")
    added, missing = (line for line in verify(board).findings if "not the code that the record was made with" in line)
    assert added.startswith(f"{first.with_name(CODE)}: ")
    assert "records SHA-256 none, the file has " in added
    assert missing.startswith(f"{second.with_name(CODE)}: ")
    assert "the file is missing" in missing


def test_other_outcomes_a_missing_record_and_another_table_are_found(board):
    paths = in_order(board)
    paths[0].with_name(OUTCOMES).write_bytes(paths[-1].with_name(OUTCOMES).read_bytes()[:-9])
    (board / "leaderboard.md").write_text("| simclr | 100.0 |")
    paths[1].write_text("{")
    text = verify(board).text()
    assert f"not the outcomes that the record was made with: {paths[0]} records SHA-256 " in text
    assert "the file has " in text
    assert "no readable outcomes" in text
    assert all("Next: " in line for line in text.splitlines()[:-1])
    assert "not readable as JSON" in text
    assert "not the table" in text


def test_outcomes_of_another_run_are_a_finding_and_not_one_a_figure(board):
    paths = in_order(board)
    for path, other in zip(paths, (paths[-1], *paths[1:-1], paths[0]), strict=True):
        if path != other:
            path.with_name("swapped.npz").write_bytes(other.with_name(OUTCOMES).read_bytes())
    for path in (paths[0], paths[-1]):
        path.with_name("swapped.npz").replace(path.with_name(OUTCOMES))
    first, _, *rest = verify(board).findings
    assert ": 1 of its figures come out otherwise, the first: linear@1 features class top1 is recorded as 0." in first
    assert not [line for line in rest if "is recorded as" in line]


def test_a_run_that_is_there_twice_is_told_to_go(board):
    first = in_order(board)[0].parent
    shutil.copytree(first, first.with_name("zzz"))
    (finding,) = verify(board).findings
    assert "a second record of simclr on digits, seed 0; " in finding
    assert finding.endswith("counts. Next: remove one of the two folders")


def test_a_folder_with_the_record_of_another_run_is_named(board):
    first = in_order(board)[0].parent
    first.rename(first.with_name("moved"))
    (finding,) = verify(board).findings
    assert finding.startswith(f"{first.with_name('moved') / FILE}: its record is that of the run digits/simclr/")


def test_scores_of_clusters_are_recomputed(tmp_path):
    rng = np.random.default_rng(0)
    labels, draws = rng.integers(5, size=200), rng.integers(5, size=(3, 200))
    means = {key: float(np.mean([cluster_scores(labels, d)[key] for d in draws])) for key in ("nmi", "acc")}
    found = Outcomes()
    found.add("kmeans@2", "features", "class", Measured(means, ids={"clusters": draws, "labels": labels}))
    write_outcomes(tmp_path / OUTCOMES, found)
    row = {"measure": "kmeans@2", "target": "class", "scores": means}
    write_json(tmp_path / FILE, seal(make_record(metrics=[row]), tmp_path / OUTCOMES))
    report = verify(tmp_path)
    assert (report.recomputed, report.findings) == (2, [])
    row["scores"] = means | {"nmi": means["nmi"] + 1e-6}
    write_json(tmp_path / FILE, seal(make_record(metrics=[row]), tmp_path / OUTCOMES))
    assert "kmeans@2 features class nmi" in verify(tmp_path).text()
    found.add("kmeans@2", "features", "class", Measured(means, ids={"clusters": draws, "labels": labels[:100]}))
    write_outcomes(tmp_path / OUTCOMES, found)
    write_json(tmp_path / FILE, seal(make_record(metrics=[row]), tmp_path / OUTCOMES))
    assert (
        "kmeans@2 features class: its clusters and labels give no scores (labels has shape" in verify(tmp_path).text()
    )


def test_a_mean_of_numbers_may_differ_by_their_single_precision_alone(tmp_path):
    values = np.random.default_rng(0).random(200)
    found = Outcomes()
    found.add("retrieval@1", "features", "class by color", Measured({}, {"map": Outcome(values)}))
    write_outcomes(tmp_path / OUTCOMES, found)
    for off, findings in ((0.0, 0), (1e-4, 1)):
        row = {"measure": "retrieval@1", "target": "class by color", "scores": {"map": float(values.mean()) + off}}
        write_json(tmp_path / FILE, seal(make_record(metrics=[row]), tmp_path / OUTCOMES))
        report = verify(tmp_path)
        assert (report.recomputed, len(report.findings)) == (1, findings)


def test_names_in_records_choose_no_folder(runs, tmp_path):
    path = next(iter(find_records(runs)[0]))
    record = make_record("../../out", "..", 7)
    record["cell"]["hash"] = "../../x"
    write_json(path, seal(record, path.with_name(OUTCOMES)))
    board = tmp_path / "deep" / "board"
    export_board(find_records(runs)[0], board)
    assert {p.name for p in tmp_path.iterdir()} == {"runs", "deep"}
    assert {p.name for p in (tmp_path / "deep").iterdir()} == {"board"}


def test_what_is_no_folder_is_refused(tmp_path, capsys):
    assert main(["verify", str(tmp_path / "nowhere")]) == 2
    assert "no such folder" in capsys.readouterr().err
    (finding,) = verify(tmp_path).findings
    assert finding.startswith(f"{tmp_path}: no records. Next: name a folder of runs or a board")


@pytest.mark.parametrize("moment", range(1, 4))
def test_an_export_killed_at_any_moment_loses_no_record(board, runs, moment, monkeypatch):
    """Whoever dies between two renames leaves all records, and the same command ends the exchange."""
    before = {path.parts[-2:] for path in board.rglob(FILE)}
    calls, rename = [], Path.rename

    def dies(path, target):
        calls.append(path)
        if len(calls) == moment:
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", dies)
    if moment < 3:
        with pytest.raises(KeyboardInterrupt):
            export_board(find_records(runs)[0], board)
    assert {path.parts[-2:] for path in board.rglob(FILE)} == before
    monkeypatch.undo()
    export_board(find_records(runs)[0], board)
    assert verify(board).findings == []
    assert sorted(path.name for path in board.iterdir()) == ["leaderboard.md", "records"]


def test_outcomes_that_are_gone_are_a_finding(board):
    path = in_order(board)[0]
    path.with_name(OUTCOMES).unlink()
    (finding, *_) = verify(board).findings
    assert finding.startswith(f"{path.with_name(OUTCOMES)}: not the outcomes that the record was made with")
    assert "the file is missing" in finding


def test_a_board_takes_the_code_along(runs, tmp_path):
    path = next(iter(find_records(runs)[0]))
    path.with_name(CODE).write_text("class Mine: ...\n")
    record = json.loads(path.read_text())
    record["provenance"]["own_code"] = digest_of_file(path.with_name(CODE))
    write_json(path, seal(record, path.with_name(OUTCOMES)))
    export_board(find_records(runs)[0], tmp_path / "board")
    assert verify(tmp_path / "board").findings == []
    assert [one.read_text() for one in (tmp_path / "board").rglob(CODE)] == ["class Mine: ...\n"]


@pytest.mark.parametrize("part", ["outcomes", "provenance", "cost", "labels", "config"])
def test_every_part_of_a_record_is_under_its_seal(board, part):
    path = in_order(board)[0]
    record = json.loads(path.read_text())
    changed = {"outcomes": "0" * 64, "labels": ["content"]}
    record[part] = changed.get(part) or record[part] | {"more": 7}
    write_json(path, record)
    assert any(line.startswith(f"{path}: not as it was sealed") for line in verify(board).findings)


def test_figures_of_several_targets_go_by_their_own_outcomes_up_to_single_precision(tmp_path):
    found, rows = Outcomes(), []
    for target, value in (("class by color", 0.7), ("class by place", 0.3)):
        found.add("retrieval@1", "features", target, Measured({}, {"map": Outcome(np.full(200, value))}))
        rows.append({"measure": "retrieval@1", "target": target, "scores": {"map": value}})
    write_outcomes(tmp_path / OUTCOMES, found)
    assert abs(Outcome(np.full(2, 0.7, np.float32)).figure - 0.7) > 1e-9
    write_json(tmp_path / FILE, seal(make_record(metrics=rows), tmp_path / OUTCOMES))
    assert verify(tmp_path).findings == []


def test_outcomes_that_are_no_numbers_give_no_figure(tmp_path):
    found = Outcomes()
    found.add("retrieval@1", "features", "class", Measured({}, {"map": Outcome(np.array([0.5, np.nan]))}))
    write_outcomes(tmp_path / OUTCOMES, found)
    row = {"measure": "retrieval@1", "target": "class", "scores": {"map": 0.5}}
    write_json(tmp_path / FILE, seal(make_record(metrics=[row]), tmp_path / OUTCOMES))
    assert "is recorded as 0.5, its outcomes give nan" in verify(tmp_path).text()


def test_a_record_in_the_folder_of_another_data_set_is_named(board):
    (board / "records" / "digits").rename(board / "records" / "sprites")
    findings = [line for line in verify(board).findings if "its record is that of the run digits/" in line]
    assert len(findings) == 6
