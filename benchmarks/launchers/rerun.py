"""Recorded runs again: the same configuration must give the same figures, to the last digit."""

from __future__ import annotations

import shlex
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from disentangle_bench.benchmarks import terminal
from disentangle_bench.benchmarks.launchers import Launch, run
from disentangle_bench.benchmarks.launchers.estimate import in_all
from disentangle_bench.benchmarks.machine import count_cores, find_devices
from disentangle_bench.benchmarks.planning.cell import Cell
from disentangle_bench.benchmarks.runs.folder import RunFolder
from disentangle_bench.evaluation.records import BadRecord, Record, different_figures, read_record, seconds_taken
from disentangle_bench.json_files import BadJson, from_dict


def differences(found: Mapping[Path, Record], count: int) -> list[str]:
    """Run the cells of some records again, elsewhere, and say which figures came out otherwise; a line each.

    One whose configuration is of another run (`planning.cell.contradiction`) is left out. How many there are, and how
    long they take, is said on standard error before the first; how many came to an end, on standard output.

    Args:
        found: path -> record.
        count: how many; which ones is decided by their hashes, so the same ones each time.
    """
    chosen = sorted(found.items(), key=lambda item: item[1]["cell"]["hash"])[:count]
    findings, cells = [], dict[Path, Cell]()
    for path, record in chosen:
        try:
            cell = from_dict(Cell, record["config"], str(path))
        except BadJson as bad:
            findings.append(f"{bad}. Next: only runs that this suite has trained can be run again, leave out --retrain")
            continue
        if cell.hash == record["cell"]["hash"]:
            cells[path] = cell
    (accelerator, devices), cores = find_devices(), count_cores()
    threads = max((cell.threads or cores for cell in cells.values()), default=cores)
    jobs = devices if accelerator == "gpu" else max(1, cores // threads)
    _tell([found[path] for path in cells], len(found), jobs)
    with tempfile.TemporaryDirectory(prefix="bench-verify-") as folder:
        launch = Launch(
            out=Path(folder),
            command=shlex.join(["bench", *sys.argv[1:]]),
            accelerator=accelerator,
            jobs=jobs,
            device_ids=tuple(range(devices)) if accelerator == "gpu" else (),
            threads=cores,
        )
        outcome = run("local", list(cells.values()), launch)
        reasons = {cell.hash: reason for cell, reason in outcome.failed}
        for path, cell in cells.items():
            if cell.hash in reasons:
                findings.append(
                    f"{path}: could not be run again: {reasons[cell.hash]}. Next: mend that, then verify once more"
                )
                continue
            try:
                findings += _differing(path, found[path], read_record(RunFolder(cell.folder(launch.out)).record))
            except BadRecord as bad:
                findings.append(f"{path}: run again, its new record is none: {bad}. Next: report it")
    print(f"{len(outcome.complete)} of {len(found)} runs were trained and judged again")
    return findings


def _tell(again: list[Record], of: int, jobs: int) -> None:
    """Say how many runs will be run again, and how long that takes if it takes as long as it did."""
    if again and terminal.verbosity > terminal.Verbosity.QUIET:
        slots = min(jobs, len(again))
        time = in_all([seconds_taken(record) for record in again], slots)
        print(
            f"bench: {len(again)} of {of} runs are run again, {slots} side by side: {time} by their recorded costs",
            file=sys.stderr,
        )


def _differing(path: Path, before: Record, after: Record) -> list[str]:
    """Figures of two records of one cell that differ, after what may explain it."""
    changes = {what: _changed(before, after, what) for what in ("git", "versions", "hardware")}
    told = [f"{what} differ: {', '.join(changed)}" for what, changed in changes.items() if changed]
    step = (
        "with the recorded code, versions and kind of processor (next lines) it should come out the same"
        if told
        else "code, versions and hardware are those recorded, so one of the two runs is wrong: run it a third time"
    )
    lines = [
        f"{path}: {what} is recorded as {then!r}, the run again gave {now!r}. Next: {step}"
        for what, then, now in different_figures(before, after)
    ]
    return [*lines, *(f"{path}: {one}" for one in told)] if lines else []


def _changed(before: Record, after: Record, what: str) -> list[str]:
    """Entries of the code, the versions or the machine that differ between two records."""
    then, now = before["provenance"].get(what, {}), after["provenance"].get(what, {})
    return [f"{name} {then.get(name)} -> {now[name]}" for name in now if then.get(name) != now[name]]
