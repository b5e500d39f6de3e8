"""Records as the cell runner writes them, with figures that a test chooses."""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

Record = dict[str, Any]


def _hash(*parts: object) -> str:
    return hashlib.md5(repr(parts).encode(), usedforsecurity=False).hexdigest()[:16]


def make_record(
    dataset: str = "digits",
    method: str = "simclr",
    seed: int = 0,
    top1: float | None = 0.9,
    *,
    space: str = "features",
    labels: tuple[str, ...] = (),
    options: dict[str, Any] | None = None,
    budget: dict[str, float] | None = None,
    metrics: list[dict[str, Any]] | None = None,
    cost: dict[str, Any] | None = None,
) -> Record:
    """A complete record; `top1` is what linear@1 found (None: undefined), `metrics` are further rows."""
    options, budget = options or {}, budget or {"epochs": 30}
    settings = _hash(dataset, method, options, budget)
    row = {"space": space, "target": "class", "parameters": {}, "reason": None, "seconds": 0.1}
    scores = {"top1": top1, "nll": 0.25} if top1 is not None else None
    return {
        "schema": 1,
        "cell": {
            "dataset": dataset,
            "method": method,
            "seed": seed,
            "hash": _hash(settings, seed),
            "settings": settings,
        },
        "config": {
            "dataset": dataset,
            "method": method,
            "seed": seed,
            "data": {"num_train": 100},
            "options": options,
            "budget": budget,
            "precision": "32-true",
            "measures": ["linear@1"],
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
            "encoder": "00ff",
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


@pytest.fixture
def record() -> Callable[..., Record]:
    """`record(dataset, method, seed, top1, ...)`."""
    return make_record
