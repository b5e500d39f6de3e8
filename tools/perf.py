"""What takes time, measured side by side with what it is compared with: `make perf`, or `python -m tools.perf loader`.

Each entry runs in a process of its own, for its peak memory. Shared machines are noisy: read the ratios.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import numpy as np
from tabulate import tabulate
from tqdm import tqdm

Entry = Callable[[], dict[str, float]]
"""Returns named seconds, rates whose name ends in `/s`, or memory whose name ends in `GB`; of two seconds the ratio is
shown."""


def clusters(rows: int, dim: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping Gaussian clusters: float32 [rows, dim] and their labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, rows)
    centers = np.random.default_rng(0).normal(size=(classes, dim))
    return (0.15 * centers[labels] + rng.normal(size=(rows, dim))).astype(np.float32), labels


def linear_path() -> dict[str, float]:
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
    return {"linear_probe": ours, "scikit-learn": time.perf_counter() - start}


def default_protocol(rows: int = 60_000) -> dict[str, float]:
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
    return {"protocol": time.perf_counter() - start}


def memory() -> dict[str, float]:
    """Peak memory of the same at 15,000 to 120,000 rows of 512 float32, which themselves take 0.03 to 0.25 GB."""
    peaks = {}
    for rows in (15_000, 30_000, 60_000, 120_000):
        _, _, peaks[f"{rows:,} rows GB"] = in_process(partial(default_protocol, rows))
    return peaks


def large_probe() -> dict[str, float]:
    """The linear probe on 126,000 x 2,048 features of 100 classes (ImageNet-100), 1.03 GB of float32."""
    from disentangle_bench.evaluation.metrics.probes import linear_probe

    x, y = clusters(131_000, 2048, 100)
    start = time.perf_counter()
    linear_probe(x[:126_000], y[:126_000], x[126_000:], y[126_000:], num_classes=100)
    return {"linear_probe": time.perf_counter() - start}


def partition() -> dict[str, float]:
    """IP-IRM's maximisation step on 5,000 x 128 features at the paper's settings."""
    import torch
    from torch.nn.functional import normalize

    from disentangle_bench.methods.objectives.ip_irm import learn_partition

    generator = torch.Generator().manual_seed(0)
    z1, z2 = (normalize(torch.randn(5_000, 128, generator=generator), dim=1) for _ in range(2))
    start = time.perf_counter()
    learn_partition(z1, z2, generator=generator)
    return {"learn_partition": time.perf_counter() - start}


def loader() -> dict[str, float]:
    """Training batches of 32x32 images from memory."""
    from disentangle_bench import datamodules

    data = datamodules.build("sprites", image_size=32, batch_size=512)
    data.setup()
    start, images = time.perf_counter(), 0
    while time.perf_counter() - start < 5:
        images += sum(len(batch["image"]) for batch in data.train_dataloader())
    return {"images/s": images / (time.perf_counter() - start)}


def views() -> dict[str, float]:
    """SimCLR's two views of a batch of 256 images, 32x32."""
    import torch

    from disentangle_bench.methods.views import Augmentation

    images, generator = torch.rand(256, 3, 32, 32), torch.Generator().manual_seed(0)
    start, made = time.perf_counter(), 0
    while time.perf_counter() - start < 5:
        Augmentation().apply(images, Augmentation().draw(256, generator))
        made += 256
    return {"views/s": made / (time.perf_counter() - start)}


