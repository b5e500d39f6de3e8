"""Do contrastive objectives find the content block where it is known? The table of docs/identifiability.md.

Latents and mixing follow the numerical experiment of von Kuegelgen et al. (NeurIPS 2021, 2106.04619), at small size:
content c, two groups of style that may depend on it, all mixed by an invertible network. Views of an observation share
c; SimCLR's redraw both styles, those of style blocks keep one group each. Block R^2 says what each block determines.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from tabulate import tabulate
from torch import Generator, Tensor, nn
from torch.nn.functional import leaky_relu, normalize

from disentangle_bench.evaluation.metrics.probes.block_r2 import block_r2
from disentangle_bench.methods.networks.heads import mlp
from disentangle_bench.methods.objectives.contrastive import info_nce
from disentangle_bench.methods.objectives.style_blocks import style_info_nce, update_weights

SLOPE = 0.2
"""Negative slope of the mixing's leaky ReLU."""
CANDIDATES = 200
"""Random matrices of which the one with the lowest condition number is taken, as the authors do."""
OBJECTIVES = ("simclr", "style_blocks, fixed weights", "style_blocks")
"""SimCLR, and style blocks with weights fixed at 1 or adapted by dual ascent (2311.08815, section 3.3)."""
WEIGHTS_LR, TOLERANCE, TEMPERATURE = 1.0, 0.001, 0.1


@dataclass(frozen=True)
class CausalBlocks:
    """Latents [N, content + 2 * style] and their mixing to as many observed numbers.

    Attributes:
        content: dimensions of c ~ N(0, I).
        style: dimensions of each of the two groups, s = dependence * B c + N(0, I).
        dependence: how strongly style follows content; 0: independent.
        change: deviation of the normal change of a style group between views.
        layers: of the mixing.
        seed: of B, and of the mixing.
    """

    content: int = 3
    style: int = 1
    dependence: float = 0.0
    change: float = 1.0
    layers: int = 3
    seed: int = 0

    def blocks(self) -> dict[str, slice]:
        """Name -> columns of the latents."""
        ends = (self.content, self.content + self.style, self.content + 2 * self.style)
        return {"content": slice(0, ends[0]), "style 1": slice(ends[0], ends[1]), "style 2": slice(ends[1], ends[2])}

    def draw(self, size: int, generator: Generator) -> Tensor:
        """Latents [size, d]."""
        fixed = Generator().manual_seed(self.seed)
        effect = torch.randn(self.content, 2 * self.style, generator=fixed) / self.content**0.5
        c = torch.randn(size, self.content, generator=generator)
        s = self.dependence * c @ effect + torch.randn(size, 2 * self.style, generator=generator)
        return torch.cat([c, s], 1)

    def view(self, latents: Tensor, kept: str | None, generator: Generator) -> Tensor:
        """Latents of another view: content as it was, both style groups changed, but for the one that is kept."""
        changed = latents + self.change * torch.randn(latents.shape, generator=generator)
        for name, block in self.blocks().items():
            if name in ("content", kept):
                changed[:, block] = latents[:, block]
        return changed

    @cached_property
    def mixing(self) -> list[Tensor]:
        """Square matrices of the layers, columns of length 1, well conditioned."""
        fixed = Generator().manual_seed(self.seed + 1)
        width = self.content + 2 * self.style
        drawn = normalize(torch.randn(self.layers, CANDIDATES, width, width, generator=fixed), dim=2)
        best = torch.linalg.cond(drawn).argmin(1)
        return [drawn[layer, number] for layer, number in enumerate(best)]

    def observe(self, latents: Tensor) -> Tensor:
        """Observations [N, d]: leaky ReLU between invertible matrices."""
        first, *others = self.mixing
        x = latents @ first
        for matrix in others:
            x = leaky_relu(x, SLOPE) @ matrix
        return x


