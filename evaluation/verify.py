"""A board that anybody can check: records, outcomes and the table made of them, and nothing else.

    <board>/leaderboard.md
    <board>/records/<data set>/<method>/<hash>/{result.json, outcomes.npz}, and own_code.py where somebody's own was run

`export_board` writes one from runs; `verify` recomputes what it says. Weights and features stay where the runs are.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

import numpy as np

from disentangle_bench.evaluation import outcomes, records
from disentangle_bench.evaluation.records import Record
from disentangle_bench.files import file_name, printable, replacing

RECORDS, TABLE = "records", "leaderboard.md"
EXACT, SINGLE = 1e-9, 1e-5
"""Largest difference between a figure and its outcomes: of bits, and of numbers stored in single precision."""


@dataclass
class Verification:
    """The result of a check.

    Attributes:
        found: path -> record, as they were read.
        recomputed: figures that were computed again.
        without: figures that the outcomes can't give (no mean over test images, no clusters).
        findings: what is wrong, a line each: file, figure, what is recorded, what was recomputed, what to do.
    """

    found: dict[Path, Record] = field(default_factory=dict)
    recomputed: int = 0
    without: int = 0
    findings: list[str] = field(default_factory=list)

    def text(self) -> str:
        """The findings and a summary, as lines for a terminal."""
        found = f"{len(self.findings)} finding{'s' * (len(self.findings) > 1)}"
        verdict = found if self.findings else "all as recorded"
        told = f"{len(self.found)} records, {verdict}: {self.recomputed} figures were recomputed from what each test "
        told += f"image contributed; {self.without} others can't be, and rest on their record's checksum"
        return "\n".join([*map(printable, self.findings), told]) + "\n"


def export_board(found: Mapping[Path, Record], to: Path) -> Path:
    """Copy records and outcomes to `<to>/records/` and write the table made of them; what was there before goes.

    The new records lie beside the old ones before they take their place: a kill at any moment loses neither, and the
    same command then ends the exchange.

    Args:
        found: path -> record of the runs.
        to: folder of the board.

    Returns:
        The table's file.

    Raises:
        ValueError: no runs are given; a board that is there stays.
    """
    if not found:
        raise ValueError("no runs to make a board of")
    to.mkdir(parents=True, exist_ok=True)
    staged, old = to / f".{RECORDS}.tmp", to / f".{RECORDS}.old.tmp"
    if old.exists() and not (to / RECORDS).exists():  # an earlier export was killed between the two
        old.rename(to / RECORDS)
    for left in (staged, old):
        shutil.rmtree(left, ignore_errors=True)
    try:
        for path, record in found.items():
            folder = staged.joinpath(*_place(record))
            folder.mkdir(parents=True)
            for file in (path, path.with_name(outcomes.FILE), path.with_name(records.CODE)):
                if file.exists():
                    with replacing(folder / file.name, synced=False) as beside:
                        shutil.copyfile(file, beside)
        table = _table(records.find_records(staged)[0])
        with replacing(to / TABLE) as beside:
            beside.write_text(table, encoding="utf-8")
            if (to / RECORDS).exists():
                (to / RECORDS).rename(old)
            staged.rename(to / RECORDS)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
    return to / TABLE


def verify(folder: Path) -> Verification:
    """Check a board, or a folder of runs: digests, every figure that has outcomes, and (of a board) its table."""
    found, problems = records.find_records(folder)
    report = Verification(found)
    mend = "put the file back as it was, or remove its folder and make the run anew"
    report.findings += [
        f"{problem.reason}. Next: {'remove one of the two folders' if problem.second else mend}" for problem in problems
    ]
    for path, record in found.items():
        _check(path, record, report)
    if (folder / RECORDS).is_dir():
        report.findings += [
            f"{path}: its record is that of the run {'/'.join(_place(record))}. Next: give the folder that name again"
            for path, record in found.items()
            if path.parts[-4:-1] != _place(record)
        ]
        table = folder / TABLE
        shown = table.read_text(encoding="utf-8", errors="replace") if table.exists() else ""
        again = _table({path: one for path, one in found.items() if path.is_relative_to(folder / RECORDS)})
        if shown != again:
            place = _first_difference(shown, again) if shown else "it is missing"
            command = shlex.join(["bench", "leaderboard", "--out", str(folder / RECORDS), "--board", str(folder)])
            report.findings.append(
                f"{table}: not the table that the records give: {place}. Next: if the records are as they should be, "
                f"`{command}` makes it anew"
            )
    elif not found:
        report.findings.append(
            f"{folder}: no records. Next: name a folder of runs or a board (`bench leaderboard --board` makes one)"
        )
    return report


def _place(record: Record) -> tuple[str, str, str]:
    """Folders of a run: data set, method, hash."""
    cell = record["cell"]
    return file_name(cell["dataset"]), file_name(cell["method"]), file_name(cell["hash"])


def _first_difference(shown: str, again: str) -> str:
    """Where a table differs: the first figure, or else the first line; and how many lines differ."""
    lines = list(zip_longest(shown.splitlines(), again.splitlines(), fillvalue=""))
    differing = [k for k, (one, other) in enumerate(lines) if one != other]
    if not differing:
        return "its line ends differ"
    rows = [k for k in differing if all(line.startswith("| ") for line in lines[k])]
    first, more = (rows or differing)[0], f"; {len(differing)} lines differ" if len(differing) > 1 else ""
    cells = [[cell.strip(" |") for cell in re.split(r"(?<!\\)\|", line.strip("|"))] for line in lines[first]]
    heads = [one for one, other in lines[:first] if one.startswith("| method") and one == other]
    if not (heads and lines[first][0].startswith("| ") and len(cells[0]) == len(cells[1])):
        return f"line {first + 1} is {lines[first][0]!r:.120}, recomputed {lines[first][1]!r:.120}{more}"
    columns = [cell.strip() for cell in heads[-1].strip("|").split("|")]
    at = next((k for k, pair in enumerate(zip(*cells, strict=True)) if pair[0] != pair[1]), 0)
    what = f"{cells[1][0]}, {columns[at]}" if at < len(columns) else cells[1][0]
    return f"line {first + 1}, {what}: it shows {cells[0][at]!r}, recomputed {cells[1][at]!r}{more}"


def _table(found: Mapping[Path, Record]) -> str:
    """The table of a board, from its records and the outcomes beside them."""
    from disentangle_bench.evaluation.leaderboard.summary import document

    return document(found)


def _check(path: Path, record: Record, report: Verification) -> None:
    """The digests and figures of one record."""
    edited = record["digest"] != (digest := records.digest_of(record))
    command = record["provenance"].get("command")
    restore = "put both files back as they were (from where the board came, or `git checkout`), or make the run anew"
    restore += f": `{command}`" if command and not edited else ""  # who edits a record can have edited the command
    if edited:
        report.findings.append(
            f"{path}: not as it was sealed: edited by hand: its digest is recorded as {_short(record['digest'])}, "
            f"its content gives {_short(digest)}. Next: {restore}"
        )
    code = path.with_name(records.CODE)
    if (now := records.digest_of_file(code)) != record["provenance"].get("own_code"):
        report.findings.append(
            f"{code}: not the code that the record was made with: {path} records SHA-256 "
            f"{_short(record['provenance'].get('own_code'))}, {_file_has(now)}. Next: {restore}"
        )
    beside = path.with_name(outcomes.FILE)
    other = ""
    if (kept_digest := records.digest_of_file(beside)) != record.get("outcomes"):
        other = (
            f"{beside}: not the outcomes that the record was made with: {path} records SHA-256 "
            f"{_short(record.get('outcomes'))}, {_file_has(kept_digest)}"
        )
    try:
        kept = outcomes.read_outcomes(beside)
    except outcomes.BadOutcomes as bad:
        report.findings += [f"{other}. Next: {restore}"] if other else []
        report.findings.append(f"{bad}: no figure of {path} can be recomputed. Next: {restore}")
        return
    wrong = []
    for row in record["metrics"]:
        place = (row["measure"], row["space"], row["target"])
        again = {
            key.score: (outcome.figure, EXACT if outcome.values.dtype == np.bool_ else SINGLE)
            for key, outcome in kept.outcomes.items()
            if key[:3] == place
        }
        try:
            again |= {name: (value, EXACT) for name, value in _agreement(kept, place).items()}
        except ValueError as error:  # also MetricUndefined
            wrong.append(f"{' '.join(place)}: its clusters and labels give no scores ({error})")
        for score, value in (row["scores"] or {}).items():
            if score not in again:
                report.without += 1
                continue
            report.recomputed += 1
            figure, slack = again[score]
            if not abs(figure - value) <= slack * max(1.0, abs(value)):
                name = " ".join(part for part in (*place, score) if part)
                wrong.append(f"{name} is recorded as {value!r}, its outcomes give {figure!r}")
    if other:
        differ = f": {len(wrong)} of its figures come out otherwise, the first: {wrong[0]}" if wrong else ""
        report.findings.append(f"{other}{differ}. Next: {restore}")
    else:
        report.findings += [f"{path}: {one}. Next: {restore}" for one in wrong]


def _short(digest: str | None) -> str:
    """The beginning of a digest."""
    return f"{digest[:16]}..." if digest else "none"


def _file_has(digest: str | None) -> str:
    return f"the file has {_short(digest)}" if digest else "the file is missing"


def _agreement(kept: outcomes.Outcomes, place: tuple[str, str, str]) -> dict[str, float]:
    """Scores of clusters [draws, N] against labels [N]: means over the draws."""
    clusters, labels = (kept.ids.get(outcomes.Key(*place, name)) for name in ("clusters", "labels"))
    if clusters is None or labels is None:
        return {}
    from disentangle_bench.evaluation.metrics.clustering import cluster_scores

    draws = [cluster_scores(labels.astype(np.int64), draw.astype(np.int64)) for draw in np.atleast_2d(clusters)]
    return {name: float(np.mean([draw[name] for draw in draws])) for name in draws[0]}
