"""Entries besides training steps: probes and measures, views, batches, IP-IRM's partition, the command's start."""

from __future__ import annotations

import subprocess
import sys
import time
from functools import partial
from statistics import median

import numpy as np

from tools.perf.process import Figures, in_process


def clusters(rows: int, dim: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping Gaussian clusters: float32 [rows, dim] and their labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, rows)
    centers = np.random.default_rng(0).normal(size=(classes, dim))
    return (0.15 * centers[labels] + rng.normal(size=(rows, dim))).astype(np.float32), labels


def linear_path() -> Figures:
    """Ten strengths of the linear probe on 50,000 x 512 features, and scikit-learn's ten fits."""
    from sklearn.linear_model import LogisticRegression

    from disentangle_bench.evaluation.metrics.probes import L2_GRID, linear_probe

    x, y = clusters(50_000, 512, 10)
    test_x, test_y = clusters(5_000, 512, 10, seed=1)
    start = time.perf_counter()
    linear_probe(x, y, test_x, test_y, num_classes=10, val=(test_x, test_y))
    ours = time.perf_counter() - start
    start = time.perf_counter()
    for l2 in L2_GRID:
        LogisticRegression(C=1 / (l2 * len(x)), max_iter=1000).fit(x, y)
    theirs = time.perf_counter() - start
    return {"ratio": theirs / ours, "linear_probe s": ours, "scikit-learn s": theirs}


def judging(rows: int = 60_000) -> Figures:
    """The measures of the suite `quick` on 60,000 x 512 features: 10 classes and 10 domains, 10,000 to test on."""
    from disentangle_bench.benchmarks.planning import suite
    from disentangle_bench.datamodules.targets import TargetSpec
    from disentangle_bench.evaluation.features import FeatureBank
    from disentangle_bench.evaluation.protocol import evaluate

    x, y = clusters(rows, 512, 10)
    domain = np.random.default_rng(1).integers(0, 10, rows)
    ends = {
        "train": slice(0, rows * 3 // 4),
        "val": slice(rows * 3 // 4, rows * 5 // 6),
        "test": slice(rows * 5 // 6, rows),
    }
    ends |= {"probe": ends["train"], "probe_val": ends["val"]}  # class and domain are independent everywhere here
    labels = {split: {"class": y[part], "domain": domain[part]} for split, part in ends.items()}
    bank = FeatureBank({"features": {split: x[part] for split, part in ends.items()}}, labels)
    targets = (TargetSpec("class", "class", 10, "content"), TargetSpec("domain", "class", 10, "domain"))
    start = time.perf_counter()
    evaluate(bank, targets, suite.read("quick").measures)
    return {"protocol s": time.perf_counter() - start}


def memory() -> Figures:
    """Peak memory of the same at 15,000 to 120,000 rows of 512 float32, which themselves take 0.03 to 0.25 GB."""
    peaks = {}
    for rows in (15_000, 30_000, 60_000, 120_000):
        _, _, peaks[f"{rows:,} rows GB"] = in_process(partial(judging, rows))
    return peaks


def loss_memory() -> Figures:
    """Peak memory of InfoNCE and its gradient for 8,192 images: by blocks of rows as it is, and all at once."""
    peaks = {name: in_process(partial(_large_loss, name == "whole"))[2] for name in ("blocks", "whole")}
    return {"ratio": peaks["whole"] / peaks["blocks"]} | {f"{name} GB": peak for name, peak in peaks.items()}


def _large_loss(whole: bool) -> Figures:
    import torch
    from torch.nn.functional import normalize

    from disentangle_bench.methods.objectives import contrastive

    if whole:
        contrastive.AT_ONCE = 1 << 62
    views = [normalize(torch.randn(8_192, 128), dim=1).requires_grad_() for _ in range(2)]
    contrastive.info_nce(views[0], views[1]).backward()
    return {}


def large_probe() -> Figures:
    """The linear probe on 126,000 x 2,048 features of 100 classes (ImageNet-100), 1.03 GB of float32."""
    from disentangle_bench.evaluation.metrics.probes import linear_probe

    x, y = clusters(131_000, 2048, 100)
    start = time.perf_counter()
    linear_probe(x[:126_000], y[:126_000], x[126_000:], y[126_000:], num_classes=100)
    return {"linear_probe s": time.perf_counter() - start}


def partition() -> Figures:
    """IP-IRM's maximisation step on 5,000 x 128 features at the paper's settings."""
    import torch
    from torch.nn.functional import normalize

    from disentangle_bench.methods.objectives.ip_irm import learn_partition

    generator = torch.Generator().manual_seed(0)
    z1, z2 = (normalize(torch.randn(5_000, 128, generator=generator), dim=1) for _ in range(2))
    start = time.perf_counter()
    learn_partition(z1, z2, generator=generator)
    return {"learn_partition s": time.perf_counter() - start}


def loader() -> Figures:
    """Training batches of 32x32 images from memory."""
    from disentangle_bench import datamodules

    data = datamodules.build("sprites", image_size=32, batch_size=512)
    data.setup()
    start, images = time.perf_counter(), 0
    while time.perf_counter() - start < 5:
        images += sum(len(batch["image"]) for batch in data.train_dataloader())
    return {"images 1/s": images / (time.perf_counter() - start)}


def views() -> Figures:
    """SimCLR's two views of a batch of 256 images, 32x32, and in turns the same without what numba compiles."""
    from unittest.mock import patch

    import torch

    from disentangle_bench.methods.views import Augmentation, pixels

    images, generator = torch.rand(256, 3, 32, 32), torch.Generator().manual_seed(0)

    def batch() -> float:
        start = time.perf_counter()
        Augmentation().apply(images, Augmentation().draw(256, generator))
        return time.perf_counter() - start

    batch()  # compiles, where that wasn't done before
    turns = []
    for _ in range(300):
        with patch.object(pixels, "compiled", lambda: None):
            plain = batch()
        turns.append((batch(), plain))
    fused, plain = (median(column) for column in zip(*turns, strict=True))
    return {"ratio": plain / fused, "views 1/s": 256 / fused, "without numba 1/s": 256 / plain}


def start_up() -> Figures:
    """`bench --help` and `bench list methods`, and importing the parser alone."""

    def seconds(*words: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start

    bench = ("-m", "disentangle_bench.benchmarks")
    turns = [
        (seconds("-c", "import jsonargparse"), seconds(*bench, "--help"), seconds(*bench, "list", "methods"))
        for _ in range(5)
    ]
    bare, told, listed = (median(column) for column in zip(*turns, strict=True))
    return {"ratio": bare / told, "parser s": bare, "help s": told, "list s": listed}
