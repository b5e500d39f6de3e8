"""Runs for tables, and tables taken apart again."""

from pathlib import Path

from disentangle_bench.evaluation.leaderboard.compare import Comparison, compare_records
from disentangle_bench.evaluation.records import FILE, find_records
from disentangle_bench.json_files import write_json
from tests.evaluation.leaderboard.conftest import right_or_wrong, write_judged

LABELS = 1
"""Place of the column that says which labels a method saw."""
KNN = {"measure": "knn@1", "target": "class", "scores": {"top1": 0.4}}


def line(frame, **wanted):
    for name, value in wanted.items():
        frame = frame[frame[name] == value]
    assert len(frame) == 1
    return frame.iloc[0]


def rows(markdown):
    return [[c.strip() for c in row.strip("|").split(" | ")] for row in markdown.splitlines() if row.startswith("|")]


def body(markdown):
    """Rows of the first table without header and chance."""
    table = markdown.split("\n\nHow to read")[0]
    return [row for row in rows(table)[2:] if row[0] != "chance"]


def judged(root, record, accuracies, **options):
    """Runs with outcomes by image, a seed each."""
    for seed, right in enumerate(right_or_wrong(accuracies)):
        write_judged(root, record(seed=seed, **options), right)


def leak(value, **others):
    return {"measure": "leakage@4", "target": "color", "scores": {"leakage": value, "chance": 0.13} | others}


def put(root, records):
    """Records in a folder, without outcomes."""
    for r in records:
        (root / r["cell"]["hash"]).mkdir(parents=True, exist_ok=True)
        write_json(root / r["cell"]["hash"] / FILE, r)
    return root


def compare(a: Path, b: Path) -> Comparison:
    """Every figure of the runs in one folder against the same one of another."""
    (before, problems), (after, more) = find_records(a), find_records(b)
    return compare_records(before, after, problems=[*problems, *more])
