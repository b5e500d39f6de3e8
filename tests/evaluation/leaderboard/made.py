"""Runs for tables, and tables taken apart again."""

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
