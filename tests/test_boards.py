"""The committed boards are what their records say, to the byte, and the README's excerpt is the board's."""

import re
from pathlib import Path

import pytest

from disentangle_bench.benchmarks.planning.claims import read
from disentangle_bench.evaluation.leaderboard import summary
from disentangle_bench.evaluation.leaderboard.claims import judge, page, verdicts
from disentangle_bench.evaluation.records import find_records
from disentangle_bench.evaluation.verify import RECORDS, TABLE, verify

ROOT = Path(__file__).parent.parent
BOARDS = sorted(path.parent for path in (ROOT / "results").glob(f"*/{TABLE}") if (path.parent / RECORDS).is_dir())
EXCERPT = ("linear@1 top1", "leakage@4", "knn@1")


def test_there_is_a_board():
    assert ROOT / "results" / "quick" in BOARDS


@pytest.mark.parametrize(
    "board",
    [pytest.param(board, marks=[] if board.name == "quick" else pytest.mark.slow) for board in BOARDS],
    ids=lambda board: board.name,
)
def test_a_committed_board_can_be_checked(board):
    report = verify(board)
    assert report.findings == []
    assert report.found
    assert report.recomputed


def test_an_edited_record_is_named(tmp_path):
    """One digit by hand."""
    (path, *_) = sorted((ROOT / "results" / "quick" / RECORDS).rglob("result.json"))
    copy = tmp_path / path.relative_to(ROOT / "results" / "quick" / RECORDS)
    copy.parent.mkdir(parents=True)
    copy.with_name("outcomes.npz").write_bytes(path.with_name("outcomes.npz").read_bytes())
    text = path.read_text()
    at = text.index('"top1": 0.') + len('"top1": 0.')
    copy.write_text(text[:at] + str((int(text[at]) + 1) % 10) + text[at + 1 :])
    findings = verify(tmp_path).findings
    assert len(findings) == 2  # its digest, and the figure that its outcomes give
    assert all(str(copy) in finding for finding in findings)


def test_the_readme_shows_the_board():
    frame = summary.leaderboard(find_records(ROOT / "results" / "quick" / RECORDS)[0])
    shown = [
        line for line in summary.to_markdown(frame, view=summary.View(EXCERPT)).splitlines() if line.startswith("|")
    ]
    readme = (ROOT / "README.md").read_text().splitlines()
    for line in shown:
        assert line in readme


@pytest.mark.parametrize("name", ["cifar10", "colored_fashion_mnist", "sprites", "pacs"])
def test_the_readme_says_of_a_board_what_it_says(name):
    """Its linear figures; and those ahead are the ones in bold of the methods that see no labels."""
    board = (ROOT / "results" / name / TABLE).read_text()
    rows = [line.split("|") for line in board[board.index("| method") :].split("\n\n")[0].splitlines()]
    linear = {row[1].strip(): row[4].strip(" *").partition(" (")[0] for row in rows}
    readme = (ROOT / "README.md").read_text().splitlines()
    (line,) = [line for line in readme if f"(results/{name}/{TABLE})" in line and line.startswith("|")]
    ahead, rest = (re.findall(r"(\w+) ([\d.]+ ± [\d.]*\d)", part) for part in line.split("|", 3)[2:])
    assert len(rest) == 3, "two floors and the ceiling"
    assert dict(ahead + rest) == {method: linear[method] for method, _ in ahead + rest}
    bold = [row[1].strip() for row in rows if row[4].strip().startswith("**") and row[2].strip() == "none"]
    assert [method for method, _ in ahead] == bold


def test_the_verdicts_are_those_of_the_records():
    """results/claims.md, to the byte, and what the README says of it."""
    judged = judge(read([]), find_records(ROOT / "results" / "claims" / RECORDS)[0])
    text = page.markdown(judged, "results/claims/records", to="results/claims.md")
    assert (ROOT / "results" / "claims.md").read_text() == f"# Claims\n\n{text}"
    assert verdicts.counts(judged) in " ".join((ROOT / "README.md").read_text().split())
