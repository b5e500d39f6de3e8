"""Measures of how spaces and single codes carry the factors of the images."""

from __future__ import annotations

from functools import partial

import numpy as np

from disentangle_bench.datamodules.targets import TargetSpec
from disentangle_bench.evaluation.measures.base import FACTORS, Measure, Score, Space, above_chance, each, measured
from disentangle_bench.evaluation.measures.probing import UNKNOWN, independent_head, need_known, share_unknown
from disentangle_bench.evaluation.metrics.errors import MetricUndefined
from disentangle_bench.evaluation.outcomes import Measured, Outcome


def informativeness(space: Space, target: TargetSpec) -> Measured:
    """How well a linear head reads a target, on one scale for all kinds: 0 is a constant guess, 1 is perfect.

    It learns on images whose content and domain are independent, or are weighted to be so. Targets with classes:
    (accuracy - chance) / (1 - chance), chance being the share of the test images' most frequent class, which is also
    the guess of a head that does worse than that. Numbers and angles: R^2 of ridge regression, or 0 where it is less.
    """
    from disentangle_bench.evaluation.metrics.probes import explained
    from disentangle_bench.evaluation.metrics.probes.scoring import better_than_constant, chance

    space.need_probe()
    x, y, weights = space.x, space.labels(target), space.weigh("test")
    if target.discrete:
        truth = y["test"]
        level = chance(truth, weights)
        if level == 1:
            raise MetricUndefined(f"all test images have one value of {target.name}")
        need_known(space, target)
        guess = better_than_constant(independent_head(space, target).predict(x["test"]), truth, weights)
        return measured({"told": above_chance(guess, truth, weights, level)}, predicted=guess, labels=truth)
    terms = explained(
        x["probe"],
        y["probe"],
        x["test"],
        y["test"],
        circular=target.kind == "circular",
        val=(x["probe_val"], y["probe_val"]),
        weights=(space.weigh("probe"), space.weigh("probe_val"), weights),
    ).astype(np.float32)
    if np.average(terms, weights=weights) < 0:
        terms = np.zeros_like(terms)
    return measured({"told": Outcome(terms, weights)})