def learn(data: CausalBlocks, method: str, steps: int, batch: int, seed: int) -> nn.Module:
    """An encoder of observations; its code's blocks are `code_blocks` of the method."""
    torch.manual_seed(seed)
    generator = Generator().manual_seed(seed)
    blocks = code_blocks(data, method)
    encoder = mlp(data.content + 2 * data.style, 128, 128, 128, blocks[-1].stop, batch_norm=False)
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    weights = torch.ones(len(blocks))
    for _ in range(steps):
        latents = data.draw(batch, generator)
        kept = [None] if method == "simclr" else [None, "style 1", "style 2"]
        views = [latents, *(data.view(latents, name, generator) for name in kept)]
        query, *keys = encoder(data.observe(torch.cat(views))).chunk(len(views))
        if method == "simclr":
            loss = info_nce(normalize(query, dim=1), normalize(keys[0], dim=1), 0.2)
        else:
            parts = style_info_nce(
                query, keys, blocks, weights=weights, temperature=TEMPERATURE, content_negatives=True
            )
            loss = parts.loss
            if method == "style_blocks":
                misalignment = 1 + TEMPERATURE * parts.alignment.detach()  # 1 - cosine similarity
                weights = update_weights(weights, misalignment, WEIGHTS_LR, TOLERANCE)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return encoder.eval()


def code_blocks(data: CausalBlocks, method: str) -> list[slice]:
    """Blocks of a code on spheres: one dimension more than the latents that they are to hold."""
    widths = [data.content + 1] if method == "simclr" else [data.content + 1, data.style + 1, data.style + 1]
    ends = np.cumsum(widths).tolist()
    return [slice(end - width, end) for end, width in zip(ends, widths, strict=True)]


@torch.no_grad()
def evaluate(data: CausalBlocks, encoder: nn.Module, method: str, seed: int) -> dict[tuple[str, str], float]:
    """(block of the code, block of the latents) -> kernel R^2; `latents c` is what the true content alone tells."""
    generator = Generator().manual_seed(seed + 10_000)
    fit, test = (data.draw(size, generator) for size in (600, 2000))
    codes = [encoder(data.observe(latents)) for latents in (fit, test)]
    inputs = {
        name: [normalize(code[:, block], dim=1) for code in codes]
        for name, block in zip(("content", "style 1", "style 2"), code_blocks(data, method), strict=False)
    }
    inputs["latents c"] = [fit[:, : data.content], test[:, : data.content]]
    return {
        (name, target): block_r2(z_fit, fit[:, block], z_test, test[:, block])["kernel"]
        for name, (z_fit, z_test) in inputs.items()
        for target, block in data.blocks().items()
    }


def main() -> None:
    """Print the table: mean over seeds, and the lowest and highest of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1200, help="of training")
    parser.add_argument("--batch", type=int, default=256, help="latents a step")
    parser.add_argument("--seeds", type=int, default=3, help="how many: each has a mixing and an encoder of its own")
    parser.add_argument("--dependence", type=float, nargs="+", default=[0.0, 1.0], help="of style on content")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for dependence in given.dependence:
        for method in OBJECTIVES:
            found: dict[tuple[str, str], list[float]] = {}
            for seed in range(given.seeds):
                data = CausalBlocks(dependence=dependence, seed=seed)
                encoder = learn(data, method, given.steps, given.batch, seed)
                print(f"learnt: dependence {dependence:g}, {method}, seed {seed}", file=sys.stderr, flush=True)
                for key, value in evaluate(data, encoder, method, seed).items():
                    found.setdefault(key, []).append(value)
            for name in dict.fromkeys(name for name, _ in found):
                parts = [found[name, target] for target in data.blocks()]
                shown = [f"{np.mean(part):.2f} ({min(part):.2f}-{max(part):.2f})" for part in parts]
                rows.append([f"{dependence:g}", method, name, *shown])
    print(tabulate(rows, ["dependence", "objective", "block", *data.blocks()], tablefmt="pipe", disable_numparse=True))


if __name__ == "__main__":
    main()
