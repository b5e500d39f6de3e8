"""Records and folders as the cell runner leaves them, with figures that a test chooses."""

import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from disentangle_bench.benchmarks.planning.cell import Cell
from disentangle_bench.evaluation.outcomes import FILE as OUTCOMES
from disentangle_bench.evaluation.outcomes import Measured, Outcome, Outcomes, write_outcomes
from disentangle_bench.evaluation.pictures import artefacts, sheets
from disentangle_bench.evaluation.records import FILE, Record, seal
from disentangle_bench.json_files import write_json


def make_record(
    dataset: str = "digits",
    method: str = "simclr",
    seed: int = 0,
    top1: float | None = 0.9,
    *,
    space: str = "features",
    invariant_space: str | None = None,
    labels: tuple[str, ...] = (),
    options: dict[str, Any] | None = None,
    budget: dict[str, float] | None = None,
    metrics: list[dict[str, Any]] | None = None,
    cost: dict[str, Any] | None = None,
) -> Record:
    """A complete record; `top1` is what linear@1 found (None: undefined), `metrics` are further rows."""
    options, budget = options or {}, budget or {"epochs": 30}
    data, measures = {"num_train": 100}, ["linear@1"]
    cell = Cell(dataset, method, seed, data, options, budget, "32-true", measures)
    row = {"space": space, "target": "class", "parameters": {}, "reason": None, "seconds": 0.1}
    scores = {"top1": top1, "nll": 0.25} if top1 is not None else None
    content = {
        "cell": {
            "dataset": dataset,
            "method": method,
            "seed": seed,
            "hash": cell.hash,
            "settings": cell.settings,
        },
        "config": {
            "dataset": dataset,
            "method": method,
            "seed": seed,
            "data": data,
            "options": options,
            "budget": budget,
            "precision": cell.precision,
            "measures": measures,
            "suite": "quick",
        },
        "labels": list(labels),
        "provenance": {
            "command": f"bench run --dataset {dataset} --method {method} --seeds {seed}",
            "started": "2030-01-01T00:00:00+00:00",
            "finished": "2030-01-01T00:01:00+00:00",
            "git": {"commit": "c0ffee" * 6, "dirty": False},
            "versions": {"disentangle-bench": "0.1.0", "torch": "2.14.1"},
            "hardware": {"cpu": "a processor", "cores": 2, "gpu": None, "memory_gb": 8.0},
            "data": {"fingerprint": "ab12", "train": 100, "val": 20, "test": 50},
            "encoder": f"00f{seed}",
            "epoch": 30,
            "step": 120,
            "source": "Somebody et al. (2020)",
            "card": {"objective": "agree with yourself"},
        },
        "cost": {
            "train_seconds": 10.0 + seed,
            "eval_seconds": 1.0,
            "images_seen": 3000,
            "forward_passes": 6000,
            "images_per_second": 300.0,
            "peak_memory_mb": 512.0,
            "parameters": 120000,
            "encoder_parameters": 100000,
            "devices": 1,
        }
        | (cost or {}),
        "metrics": [
            row | {"measure": "linear@1", "scores": scores, "reason": None if scores else "one class only"},
            *[row | extra for extra in metrics or []],
        ],
    }
    spaces = {"primary_space": space, "invariant_space": invariant_space or space}
    return seal(content | spaces, Path("no outcomes"))


def at(records: Iterable[Record]) -> dict[Path, Record]:
    """Records by paths that don't exist, as `find_records` gives them: without outcomes or pictures."""
    return {Path("nowhere") / str(k) / FILE: record for k, record in enumerate(records)}


def right_or_wrong(accuracies: Iterable[float], images: int = 400, seed: int = 0) -> list[np.ndarray]:
    """Bool [images] a run: as many right as the accuracy says, the easy ones rather than the hard ones."""
    rng = np.random.default_rng(seed)
    easy = rng.normal(size=images)
    return [np.argsort(np.argsort(-easy - rng.normal(size=images))) < round(a * images) for a in accuracies]


def write_judged(root: Path, record: Record, right: np.ndarray, measure: str = "linear@1", score: str = "top1") -> Path:
    """Write a record and the outcomes of one of its figures, which becomes their mean; returns the record's path."""
    row = next(row for row in record["metrics"] if row["measure"] == measure)
    found, outcome = Outcomes(), Outcome(right)
    row["scores"] = (row["scores"] or {}) | {score: outcome.figure}
    found.add(measure, row["space"], row["target"], Measured({}, {score: outcome}))
    cell = record["cell"]
    path = root / cell["dataset"] / cell["method"] / cell["hash"] / FILE
    path.parent.mkdir(parents=True)
    write_outcomes(path.with_name(OUTCOMES), found)
    write_json(path, seal(record, path.with_name(OUTCOMES)))
    return path


def write_run(root: Path, record: Record, pictures: bool = True) -> Path:
    """Write a run: its record, and with `pictures` all that the report can show."""
    cell = record["cell"]
    run = root / cell["hash"]
    run.mkdir(parents=True)
    if not pictures:
        write_json(run / FILE, record)
        return run
    found, guessed = Outcomes(), np.array([0, 0, 1, 1, 2, 2, 2])
    ids = {"predicted": guessed, "labels": np.array([0, 0, 1, 2, 2, 2, 0])}
    found.add("linear@1", "features", "class", Measured({}, ids=ids))
    write_outcomes(run / OUTCOMES, found)
    write_json(run / FILE, seal(record, run / OUTCOMES))
    logs = run / "logs" / "attempt_0"
    logs.mkdir(parents=True)
    (logs / "metrics.csv").write_text("loss,step\n" + "".join(f"{2 / (s + 1):.4f},{s}\n" for s in range(0, 100, 10)))
    rng = np.random.default_rng(cell["seed"])
    labels = rng.integers(3, size=40)
    x = rng.normal(size=(40, 6)) + 3 * np.eye(6)[labels]
    image = sheets.sheet([[rng.integers(0, 255, (3, 8, 8)).astype(np.uint8)] * 3] * 2)
    folder = run / artefacts.FOLDER
    folder.mkdir()
    np.savez(folder / artefacts.SAMPLE, **{"space/features": x.astype(np.float16), "target/class": labels})
    (folder / artefacts.NEIGHBOURS).write_bytes(image)
    (folder / artefacts.VIEWS).write_bytes(image)
    near = {"query": 0, "rank": 1, "neighbour": 3, "cosine": 0.9, "query_class": 1, "neighbour_class": 1}
    index = {
        "schema": artefacts.SCHEMA,
        "images": 40,
        "targets": [{"name": "class", "kind": "class", "size": 3, "role": "content"}],
        "spaces": {"features": 6},
        "neighbours": [near],
    }
    write_json(folder / artefacts.INDEX, index)
    (run / "images").mkdir()
    file = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (16, 16, 3)).astype(np.uint8)).save(file, "PNG")
    (run / "images" / "swaps.png").write_bytes(file.getvalue())
    return run


@pytest.fixture
def record() -> Callable[..., Record]:
    """`record(dataset, method, seed, top1, ...)`."""
    return make_record


@pytest.fixture(scope="session", name="make_record")
def _make_record() -> Callable[..., Record]:
    return make_record


@pytest.fixture(scope="session")
def put_run() -> Callable[..., Path]:
    """`put_run(root, record, pictures=True)` writes a run's folder and returns it."""
    return write_run
