"""What every test may use: the golden figures and one thread a process."""

import gc
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

gc.set_threshold(20_000, 50, 50)  # imports, and what they leave, are searched for garbage less often

GOLDEN = Path(__file__).parent / "golden"


@dataclass(frozen=True)
class Golden:
    """One reference case: `in_*`, `out_*`, `grad_*` and `sd_*` arrays, and the options it was computed with."""

    arrays: dict[str, np.ndarray]
    options: dict[str, Any]

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def tensor(self, name: str, *, grad: bool = False) -> torch.Tensor:
        """The array as a tensor of its own dtype; with `grad` as a leaf that collects a gradient."""
        return torch.from_numpy(self.arrays[name].copy()).requires_grad_(grad)


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Golden]:
    """`golden("ipirm/infonce_a")` reads tests/golden/ipirm/infonce_a.npz (never a pickle)."""

    def load(case: str) -> Golden:
        with np.load(GOLDEN / f"{case}.npz", allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        return Golden(arrays, json.loads(str(arrays.pop("options"))))

    return load


def pytest_collection_finish() -> None:
    """What is imported by now is no garbage."""
    gc.freeze()


def pytest_unconfigure() -> None:
    gc.freeze()
