"""Cards of the report: a method's description, options, budgets and runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from disentangle_bench.evaluation.leaderboard.frame import Record, budget_of, labels_of, tuning_of
from disentangle_bench.evaluation.leaderboard.naming import short
from disentangle_bench.evaluation.leaderboard.report.gallery import as_csv
from disentangle_bench.evaluation.records import display_name

CARDS, RUNS = 200, 10
"""Most cards, and runs on one, that the page shows; the csv of all runs has all."""
Named = tuple[str, Record, Path | None]
"""Label of a run's method, its record, and its folder if that is at hand."""


def build(named: list[Named], methods: list[str]) -> list[dict[str, Any]]:
    """A card for each method, as the template takes it."""
    by_method: dict[str, list[tuple[Record, Path | None]]] = {}
    for label, record, folder in named:
        by_method.setdefault(label, []).append((record, folder))
    cards = []
    for k, label in enumerate(methods[:CARDS]):
        runs = by_method[label]
        first = runs[0][0]
        provenance = first["provenance"]
        cards.append(
            {
                "id": f"method-{k}",
                "method": label,
                "labels": labels_of(first),
                "source": str(provenance.get("source") or "not recorded"),
                "texts": {
                    str(key).capitalize(): _without_fences(short(value))
                    for key, value in (provenance.get("card") or {}).items()
                    if value
                },
                "options": _flat(first["config"].get("options") or {}),
                "budgets": sorted({f"{budget_of(record)}, {tuning_of(record)}" for record, _ in runs}),
                "runs": [_run(record) for record, _ in runs[:RUNS]],
                "more": max(0, len(runs) - RUNS),
            }
        )
    return cards


def _run(record: Record) -> dict[str, str]:
    provenance, cell = record["provenance"], record["cell"]
    git = provenance.get("git") or {}
    return {
        "dataset": display_name(record, "dataset"),
        "seed": str(cell["seed"]),
        "command": str(provenance.get("command") or ""),
        "commit": str(git.get("commit") or "unknown")[:12] + (" + changes" if git.get("dirty") else ""),
        "record": "/".join((cell["dataset"], cell["method"], cell["hash"])),
        "finished": str(provenance.get("finished") or ""),
    }


def runs_csv(named: list[Named]) -> str:
    header = ["method", "dataset", "seed", "record", "commit", "finished", "command"]
    rows = ({"method": label} | _run(record) for label, record, _ in named)
    return as_csv(header, [[row[key] for key in header] for row in rows])


def _flat(options: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Options as lines, parts of one by `option.part`."""
    lines: dict[str, str] = {}
    for key, value in options.items():
        lines |= (
            _flat(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": short(value)}
        )
    return lines


def _without_fences(text: str) -> str:
    """A docstring as it is read, without the marks around its diagram."""
    return "\n".join(line for line in text.splitlines() if line.strip() != "```")
