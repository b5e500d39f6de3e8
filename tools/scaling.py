"""What the suites by data set cost on a GPU, projected: the tables of docs/scaling.md.

Measures training steps of ResNet-18 on this processor (a minute); `--rate` is what a GPU sustains, in TFLOP/s.
"""

from __future__ import annotations

import argparse
import time

import torch
from tabulate import tabulate
from torch.utils.flop_counter import FlopCounterMode

from disentangle_bench.benchmarks.planning import suite
from disentangle_bench.methods.networks.backbones import backbone

IMAGES = {  # trained on (with the suite's val_fraction of 0.1), and edge of the views in pixels
    **{"cifar10": (45_000, 32), "cifar100": (45_000, 32), "stl10": (104_500, 96), "tiny_imagenet": (90_000, 64)},
    **{"imagenet10": (11_700, 224), "imagenet100": (114_000, 224), "pacs": (7_193, 112), "shapes3d": (345_600, 64)},
}
PASSES = {  # of the encoder for each image of each epoch; shown by `forward_passes` / `images_seen` of any record
    **{"simclr": 2, "vicreg": 2, "barlow_twins": 2, "ip_irm": 2, "style_blocks": 4},
    **{"domain_contrastive": 2, "contrastive_clustering": 2.5, "supervised": 1},
    **{"simsiam": 2, "swav": 2, "looc": 4, "augself": 2, "cc": 2, "odr": 1, "beta_vae": 1, "factor_vae": 1},
    **{"byol": 2 + 2 / 3, "moco": 1 + 1 / 3},  # momentum encoders only go forward
}
BACKWARD = 3
"""A training step in forward passes: one forward, two for the gradients of activations and weights."""


def flops(edge: int) -> int:
    """Of one forward pass of one image, two a multiplication and addition."""
    network = backbone("resnet18", (3, edge, edge)).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, edge, edge))
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


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=50.0, help="sustained TFLOP/s of a GPU in bf16")
    rate = parser.parse_args().rate * 1e12
    edges = sorted({edge for _, edge in IMAGES.values()})
    rows = [[edge, f"{flops(edge) / 1e9:.2f}", f"{measured_rate(edge) / 1e9:.0f}"] for edge in edges]
    print(tabulate(rows, ["edge", "GFLOP an image", "GFLOP/s measured"], tablefmt="pipe"), "\n")
    rows = []
    for name, (count, edge) in IMAGES.items():
        epochs = suite.read(name).budget.epochs or 0
        every = suite.read(name).settings["ip_irm"]["partition_every"]
        partitions = 2 * -(-epochs // every) / BACKWARD  # two forward passes of all images each
        hours = {m: p * epochs * count * BACKWARD * flops(edge) / rate / 3600 for m, p in PASSES.items()}
        hours["ip_irm"] += partitions * count * BACKWARD * flops(edge) / rate / 3600
        if name not in ("pacs", "shapes3d"):
            hours = {method: cost for method, cost in hours.items() if method not in ("domain_contrastive", "odr")}
        total = sum(hours.values()) * len(suite.read(name).seeds)
        rows.append([name, epochs, f"{hours['simclr']:.2g}", f"{hours['style_blocks']:.2g}", f"{total:.2g}"])
    print(tabulate(rows, ["suite", "epochs", "simclr, h", "style_blocks, h", "whole suite, h"], tablefmt="pipe"))


if __name__ == "__main__":
    main()