def factor_sample(
    space: Space, targets: tuple[TargetSpec, ...], split: str, points: int, bins: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """At most `points` codes [n, d] of a split and their factors [n, F]; numbers are cut in `bins` of equal width.

    Images that have weights are drawn in proportion to them, with replacement. Factors with one value in the probe
    split are left out, there is nothing to tell; and those whose test values nobody could learn there.
    """
    space.need_probe()
    draw, weights, count = np.random.default_rng(seed), space.weigh(split), len(space.x[split])
    if weights is None:
        rows = draw.permutation(count)[:points]
    else:
        rows = draw.choice(count, min(points, count), p=weights / weights.sum())
    rows = np.sort(rows)
    columns = []
    for target in targets:
        known = space.y["probe"][target.name]
        if len(np.unique(known)) < 2 or (target.discrete and share_unknown(space, target) > UNKNOWN):
            continue
        values = space.y[split][target.name][rows]
        if not target.discrete:
            values = np.digitize(values, np.histogram_bin_edges(known, bins)[1:-1])
        columns.append(values.astype(np.int64))
    if len(columns) < 2:
        raise MetricUndefined(f"this measure compares factors, and {len(columns)} of the targets varies")
    return np.asarray(space.x[split][rows]), np.stack(columns, axis=1)


def probe_and_test(
    space: Space, targets: tuple[TargetSpec, ...], probe: int, test: int, bins: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Samples of both splits: codes and factors of probe, codes and factors of test."""
    return (
        *factor_sample(space, targets, "probe", probe, bins, seed),
        *factor_sample(space, targets, "test", test, bins, seed),
    )


def _scaled(train_z: np.ndarray, train_f: np.ndarray, test_z: np.ndarray, test_f: np.ndarray) -> tuple:
    """All codes by one number, so that the widest has the standard deviation 1 that a VAE's prior would give it."""
    train_z = train_z.astype(np.float64)
    widest = train_z.std(axis=0).max()
    scale = widest if widest > 0 else 1.0
    return train_z / scale, train_f, test_z.astype(np.float64) / scale, test_f


def dci(
    space: Space,
    *targets: TargetSpec,
    probe_points: int = 1000,
    test_points: int = 1000,
    bins: int = 20,
    seed: int = 0,
) -> dict[str, float]:
    """Disentanglement, completeness, informativeness from gradient-boosted trees, on a sample (trees take long)."""
    from disentangle_bench.evaluation.metrics import disentanglement

    return disentanglement.dci(*probe_and_test(space, targets, probe_points, test_points, bins, seed), seed=seed)


def mig(space: Space, *targets: TargetSpec, points: int = 10_000, bins: int = 20, seed: int = 0) -> dict[str, float]:
    """Mutual information gap of the codes of images whose factors are independent."""
    from disentangle_bench.evaluation.metrics import disentanglement

    return disentanglement.mig(*factor_sample(space, targets, "probe", points, bins, seed), bins=bins)


def sap(
    space: Space,
    *targets: TargetSpec,
    probe_points: int = 2000,
    test_points: int = 2000,
    bins: int = 20,
    seed: int = 0,
) -> dict[str, float]:
    """Separated attribute predictability, with a linear classifier on each code, standardised, on a sample."""
    from disentangle_bench.evaluation.metrics import disentanglement

    return disentanglement.sap(*probe_and_test(space, targets, probe_points, test_points, bins, seed), standardize=True)


def modularity(
    space: Space,
    *targets: TargetSpec,
    probe_points: int = 10_000,
    test_points: int = 5000,
    bins: int = 20,
    seed: int = 0,
) -> dict[str, float]:
    """Modularity of single codes, explicitness of all of them."""
    from disentangle_bench.evaluation.metrics.disentanglement import modularity_explicitness

    return modularity_explicitness(*probe_and_test(space, targets, probe_points, test_points, bins, seed), bins=bins)


def irs(
    space: Space,
    *targets: TargetSpec,
    points: int = 10_000,
    quantile: float = 0.99,
    bins: int = 20,
    seed: int = 0,
) -> dict[str, float]:
    """Interventional robustness of the codes of images whose factors are independent."""
    from disentangle_bench.evaluation.metrics import disentanglement

    z, factors = factor_sample(space, targets, "probe", points, bins, seed)
    return disentanglement.irs(z, factors, quantile=quantile, bins=bins)


def factor_vae(
    space: Space,
    *targets: TargetSpec,
    train_votes: int = 5000,
    test_votes: int = 2500,
    batch_size: int = 64,
    prune_threshold: float = 0.05,
    bins: int = 20,
    seed: int = 0,
) -> dict[str, float]:
    """FactorVAE score: votes drawn from probe images name the codes, votes drawn from test images are scored.

    Codes are scaled to the range of a VAE's (`_scaled`): what is too narrow to count is then the same for all encoders.
    """
    from disentangle_bench.evaluation.metrics.disentanglement import factor_vae_of_codes

    drawn = {"train_votes": train_votes, "test_votes": test_votes, "batch_size": batch_size, "seed": seed}
    parts = _scaled(*probe_and_test(space, targets, 10_000, 5000, bins, seed))
    return factor_vae_of_codes(*parts, **drawn, prune_threshold=prune_threshold)


def beta_vae(
    space: Space,
    *targets: TargetSpec,
    train_pairs: int = 5000,
    test_pairs: int = 2500,
    batch_size: int = 64,
    bins: int = 20,
    seed: int = 0,
) -> dict[str, float]:
    """beta-VAE score: which factor do pairs share, learned on probe images, scored on test images.

    Codes are scaled to the range of a VAE's (`_scaled`): the regression's penalty depends on it.
    """
    from disentangle_bench.evaluation.metrics.disentanglement import beta_vae_of_codes

    parts = _scaled(*probe_and_test(space, targets, 10_000, 5000, bins, seed))
    return beta_vae_of_codes(*parts, train_points=train_pairs, test_points=test_pairs, batch_size=batch_size, seed=seed)


_SHARE = Score("up", 0, 1, "near 0")
_GUESS = Score("up", 0, 1, "1 / factors", "percent")
_FIT_SCORED = "fit on a sample of probe, scored on a sample of test"
_factors = partial(Measure, version=2, targets=FACTORS, aspect="factors")

MEASURES = (
    Measure(
        name="informativeness",
        version=2,
        targets=each(),
        splits="fit on probe, strength picked on probe_val, scored on test",
        source="the informativeness of Eastwood & Williams (ICLR 2018), linear and normalised by chance",
        aspect="factors",
        scores={"told": Score("up", 0, 1, "0", "percent")},
        run=informativeness,
        matrix=True,
    ),
    _factors(
        name="dci",
        splits=_FIT_SCORED,
        source="Eastwood & Williams: A Framework for the Quantitative Evaluation of Disentangled Representations "
        "(ICLR 2018); gradient-boosted trees as in Locatello et al. (ICML 2019)",
        scores={"disentanglement": _SHARE, "completeness": _SHARE},
        run=dci,
    ),
    _factors(
        name="mig",
        splits="a sample of probe",
        source="Chen et al.: Isolating Sources of Disentanglement in VAEs (NeurIPS 2018)",
        scores={"mig": _SHARE},
        run=mig,
    ),
    _factors(
        name="sap",
        splits=_FIT_SCORED,
        source="Kumar et al.: Variational Inference of Disentangled Latent Concepts (ICLR 2018)",
        scores={"sap": _SHARE},
        run=sap,
    ),
    _factors(
        name="modularity",
        splits="modularity on a sample of probe; explicitness fit on it, scored on a sample of test",
        source="Ridgeway & Mozer: Learning Deep Disentangled Embeddings with the F-Statistic Loss (NeurIPS 2018)",
        scores={
            "modularity": Score("up", 0, 1, "above 0, the more so the fewer factors", most_codes=4),
            "explicitness_test": Score("up", 0, 1, "0.5", most_codes=32),
        },
        run=modularity,
    ),
    _factors(
        name="irs",
        splits="a sample of probe",
        source="Suter et al.: Robustly Disentangled Causal Mechanisms (ICML 2019)",
        scores={"irs": Score("up", 0, 1, "above 0, the more so the fewer images a value has", most_codes=4)},
        run=irs,
    ),
    _factors(
        name="factor_vae",
        splits=_FIT_SCORED,
        source="Kim & Mnih: Disentangling by Factorising (ICML 2018)",
        scores={"eval_accuracy": _GUESS},
        run=factor_vae,
    ),
    _factors(
        name="beta_vae",
        splits=_FIT_SCORED,
        source="Higgins et al.: beta-VAE (ICLR 2017)",
        scores={"eval_accuracy": _GUESS},
        run=beta_vae,
    ),
)
