"""Which measures of codes and factors can be trusted on which codes? The table of results/measures.md.

Codes are planted, so that the truth is known: how much of each factor's code is its own. Each measure should fall as
factors are mixed, and should not move with what says nothing about disentanglement: the codes' number and scale.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from tabulate import tabulate

from disentangle_bench.evaluation.metrics import MetricUndefined
from disentangle_bench.evaluation.metrics import disentanglement as metrics

SIZES = (4, 5, 6, 8)
"""Values of the factors."""
POINTS = 600
MIXING = (0.0, 0.5, 1.0)
"""Share of the way from a code for each factor to codes that each hold all factors alike."""
SKEW = np.array([[0, 1, 1, 1], [-1, 0, -1, 1], [-1, 1, 0, -1], [-1, -1, 1, 0]])
"""cos t + sin t SKEW / sqrt(3) is a rotation for every t; at 60 degrees all its entries are as large."""
TOLERANCE = 0.1
"""By which a score may move with what isn't its business, and rise where it should fall."""
Codes = np.ndarray
Scorer = Callable[[Codes, np.ndarray, Codes, np.ndarray], float]

MEASURES: dict[str, Scorer] = {
    "mig": lambda z, f, *_: metrics.mig(z, f)["mig"],
    "sap": lambda *parts: metrics.sap(*parts, standardize=True)["sap"],
    "modularity": lambda *parts: metrics.modularity_explicitness(*parts)["modularity"],
    "irs": lambda z, f, *_: metrics.irs(z, f)["irs"],
    "med": lambda z, f, *_: metrics.med(z, f)["disentanglement"],
    "med, best codes": lambda z, f, *_: metrics.med(z, f)["top_disentanglement"],
    "infomec modularity": lambda z, f, *_: metrics.infomec(z, f)["modularity"],
    "infomec compactness": lambda z, f, *_: metrics.infomec(z, f)["compactness"],
    "mcc, same points": lambda z, f, *_: metrics.mcc(z, f)["mcc"],
    "mcc": lambda z, f, *held: metrics.mcc(z, f, held=held)["mcc"],
}


CONDITIONS: dict[str, dict[str, object]] = {
    "4 codes": {"width": 4},
    "32, rest noise": {"width": 32},
    "128, rest noise": {"width": 128},
    "32, copies": {"width": 32, "filler": "copies"},
    "one code x 100": {"width": 8, "scale": 100.0},
    "factors correlated": {"width": 8, "correlated": True},
}
"""Name -> what is planted; the first is what the others are compared with."""


def factors(seed: int, correlated: bool = False) -> np.ndarray:
    """Values int [POINTS, F]; correlated: in three of four rows the second factor follows the first."""
    rng = np.random.default_rng(seed)
    drawn = np.stack([rng.integers(size, size=POINTS) for size in SIZES], axis=1)
    if correlated:
        follows = rng.random(POINTS) < 0.75
        drawn[follows, 1] = drawn[follows, 0]
    return drawn


def plant(values: np.ndarray, mixing: float, width: int, filler: str, scale: float, seed: int, split: int) -> Codes:
    """Codes [N, width]: a block with a code for each factor, rotated by `mixing`, then `filler`.

    Args:
        values: the factors.
        mixing: 0: each has its own; 1: each holds all alike.
        width: number of codes.
        filler: `noise` in the codes that are left, or `copies` of the block.
        scale: of the first code alone.
        seed: of the noise.
        split: number of the split, for noise of its own.
    """
    own = (values - values.mean(0)) / values.std(0)
    angle = mixing * np.pi / 3
    block = own @ (np.cos(angle) * np.eye(len(SKEW)) + np.sin(angle) * SKEW / np.sqrt(3))
    noise = np.random.default_rng([seed, split]).normal(size=(len(own), width))
    codes = noise if filler == "noise" else np.resize(np.arange(block.shape[1]), width)
    if filler == "noise":
        codes[:, : block.shape[1]] = block
    else:
        codes = block[:, codes] + 0.05 * noise
    codes[:, 0] *= scale
    return codes


def curve(
    measure: Scorer, *, width: int, filler: str = "noise", scale: float = 1.0, correlated: bool = False, seed: int
) -> list[float]:
    """Scores of a measure as factors are mixed; NaN where it is undefined."""
    fit, test = factors(2 * seed, correlated), factors(2 * seed + 1, correlated)
    found = []
    for mixing in MIXING:
        codes = [plant(values, mixing, width, filler, scale, seed, split) for split, values in enumerate((fit, test))]
        try:
            found.append(measure(codes[0], fit, codes[1], test))
        except MetricUndefined:
            found.append(float("nan"))
    return found


def verdict(scores: list[float], reference: list[float]) -> str:
    """What is wrong with a curve: undefined, blind to mixing, rising with it, or at another level than `reference`."""
    if np.isnan(scores).any():
        return "undefined"
    if scores[0] - scores[-1] < TOLERANCE:
        return "blind"
    if np.diff(scores).max() > TOLERANCE:
        return "rises"
    return "shifted" if abs(scores[0] - reference[0]) > TOLERANCE else "holds"


def main() -> None:
    """Print the table: score of codes of their own -> of a full mixture, and the verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1, help="mean over so many draws")
    seeds = range(parser.parse_args().seeds)
    start, rows = time.perf_counter(), []
    for name, measure in MEASURES.items():
        found = {
            condition: np.mean([curve(measure, **planted, seed=seed) for seed in seeds], axis=0).tolist()  # type: ignore[arg-type]
            for condition, planted in CONDITIONS.items()
        }
        reference = found[next(iter(CONDITIONS))]
        shown = [f"{one[0]:.2f} > {one[-1]:.2f} {verdict(one, reference)}" for one in found.values()]
        nothing = [
            np.random.default_rng([9, seed, split]).normal(size=(POINTS, 128)) for seed in seeds for split in (0, 1)
        ]
        chance = np.mean(
            [measure(nothing[2 * k], factors(2 * k), nothing[2 * k + 1], factors(2 * k + 1)) for k in range(len(seeds))]
        )
        rows.append([name, *shown, f"{chance:.2f}"])
    print(tabulate(rows, ["measure", *CONDITIONS, "128 of noise"], tablefmt="pipe", disable_numparse=True))
    print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
