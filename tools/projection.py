"""Projected cost of the suites by data set on a GPU: the tables of docs/scaling.md.

Measures training steps of ResNet-18 on this processor (a minute); `--rate` is what a GPU sustains, in TFLOP/s.
"""

from __future__ import annotations

import argparse
import time
from functools import cache
from itertools import pairwise

import torch
from tabulate import tabulate
from torch.utils.flop_counter import FlopCounterMode

from disentangle_bench.benchmarks.planning import suite
from disentangle_bench.methods.networks.backbones import backbone
from disentangle_bench.methods.objectives.kmeans import IMAGES_A_CLUSTER, lloyd, spread_out

IMAGES = {  # trained on (with the suite's val_fraction of 0.1), and edge of the views in pixels
    **{"cifar10": (45_000, 32), "cifar100": (45_000, 32), "stl10": (104_500, 96), "tiny_imagenet": (90_000, 64)},
    **{"imagenet10": (11_700, 224), "imagenet100": (114_000, 224), "pacs": (7_193, 112), "shapes3d": (345_600, 64)},
}
PASSES = {  # of the encoder for each image of each epoch; shown by `forward_passes` / `images_seen` of any record
    **{"simclr": 2, "vicreg": 2, "barlow_twins": 2, "ip_irm": 2, "style_blocks": 4},
    **{"domain_contrastive": 2, "contrastive_clustering": 2.5, "supervised": 1},
    **{"simsiam": 2, "swav": 2, "looc": 4, "augself": 2, "cc": 2, "odr": 1, "beta_vae": 1, "factor_vae": 1},
    **{"byol": 2 + 2 / 3, "dino": 2 + 2 / 3, "moco": 1 + 1 / 3},  # momentum encoders only go forward
}
BACKWARD = 3
"""A training step in forward passes: one forward, two for the gradients of activations and weights."""
KMEANS = [(8_192, 512, 64), (8_192, 512, 128), (8_192, 1_024, 128), (16_384, 1_024, 128), (16_384, 1_024, 256)]
"""Images, width and clusters that k-means is measured at."""
LARGEST = (1.28e6, 2048, 1000)
"""The same of ImageNet's training images with ResNet-50's features."""


@cache
def flops(edge: int) -> int:
    """FLOP of a forward pass of ResNet-18 on one image of this edge, counted on the meta device (multiply-add: 2)."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():
        backbone("resnet18", (3, edge, edge)).eval()(torch.zeros(1, 3, edge, edge))
    return counter.get_total_flops()


def measured_rate(edge: int, batch: int = 16, steps: int = 3) -> float:
    """FLOP/s of processor time of training steps on one thread."""
    torch.set_num_threads(1)
    network = backbone("resnet18", (3, edge, edge)).train()
    images = torch.rand(batch, 3, edge, edge).contiguous(memory_format=torch.channels_last)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network(images).square().mean().backward()
    start = time.process_time()
    for _ in range(steps):
        network(images).square().mean().backward()
    return steps * batch * BACKWARD * flops(edge) / (time.process_time() - start)


def lloyd_flops(images: float, width: int, clusters: int, iterations: int) -> float:
    """Two products of matrices an iteration: distances, and sums by cluster."""
    return 4.0 * images * width * clusters * iterations


def start_bytes(images: float, width: int, clusters: int) -> float:
    """Read for one start of k-means: all features for each centre, in float32."""
    return 4.0 * images * width * clusters


def measured_kmeans(images: int, width: int, clusters: int) -> tuple[float, float]:
    """FLOP/s of Lloyd's iterations and bytes/s of a start, in processor time on one thread."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(images, width, generator=generator)
    times = [time.process_time()]
    centers = spread_out(features, clusters, generator)
    times.append(time.process_time())
    lloyd(features, centers, 3, torch.tensor(0.0))
    times.append(time.process_time())
    start, iterations = (after - before for before, after in pairwise(times))
    return lloyd_flops(images, width, clusters, 3) / iterations, start_bytes(images, width, clusters) / start


def suite_hours(rate: float) -> list[list[str]]:
    """A row a suite: its name, epochs, hours of a seed of simclr and of style_blocks, and of all methods and seeds.

    Args:
        rate: FLOP/s that the device sustains.
    """
    rows = []
    for name, (count, edge) in IMAGES.items():
        known = suite.read(name)
        epochs, each = known.budget.epochs or 0, count * flops(edge) / rate / 3600
        partitions = 2 * -(-epochs // known.settings["ip_irm"]["partition_every"])  # two forward passes of all images
        hours = {method: passes * epochs * BACKWARD * each for method, passes in PASSES.items()}
        hours["ip_irm"] += partitions * each
        if name not in ("pacs", "shapes3d"):
            hours = {method: cost for method, cost in hours.items() if method not in ("domain_contrastive", "odr")}
        total = sum(hours.values()) * len(known.seeds)
        rows.append(
            [name, str(epochs), *(f"{float(f'{h:.2g}'):g}" for h in (hours["simclr"], hours["style_blocks"], total))]
        )
    return rows


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=50.0, help="sustained TFLOP/s of a GPU in bf16")
    parser.add_argument("--float32", type=float, default=20.0, help="the same in float32, which k-means computes in")
    parser.add_argument("--memory", type=float, default=1.0, help="bytes that it reads, in TB/s")
    options = parser.parse_args()
    edges = sorted({edge for _, edge in IMAGES.values()})
    rows: list[list[object]] = [
        [edge, f"{flops(edge) / 1e9:.2f}", f"{measured_rate(edge) / 1e9:.0f}"] for edge in edges
    ]
    print(tabulate(rows, ["edge", "GFLOP an image", "GFLOP/s measured"], tablefmt="pipe"), "\n")
    print(
        tabulate(
            suite_hours(options.rate * 1e12),
            ["suite", "epochs", "simclr, h", "style_blocks, h", "whole suite, h"],
            tablefmt="pipe",
        )
    )
    rows = []
    for sizes in KMEANS:
        flop, read = measured_kmeans(*sizes)
        rows.append([*sizes, f"{flop / 1e9:.0f}", f"{read / 1e9:.1f}"])
    print("\n" + tabulate(rows, ["images", "width", "clusters", "GFLOP/s", "GB/s"], tablefmt="pipe"))
    images, width, clusters = LARGEST
    part, starts, iterations = min(images, IMAGES_A_CLUSTER * clusters), 10, 300
    flop = starts * lloyd_flops(part, width, clusters, iterations) + lloyd_flops(images, width, clusters, iterations)
    read = starts * start_bytes(part, width, clusters)
    minutes = (flop / options.float32 / 1e12 + read / options.memory / 1e12) / 60
    print(f"\nk-means of {LARGEST}: at most {flop:.1e} FLOP and {read:.1e} bytes read, {minutes:.0f} minutes")


if __name__ == "__main__":
    main()