def step(name: str, rounds: int = 7, steps: int = 3) -> dict[str, float]:
    """A training step of {name} on 128 images, 32x32, and the bare network's on as many views."""
    import torch

    from disentangle_bench import datamodules, methods
    from disentangle_bench.methods.networks.backbones import backbone

    data = datamodules.build("colored_digits", image_size=32, batch_size=128)
    data.setup()
    batch = next(iter(data.train_dataloader()))
    method = methods.find(name)(image_shape=data.image_shape, data=data.describe()).to(
        memory_format=torch.channels_last
    )
    method.log = method.log_dict = lambda *args, **kwargs: None
    method._share_of_budget = lambda step: 0.5  # there is no trainer to ask
    if name == "ip_irm":
        method.partitions = [torch.randn(len(data.splits["train"]), method.num_subsets)] * 2
    if name == "contrastive_clustering":
        method.has_centers = True
    network = backbone("convnet", data.image_shape).to(memory_format=torch.channels_last)
    method.training_step(batch, 0)
    passes = method.forward_passes // len(batch["image"])
    views = method.views(batch, passes)

    def floor() -> torch.Tensor:
        return sum((network(view).square().mean() for view in views), torch.zeros(()))

    def taken(module: torch.nn.Module, loss: Callable[[], torch.Tensor]) -> Callable[[], float]:
        optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3, fused=True)

        def run() -> float:
            start = time.perf_counter()
            for _ in range(steps):
                optimizer.zero_grad()
                loss().backward()
                optimizer.step()
            return time.perf_counter() - start

        run()  # the first ones are slower
        return run

    bare, full = taken(network, floor), taken(method, lambda: method.training_step(batch, 1))
    pairs = [(bare(), full()) for _ in range(rounds)]  # in turns: others may use the machine
    network_seconds, method_seconds = (median(column) / steps for column in zip(*pairs, strict=True))
    return {"network ms": 1e3 * network_seconds, "method ms": 1e3 * method_seconds}


STEPS = ("simclr", "vicreg", "barlow_twins", "ip_irm", "style_blocks", "contrastive_clustering", "domain_contrastive")
ENTRIES: dict[str, Entry] = {
    f.__name__: f for f in (linear_path, large_probe, default_protocol, memory, partition, loader, views)
} | {f"step_{name}": partial(step, name) for name in STEPS}


def in_process(entry: Entry) -> tuple[dict[str, float], float, float]:
    """Figures of an entry that runs in a process of its own, its processor seconds and its peak memory in GB.

    Raises:
        EOFError: it failed.
    """
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=_measure, args=(entry, sender))
    process.start()
    sender.close()
    figures = receiver.recv()
    process.join()
    return figures


def _measure(entry: Entry, pipe: Any) -> None:
    figures = entry()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    pipe.send((figures, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20))


def measure(names: list[str]) -> str:
    """Run the named entries and return a table of their figures."""
    rows = []
    for name in tqdm(names, desc="perf", disable=None):
        try:
            figures, cpu, peak = in_process(ENTRIES[name])
        except EOFError:
            rows.append([name, "failed, see above", "", "", "", ""])
            continue
        seconds = [value for key, value in figures.items() if not key.endswith(("/s", "GB"))]
        ratio = f"{seconds[0] / seconds[1]:.2f}" if len(seconds) == 2 else ""
        entry = ENTRIES[name]
        told = (entry.func.__doc__ or "").format(name=entry.args[0]) if isinstance(entry, partial) else entry.__doc__
        about = " ".join((told or "").split())
        rows.append(
            [name, ", ".join(map(_shown, figures, figures.values())), ratio, f"{cpu:.1f}", f"{peak:.2f}", about]
        )
    load = f"{os.getloadavg()[0]:.1f}"
    headers = ["entry", "measured", "ratio", "CPU s", "peak GB", "what"]
    return tabulate(rows, headers=headers, maxcolwidths=[None, 40, None, None, None, 60]) + (
        f"\nload average at the end: {load}"
    )


def _shown(name: str, value: float) -> str:
    if name.endswith("/s"):
        return f"{name} {value:,.0f}"
    if name.endswith("ms"):
        return f"{name.removesuffix(' ms')} {value:.1f} ms"
    return f"{name.removesuffix(' GB')} {value:.2f} GB" if name.endswith("GB") else f"{name} {value:.1f} s"


def main() -> None:
    """Measure the entries that are named on the command line, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("entries", nargs="*", choices=[*ENTRIES, []], default=[], help="default: all")
    print(measure(parser.parse_args().entries or list(ENTRIES)))


if __name__ == "__main__":
    main()
