"""The questions of `factors`, by measures that were made for codes as wide as a backbone's."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from disentangle_bench.datamodules.targets import TargetSpec
from disentangle_bench.evaluation.measures.base import FACTORS, Measure, Score, Space, TargetSelection
from disentangle_bench.evaluation.measures.factors import factor_sample, probe_and_test
from disentangle_bench.evaluation.metrics.errors import MetricUndefined

MCC_POINTS = 20_000
"""Images of a split that MCC takes at most: it ranks all codes of all of them, in double precision."""


def dci_es(
    space: Space,
    *targets: TargetSpec,
    probe_points: int = 1000,
    test_points: int = 1000,
    depths: list[int],
    trees: int = 100,
    bins: int = 20,
    seed: int = 0,
) -> dict[str, float]:
    """DCI by forests, and explicitness over their depths: how little a probe needs to be able to do."""
    from disentangle_bench.evaluation.metrics import disentanglement

    parts = probe_and_test(space, targets, probe_points, test_points, bins, seed)
    return disentanglement.dci_es(*parts, depths=depths, trees=trees, seed=seed)


def infomec(
    space: Space, *targets: TargetSpec, points: int = 2000, neighbours: int = 10, bins: int = 20, seed: int = 0
) -> dict[str, float]:
    """InfoM, InfoC and InfoE of the codes of images whose factors are independent.

    Modularity is a mean over all active codes: many codes of noise hide a few good ones (results/measures.md).
    """
    from disentangle_bench.evaluation.metrics import disentanglement

    z, factors = factor_sample(space, targets, "probe", points, bins, seed)
    found = disentanglement.infomec(z, factors, neighbours=neighbours, seed=seed)
    if len(z) < 10 * z.shape[1]:
        found.pop("explicitness")  # a regression with a parameter for every few points fits anything
    return found


def med(
    space: Space, *targets: TargetSpec, points: int = 10_000, top: int = 1, bins: int = 20, seed: int = 0
) -> dict[str, float]:
    """DCI of mutual information, of all codes and of the best `top` a factor."""
    from disentangle_bench.evaluation.metrics import disentanglement

    return disentanglement.med(*factor_sample(space, targets, "probe", points, bins, seed), bins=bins, top=top)


def mcc(space: Space, *targets: TargetSpec) -> dict[str, float]:
    """Mean correlation of each factor that is a number with its code; `ranked`: of their ranks.

    Codes are assigned to factors on the probe images and scored on the test images, since the best of many codes
    correlates with anything on the images that it was found on.
    """
    from disentangle_bench.evaluation.metrics import disentanglement

    (z, factors), held = (_some(*_numbers(space, targets, split), MCC_POINTS) for split in ("probe", "test"))
    return {
        "mcc": disentanglement.mcc(z, factors, held=held)["mcc"],
        "ranked": disentanglement.mcc(z, factors, held=held, ranks=True)["mcc"],
    }


def block_r2(
    space: Space, *targets: TargetSpec, probe_points: int = 1000, test_points: int = 5000, seed: int = 0
) -> dict[str, float]:
    """How well a space determines all numbers of one role, linearly and by kernel ridge regression.

    The paper fits on 10 240 or 20 480 points; the kernel's time goes with their cube.
    """
    from disentangle_bench.evaluation.metrics.probes.block_r2 import block_r2

    points = {"probe": probe_points, "test": test_points}
    parts = [_some(*_numbers(space, targets, split), count, seed) for split, count in points.items()]
    return block_r2(*(part for pair in parts for part in pair))


def _some(z: np.ndarray, factors: np.ndarray, points: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """At most `points` rows of both."""
    rows = np.sort(np.random.default_rng(seed).permutation(len(z))[:points])
    return z[rows], factors[rows]


def _numbers(space: Space, targets: tuple[TargetSpec, ...], split: str) -> tuple[np.ndarray, np.ndarray]:
    """Codes [N, d] and factors [N, F] of a split; images have to count alike."""
    space.need_probe()
    if not targets:
        raise MetricUndefined("none of the targets is a number")
    if space.weigh(split) is not None:
        raise MetricUndefined(f"split {split!r} has weights, which this measure knows nothing of")
    columns = [space.y[split][target.name].astype(np.float64) for target in targets]
    return space.x[split], np.stack(columns, axis=1)


def _is_number(target: TargetSpec) -> bool:
    return target.kind in ("ordinal", "continuous")


NUMBERS = TargetSelection(
    "all targets that are numbers", lambda targets: [("numbers", tuple(filter(_is_number, targets)))]
)
NUMBERS_BY_ROLE = TargetSelection(
    "the numbers of each role",
    lambda targets: [
        (f"{role} numbers", chosen)
        for role in ("content", "style", "domain")
        if (chosen := tuple(t for t in targets if t.role == role and _is_number(t)))
    ],
)
_SHARE = Score("up", 0, 1, "near 0")
_DETERMINED = Score("up", -float("inf"), 1, "0")
_factors = partial(Measure, version=1, targets=FACTORS, aspect="factors")

MEASURES = (
    _factors(
        name="dci_es",
        splits="fit on a sample of probe, scored on a sample of test",
        source="Eastwood et al.: DCI-ES: An Extended Disentanglement Framework with Connections to Identifiability "
        "(ICLR 2023); random forests",
        scores={
            "disentanglement": _SHARE,
            "completeness": _SHARE,
            "explicitness": Score("up", -1, 1, "of the order of 1: nothing is learnt at any depth"),
        },
        run=partial(dci_es, depths=[1, 2, 3, 4, 8, 10, 12, 14, 16, 18, 20, 32]),
    ),
    _factors(
        name="infomec",
        splits="a sample of probe",
        source="Hsu et al.: Disentanglement via Latent Quantization (NeurIPS 2023)",
        scores={
            "modularity": replace(_SHARE, chance="above 0, the more so the fewer factors", most_codes=8),
            "compactness": replace(_SHARE, chance="above 0, the more so the fewer factors", most_codes=32),
            "explicitness": replace(_SHARE, chance="above 0, the more so the wider the space"),
        },
        run=infomec,
    ),
    _factors(
        name="med",
        splits="a sample of probe",
        source="Cao et al.: An Empirical Study on Disentanglement of Negative-free Contrastive Learning (NeurIPS 2022)",
        scores={"disentanglement": replace(_SHARE, most_codes=4), "top_disentanglement": _SHARE},
        run=med,
    ),
    _factors(
        name="mcc",
        targets=NUMBERS,
        splits="codes assigned on probe, scored on test",
        source="Hyvarinen & Morioka: Unsupervised Feature Extraction by Time-Contrastive Learning and Nonlinear ICA "
        "(NeurIPS 2016), as in Zimmermann et al. (ICML 2021)",
        scores={"mcc": _SHARE, "ranked": _SHARE},
        run=mcc,
    ),
    _factors(
        name="block_r2",
        targets=NUMBERS_BY_ROLE,
        splits="fit and picked on a sample of probe, scored on a sample of test",
        source="von Kuegelgen et al.: Self-Supervised Learning with Data Augmentations Provably Isolates Content from "
        "Style (NeurIPS 2021)",
        scores={"linear": _DETERMINED, "kernel": _DETERMINED},
        run=block_r2,
    ),
)
