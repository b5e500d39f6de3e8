"""`bench perf`: what takes time, measured side by side with what it is compared with.

Each entry runs in a process of its own, for its peak memory. Shared machines are noisy: read the ratios.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from tabulate import tabulate
from tqdm import tqdm

Entry = Callable[[], dict[str, float]]
"""Returns named seconds, or a rate whose name ends in `/s`; the first two seconds are compared as a ratio."""


def clusters(rows: int, dim: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping Gaussian clusters: float32 [rows, dim] and their labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, rows)
    centers = np.random.default_rng(0).normal(size=(classes, dim))
    return (0.15 * centers[labels] + rng.normal(size=(rows, dim))).astype(np.float32), labels


def linear_path() -> dict[str, float]:
    """Ten strengths of the linear probe on 50,000 x 512 features, and scikit-learn's ten fits."""
    from sklearn.linear_model import LogisticRegression

    from evaluation.metrics.probes import L2_GRID, linear_probe

    x, y = clusters(50_000, 512, 10)
    test_x, test_y = clusters(5_000, 512, 10, seed=1)
    start = time.perf_counter()
    linear_probe(x, y, test_x, test_y, num_classes=10, val=(test_x, test_y))
    ours = time.perf_counter() - start
    start = time.perf_counter()
    for l2 in L2_GRID:
        LogisticRegression(C=1 / (l2 * len(x)), max_iter=1000).fit(x, y)
    return {"linear_probe": ours, "scikit-learn": time.perf_counter() - start}


def default_protocol() -> dict[str, float]:
    """linear, knn, kmeans and linear leakage on 60,000 x 512 features, 10 classes."""
    from evaluation.metrics import clustering, invariance, probes

    x, y = clusters(60_000, 512, 10)
    domain = np.random.default_rng(1).integers(0, 10, 10_000)
    train, test = (x[:50_000], y[:50_000]), (x[50_000:], y[50_000:])
    start = time.perf_counter()
    probes.linear_probe(*train, *test, num_classes=10)
    probes.knn(*train, *test, num_classes=10, k=20, temperature=0.07)
    clustering.kmeans_scores(*test, num_clusters=10)
    half = slice(0, 5_000), slice(5_000, None)
    invariance.domain_leakage(
        test[0][half[0]], domain[half[0]], test[0][half[1]], domain[half[1]], num_domains=10, mlp=False
    )
    return {"protocol": time.perf_counter() - start}


def partition() -> dict[str, float]:
    """IP-IRM's maximisation step on 5,000 x 128 features at the paper's settings."""
    import torch
    from torch.nn.functional import normalize

    from methods.objectives.ip_irm import learn_partition

    generator = torch.Generator().manual_seed(0)
    z1, z2 = (normalize(torch.randn(5_000, 128, generator=generator), dim=1) for _ in range(2))
    start = time.perf_counter()
    learn_partition(z1, z2, generator=generator)
    return {"learn_partition": time.perf_counter() - start}


def loader() -> dict[str, float]:
    """Training batches of 32x32 images from memory."""
    import datamodules

    data = datamodules.build("sprites", image_size=32, batch_size=512)
    data.setup()
    start, images = time.perf_counter(), 0
    while time.perf_counter() - start < 5:
        images += sum(len(batch["image"]) for batch in data.train_dataloader())
    return {"images/s": images / (time.perf_counter() - start)}


def views() -> dict[str, float]:
    """SimCLR's two views of a batch of 256 images, 32x32."""
    import torch

    from methods.views import Augmentation

    images, generator = torch.rand(256, 3, 32, 32), torch.Generator().manual_seed(0)
    start, made = time.perf_counter(), 0
    while time.perf_counter() - start < 5:
        Augmentation().apply(images, Augmentation().draw(256, generator))
        made += 256
    return {"views/s": made / (time.perf_counter() - start)}


ENTRIES: dict[str, Entry] = {f.__name__: f for f in (linear_path, default_protocol, partition, loader, views)}


def _measure(entry: Entry, pipe: Any) -> None:
    figures = entry()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    pipe.send((figures, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20))


def measure(names: list[str]) -> str:
    """Run the named entries and return a table of their figures."""
    rows = []
    for name in tqdm(names, desc="perf", disable=None):
        receiver, sender = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.get_context("spawn").Process(target=_measure, args=(ENTRIES[name], sender))
        process.start()
        sender.close()
        try:
            figures, cpu, memory = receiver.recv()
        except EOFError:
            rows.append([name, "failed, see above", "", "", "", ""])
            continue
        process.join()
        seconds = [value for key, value in figures.items() if not key.endswith("/s")]
        shown = ", ".join(f"{k} {v:,.0f}" if k.endswith("/s") else f"{k} {v:.1f} s" for k, v in figures.items())
        ratio = f"{seconds[0] / seconds[1]:.2f}" if len(seconds) == 2 else ""
        rows.append([name, shown, ratio, f"{cpu:.1f}", f"{memory:.2f}", (ENTRIES[name].__doc__ or "").strip()])
    load = f"{os.getloadavg()[0]:.1f}"
    headers = ["entry", "measured", "ratio", "CPU s", "peak GB", "what"]
    return tabulate(rows, headers=headers) + f"\nload average at the end: {load}"
