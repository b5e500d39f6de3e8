"""Networks of a user's own, some of them wrong, and what `bench eval` makes of them."""

from pathlib import Path

from disentangle_bench.benchmarks.__main__ import main
from disentangle_bench.evaluation.records import find_records

NETWORK = """
import torch
from torch import nn

torch.manual_seed(0)

class Mine(nn.Module):
    default_cfg = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.head = nn.Linear(24, 5)

    def forward(self, images):
        features = self.layers(images)
        return {"features": features, "code": self.head(features)}

def images_of_four_dimensions():
    return nn.Conv2d(3, 6, 3)

class ThreeRows(Mine):
    def forward(self, images):
        return self.layers(images)[:3]

def made_for_32_pixels():
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 8))

class NotFinite(Mine):
    def forward(self, images):
        return self.layers(images) / 0 * 0

class NotFiniteLater(Mine):
    # in batches that are larger than the one that speed is told from
    def forward(self, images):
        features = self.layers(images)
        features[40:41] /= 0
        return features

class FailsLater(Mine):
    def forward(self, images):
        if len(images) > 32:
            raise IndexError("no such channel")
        return self.layers(images)

class TooLargeLater(Mine):
    def forward(self, images):
        if len(images) > 32:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried")
        return self.layers(images)

class Constant(Mine):
    def forward(self, images):
        return torch.ones(len(images), 4)

class Tuple(Mine):
    def forward(self, images):
        return self.layers(images), self.head

class Complex(Mine):
    def forward(self, images):
        return torch.fft.fft(self.layers(images))

class NoWidth(Mine):
    def forward(self, images):
        return self.layers(images)[:, :0]

class OneNumber(Mine):
    def forward(self, images):
        return self.layers(images).mean(1)

class NoName(Mine):
    def forward(self, images):
        return {"features": self.layers(images), 3: self.layers(images)}

class Statistics255(Mine):
    default_cfg = {"mean": (123.7, 116.3, 103.5), "std": (58.4, 57.1, 57.4)}

class OneStatistic(Mine):
    default_cfg = {"mean": (0.5,), "std": 0.5}

class NoDeviation(Mine):
    default_cfg = {"mean": (0.5, 0.5, 0.5), "std": (0, 0, 0)}

class OneSize(Mine):
    default_cfg = {"input_size": 24}

class MakesGrey(nn.Module):
    default_cfg = {"mean": (0.2, 0.5, 0.8), "std": (0.25, 0.25, 0.25)}

    def __init__(self):
        super().__init__()
        self.network = for_grey_images()

    def forward(self, images):
        return self.network(images.mean(1, keepdim=True))

def of_half_precision():
    return Mine().half()

def for_grey_images():
    return nn.Sequential(nn.Conv2d(1, 6, 3), nn.Flatten())

def fails():
    raise KeyError("weights.pth")

def nothing():
    return None
"""
MEASURE = """
from dataclasses import replace

from disentangle_bench.evaluation.measures.base import Measure, NO_TARGET, Score

width = Measure(
    name="width", version=1, targets=NO_TARGET, splits="test", source="a test", aspect="descriptive",
    scores={"width": Score(None, 0, 99, "none")}, run=lambda space: {"width": float(space.x["test"].shape[1])},
)

def _fails(space):
    raise KeyError("never")

def _fails_later(space):
    if space.encoder is not None:
        raise KeyError("later")
    return {"width": 1.0}

fails = replace(width, name="fails", run=_fails)
fails_later = replace(width, name="fails_later", run=_fails_later)
"""
REQUEST = ["--dataset", "digits", "--suite", "smoke", "--measures"]


def judged(*arguments: str, measures: str = "knn,intrinsic") -> dict:
    """The record of a request that works."""
    before = {record["cell"]["hash"] for record in find_records_here()}
    assert main(["eval", *arguments, *REQUEST, measures, "--out", "runs"]) == 0
    (record,) = [record for record in find_records_here() if record["cell"]["hash"] not in before]
    return record


def find_records_here() -> list[dict]:
    return [dict(record) for record in find_records(Path("runs"))[0].values()]


def told(capsys, *arguments: str) -> str:
    """The line that a wrong request ends with; nothing is written."""
    capsys.readouterr()
    assert main(["eval", *arguments, *REQUEST, "knn", "--out", "runs"]) == 2
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1, error
    assert not Path("runs").exists()
    return error[0]
