"""Codes and labels of known quality, and what the measures say of them."""

import numpy as np
import torch
from torch import nn

from disentangle_bench.datamodules.targets import TargetSpec
from disentangle_bench.evaluation import protocol
from disentangle_bench.evaluation.features import FeatureBank
from disentangle_bench.evaluation.network import Network

CLASS = TargetSpec("class", "class", 4, "content")
COLOR = TargetSpec("color", "class", 3, "domain")
SIZE = TargetSpec("size", "continuous", 1, "style")
ANGLE = TargetSpec("angle", "circular", 1, "style")
TARGETS = (CLASS, COLOR, SIZE, ANGLE)
COUNTS = {"train": 600, "val": 100, "test": 300, "probe": 900, "probe_val": 150}
NEED_ENCODER = {"transforms", "recovery", "alignment", "linear_augmented", "linear_ip_irm", "finetune"}
ON_FEATURES = [title for title, measure in protocol.MEASURES.items() if measure.name not in NEED_ENCODER]
QUICK = [title for title in ON_FEATURES if not title.startswith(("dci", "sap", "block"))]
FACTORS = {
    "dci@2": ("disentanglement", 0.9),
    "mig@2": ("mig", 0.7),
    "sap@2": ("sap", 0.15),
    "modularity@2": ("modularity", 0.9),
    "irs@2": ("irs", 0.8),
    "factor_vae@2": ("eval_accuracy", 0.95),
    "beta_vae@2": ("eval_accuracy", 0.95),
}


def labels(seed=0, counts=COUNTS):
    rng = np.random.default_rng(seed)
    return {
        split: {
            "class": rng.integers(4, size=n),
            "color": rng.integers(3, size=n),
            "size": rng.uniform(-1, 1, n).astype(np.float32),
            "angle": rng.uniform(0, 2 * np.pi, n).astype(np.float32),
        }
        for split, n in counts.items()
    }


def bank(make, y=None, space="features"):
    y = labels() if y is None else y
    return FeatureBank({space: {split: make(values).astype(np.float32) for split, values in y.items()}}, y)


def onehot(values, size, width=8):
    return np.eye(size)[values] * width


def noise(y, seed=1):
    n = len(y["class"])
    return np.random.default_rng([seed, n]).normal(size=(n, 6))


def all_told(y):
    parts = [onehot(y["class"], 4), onehot(y["color"], 3), y["size"][:, None], np.cos(y["angle"])[:, None]]
    return np.concatenate([*parts, np.sin(y["angle"])[:, None]], axis=1)


def content_only(y):
    return onehot(y["class"], 4) + 0.1 * noise(y)[:, :4]


def one_code_a_factor(y):
    """Codes whose values rank as their factor's do, each with its own spread."""
    return np.stack([y["class"], y["color"] / 2, y["size"], y["angle"] - np.pi], axis=1)


def correlated(values, share):
    """Colours that follow the class with a probability."""
    draw = np.random.default_rng(7)
    follows = draw.random(len(values["class"])) < share
    return {**values, "color": np.where(follows, values["class"] % 3, values["color"])}


def measured(features, titles, targets=TARGETS, network=None):
    rows, _ = protocol.evaluate(features, targets, titles, network=network)
    return {(row["measure"], row["target"]): row for row in rows}


def scores(features, title, target="class", targets=TARGETS, network=None):
    row = measured(features, [title], targets, network)[title, target]
    assert row["scores"] is not None, row["reason"]
    return row["scores"]


class Brightness(nn.Module):
    """Tells how bright an image is, and which of two patterns it has; nothing else."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(3, affine=False)
        self.linear = nn.Linear(3, 3, bias=False)
        nn.init.eye_(self.linear.weight)

    def embed(self, images):
        x = images.float() / 255
        halves = torch.stack([x[..., :8].mean(dim=(1, 2, 3)), x[..., 8:].mean(dim=(1, 2, 3))], dim=1)
        return {"features": self.linear(torch.cat([halves, torch.ones(len(x), 1)], dim=1))}


def network(count=400):
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=count)
    images = np.full((count, 3, 16, 16), 40) + rng.integers(0, 10, (count, 1, 16, 16))
    images[y == 0, :, :, :8] += 120
    images[y == 1, :, :, 8:] += 120
    images = torch.from_numpy(images.astype(np.uint8))
    target = torch.from_numpy(y)
    module = Brightness()

    def load(split, batches):
        return ({"image": images[rows], "target/class": target[rows]} for rows in batches)

    encoder = Network(module, module.embed, load, dict.fromkeys(("train", "val", "test"), count), False)
    features = module.embed(images)["features"].detach().numpy()
    splits = ("train", "val", "test")
    features_bank = FeatureBank(
        {"features": dict.fromkeys(splits, features)}, {split: {"class": y} for split in splits}
    )
    return features_bank, encoder


PATTERN = (TargetSpec("class", "class", 2, "content"),)
