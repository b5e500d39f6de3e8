"""The record of a run: what it was, where its figures come from, what it cost, what was measured.

Launchers ask for the state of the code here before they start anything, so nothing heavy is imported at the top.
"""

from __future__ import annotations

import inspect
import platform
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from disentangle_bench.benchmarks.machine import hardware
from disentangle_bench.benchmarks.runs import lock
from disentangle_bench.evaluation.outcomes import Outcomes, write_outcomes
from disentangle_bench.evaluation.records import BadRecord, Record, digest_of, digest_of_file, read_record, seal
from disentangle_bench.files import read_text, write_file
from disentangle_bench.json_files import write_json

if TYPE_CHECKING:
    from disentangle_bench.benchmarks.execution.measure import Measurements
    from disentangle_bench.benchmarks.execution.train import Trained
    from disentangle_bench.benchmarks.planning.cell import Cell
    from disentangle_bench.benchmarks.runs.folder import CellLaunch, RunFolder
    from disentangle_bench.datamodules.base import ImageDataModule

PACKAGES = ("disentangle-bench", "torch", "lightning", "torchvision", "timm", "kornia", "scikit-learn", "numpy")


def make_record(
    cell: Cell,
    method: Any,
    data: ImageDataModule,
    trained: Trained,
    measured: Measurements,
    launch: CellLaunch,
    started: str,
) -> dict[str, Any]:
    """The run record (see `evaluation.records`) without its digests, which `seal` adds.

    `method` is a `Method`, or what stands for one that was given: it says what it saw, where it comes from and which
    spaces it is judged by.
    """
    from disentangle_bench.benchmarks.execution.costs import peak_memory_mb
    from disentangle_bench.evaluation.features import device_of
    from disentangle_bench.evaluation.measures.own import describe
    from disentangle_bench.evaluation.protocol import BUILT_IN, MEASURES

    return {
        "cell": {k: getattr(cell, k) for k in ("dataset", "method", "seed", "hash", "settings")},
        "config": asdict(cell)
        | {
            "measures": measured.measures,
            "names": _names(cell, method, data),
            "own_measures": {t: describe(MEASURES[t]) for t in measured.measures if t not in BUILT_IN},
        },
        "labels": sorted(method.uses_targets),
        "primary_space": method.primary_space,
        "invariant_space": method.invariant_space,
        "provenance": {
            "command": launch.command,
            "started": started,
            "finished": now(),
            "git": launch.git,
            "versions": versions(),
            "hardware": hardware() | {"threads": cell.threads or launch.threads},
            "device": str(device_of(method)),
            "data": {"fingerprint": data.fingerprint} | {name: len(split) for name, split in data.splits.items()},
            "encoder": trained.encoder,
            "epoch": trained.epoch,
            "step": trained.step,
            "source": method.source,
            "card": {"summary": inspect.cleandoc(type(method).__doc__ or "")},
            "earlier": measured.earlier,
        },
        "cost": asdict(trained.cost) | {"peak_memory_mb": peak_memory_mb(), "eval_seconds": round(measured.seconds, 2)},
        "metrics": measured.rows,
    }


def write_results(run: RunFolder, record: dict[str, Any], found: Outcomes, code: Sequence[str] = ()) -> Record:
    """Write outcomes and, last of all results, the record, sealed; at once, since each of the two names the other.

    Args:
        run: whose folder they come into.
        record: see `make_record`.
        found: what each test image contributed.
        code: of the user's own, file by file. A copy lies beside the record, which has its digest, after the code that
            earlier figures of the record were measured with.
    """
    write_outcomes(run.outcomes, found)
    earlier = kept_code(run) if record["provenance"]["earlier"] else ""
    if pieces := [*filter(None, [earlier]), *(one for one in code if not holds(earlier, one))]:
        write_file(run.code, "\n".join(pieces))
        record["provenance"]["own_code"] = digest_of_file(run.code)
    else:
        run.code.unlink(missing_ok=True)
    sealed = seal(record, run.outcomes)
    write_json(run.record, sealed)
    return sealed


def kept_code(run: RunFolder) -> str:
    """The copy of the user's own code beside a run's record, empty if there is none that can be read."""
    try:
        return read_text(run.code)
    except (OSError, UnicodeDecodeError):
        return ""


def holds(code: str, piece: str) -> bool:
    """Whether one of the files in such a copy is this one."""
    return f"{piece}\n# ---- " in f"{code}\n# ---- "


def _names(cell: Cell, method: Any, data: ImageDataModule) -> dict[str, str]:
    """Names of classes that were given by their path, unless something else is known by that name."""
    from disentangle_bench import datamodules, methods

    called = {"dataset": (cell.dataset, data.name, datamodules), "method": (cell.method, method, methods)}
    found = {}
    for what, (path, itself, registry) in called.items():
        name = itself if isinstance(itself, str) else getattr(type(itself), "name", path)
        if "." in path and name != path and name not in registry.available():
            found[what] = name
    return found


def keep_experiments(cell: Cell, run: RunFolder) -> None:
    """Have a complete run say which experiments of the suite it is; those of other suites stay.

    Labels decide nothing that was computed, so a row that is called otherwise is not trained again. A record that isn't
    as it was sealed is left alone, and one that has gone or that another process is about to write: the next run of the
    suite sees to it.
    """

    def labelled(record: Record) -> list[dict[str, Any]]:
        known = record["config"].get("experiments", [])
        return [one for one in known if one["suite"] != cell.suite] + cell.experiments

    with suppress(BadRecord, lock.Taken):
        record = read_record(run.record)
        if labelled(record) == record["config"].get("experiments", []):
            return
        with lock.hold(run.lock):
            record = read_record(run.record)  # as it is by now
            if record["digest"] != digest_of(record):
                return
            given = labelled(record)
            changed = {**record, "config": record["config"] | {"experiments": given}}
            write_json(run.record, changed | {"digest": digest_of(changed)})
            if run.config.exists():  # a run of a board has none
                config = run.read_config()
                run.write_config(replace(config, cell=replace(config.cell, experiments=given)))


def now() -> str:
    """UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@cache
def git_state() -> dict[str, Any]:
    """Commit of the code, and whether it had changes that aren't committed; None where no repository holds it."""

    def git(*words: str) -> str | None:
        result = subprocess.run(["git", *words], capture_output=True, text=True, cwd=Path(__file__).parent, check=False)
        return result.stdout.strip() if result.returncode == 0 else None

    try:
        if git("ls-files", "--error-unmatch", Path(__file__).name) is None:  # a repository around an installed package
            return {"commit": None, "dirty": None}
        commit, changes = git("rev-parse", "HEAD"), git("status", "--porcelain", "--untracked-files=no")
    except FileNotFoundError:  # no git on this machine
        return {"commit": None, "dirty": None}
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that figures depend on."""
    return {"python": platform.python_version()} | {package: version(package) for package in PACKAGES}
