"""Which space, and which single code, carries which factor of the images?"""

from __future__ import annotations

import numpy as np

from disentangle_bench.datamodules.targets import TargetSpec
from disentangle_bench.evaluation.measures.base import FACTORS, Measure, Score, Space, each
from disentangle_bench.evaluation.measures.content import linear
from disentangle_bench.evaluation.metrics.errors import MetricUndefined


def informativeness(space: Space, target: TargetSpec, *, seed: int = 0) -> dict[str, float]:
    """How well a linear probe reads a target, on one scale for all kinds: 0 is a constant guess, 1 is perfect.

    Targets with classes: (accuracy - chance) / (1 - chance) of the probe of `linear`, chance being the share of the
    test split's most frequent class. Numbers and angles: R^2 of ridge regression on train. Cut to [0, 1].
    """
    from disentangle_bench.evaluation.metrics.probes import ridge_probe

    x, y = space.x, space.labels(target)
    if target.discrete:
        accuracy = linear(space, target, seed=seed)["top1"]
        chance = np.bincount(y["test"]).max() / len(y["test"])
        if chance == 1:
            raise MetricUndefined(f"all test images have one value of {target.name}")
        value = (accuracy - chance) / (1 - chance)
    else:
        circular = target.kind == "circular"
        value = ridge_probe(x["train"], y["train"], x["test"], y["test"], circular=circular)["r2"]
    return {"told": float(np.clip(value, 0, 1))}


def _sample(
    space: Space, targets: tuple[TargetSpec, ...], split: str, points: int, bins: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """At most `points` codes [n, d] of a split and their factors [n, F]; numbers are cut in `bins` of equal width.

    Factors with one value in the training split are left out: there is nothing to tell.
    """
    rows = np.random.default_rng(seed).permutation(len(space.x[split]))[:points]
    columns = []
    for target in targets:
        known = space.y["train"][target.name]
        if len(np.unique(known)) < 2:
            continue
        values = space.y[split][target.name][np.sort(rows)]
        if not target.discrete:
            values = np.digitize(values, np.histogram_bin_edges(known, bins)[1:-1])
        columns.append(values.astype(np.int64))
    if len(columns) < 2:
        raise MetricUndefined(f"this measure compares factors, and {len(columns)} of the targets varies")
    return np.asarray(space.x[split][np.sort(rows)]), np.stack(columns, axis=1)


def _both(space: Space, targets: tuple[TargetSpec, ...], train: int, test: int, bins: int, seed: int) -> tuple:
    return (
        *_sample(space, targets, "train", train, bins, seed),
        *_sample(space, targets, "test", test, bins, seed),
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
    train_points: int = 1000,
    test_points: int = 1000,
    bins: int = 20,
    seed: int = 0,
) -> dict[str, float]:
    """Disentanglement, completeness, informativeness from gradient-boosted trees, on a sample (trees take long)."""
    from disentangle_bench.evaluation.metrics import disentanglement

    return disentanglement.dci(*_both(space, targets, train_points, test_points, bins, seed), seed=seed)


def mig(space: Space, *targets: TargetSpec, points: int = 10_000, bins: int = 20, seed: int = 0) -> dict[str, float]:
    """Mutual information gap of test codes."""
    from disentangle_bench.evaluation.metrics import disentanglement

    return disentanglement.mig(*_sample(space, targets, "test", points, bins, seed), bins=bins)


def sap(
    space: Space,
    *targets: TargetSpec,
    train_points: int = 2000,
    test_points: int = 2000,
    bins: int = 20,
    seed: int = 0,
) -> dict[str, float]:
    """Separated attribute predictability, with a linear classifier on each code, on a sample."""
    from disentangle_bench.evaluation.metrics import disentanglement

    return disentanglement.sap(*_both(space, targets, train_points, test_points, bins, seed))


def modularity(
    space: Space,
    *targets: TargetSpec,
    train_points: int = 10_000,
    test_points: int = 5000,
    bins: int = 20,
    seed: int = 0,
) -> dict[str, float]:
    """Modularity of single codes, explicitness of all of them."""
    from disentangle_bench.evaluation.metrics.disentanglement import modularity_explicitness

    return modularity_explicitness(*_both(space, targets, train_points, test_points, bins, seed), bins=bins)


def irs(
    space: Space,
    *targets: TargetSpec,
    points: int = 10_000,
    quantile: float = 0.99,
    bins: int = 20,
    seed: int = 0,
) -> dict[str, float]:
    """Interventional robustness of test codes."""
    from disentangle_bench.evaluation.metrics import disentanglement

    return disentanglement.irs(*_sample(space, targets, "test", points, bins, seed), quantile=quantile, bins=bins)


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
    """FactorVAE score: votes drawn from training images name the codes, votes drawn from test images are scored.

    Codes are scaled to the range of a VAE's (`_scaled`): what is too narrow to count is then the same for all encoders.
    """
    from disentangle_bench.evaluation.metrics import disentanglement as metrics

    train_z, train_f, test_z, test_f = _scaled(*_both(space, targets, 10_000, 5000, bins, seed))
    votes, factor = metrics.sample_votes(train_z, train_f, num_votes=train_votes, batch_size=batch_size, seed=seed)
    held, held_factor = metrics.sample_votes(test_z, test_f, num_votes=test_votes, batch_size=batch_size, seed=seed)
    return metrics.factor_vae(
        votes,
        factor,
        train_z.var(axis=0, ddof=1),
        eval_local_variances_z=held,
        eval_factor_index=held_factor,
        prune_threshold=prune_threshold,
    )


def beta_vae(
    space: Space,
    *targets: TargetSpec,
    train_pairs: int = 5000,
    test_pairs: int = 2500,
    batch_size: int = 64,
    bins: int = 20,
    seed: int = 0,
) -> dict[str, float]:
    """beta-VAE score: which factor do pairs share, learned on training images, scored on test images.

    Codes are scaled to the range of a VAE's (`_scaled`): the regression's penalty depends on it.
    """
    from disentangle_bench.evaluation.metrics import disentanglement as metrics

    train_z, train_f, test_z, test_f = _scaled(*_both(space, targets, 10_000, 5000, bins, seed))
    points, factor = metrics.sample_pairs(train_z, train_f, num_points=train_pairs, batch_size=batch_size, seed=seed)
    held, held_factor = metrics.sample_pairs(test_z, test_f, num_points=test_pairs, batch_size=batch_size, seed=seed)
    return metrics.beta_vae(points, factor, eval_pairs_z=held, eval_factor_index=held_factor, seed=seed)


_SHARE = Score("up", 0, 1, "near 0")
_GUESS = Score("up", 0, 1, "1 / factors")
_FIT_SCORED = "fit on a sample of train, scored on a sample of test"

MEASURES = (
    Measure(
        name="informativeness",
        version=1,
        subjects=each(),
        splits="targets with classes as in linear@1; others: fit on train, scored on test",
        source="the informativeness of Eastwood & Williams (ICLR 2018), linear and normalised by chance",
        scores={"told": Score("up", 0, 1, "0")},
        run=informativeness,
        matrix=True,
    ),
    Measure(
        name="dci",
        version=1,
        subjects=FACTORS,
        splits=_FIT_SCORED,
        source="Eastwood & Williams: A Framework for the Quantitative Evaluation of Disentangled Representations "
        "(ICLR 2018); gradient-boosted trees as in Locatello et al. (ICML 2019)",
        scores={"disentanglement": _SHARE, "completeness": _SHARE},
        run=dci,
    ),
    Measure(
        name="mig",
        version=1,
        subjects=FACTORS,
        splits="a sample of test",
        source="Chen et al.: Isolating Sources of Disentanglement in VAEs (NeurIPS 2018)",
        scores={"mig": _SHARE},
        run=mig,
    ),
    Measure(
        name="sap",
        version=1,
        subjects=FACTORS,
        splits=_FIT_SCORED,
        source="Kumar et al.: Variational Inference of Disentangled Latent Concepts (ICLR 2018)",
        scores={"sap": _SHARE},
        run=sap,
    ),
    Measure(
        name="modularity",
        version=1,
        subjects=FACTORS,
        splits="modularity on a sample of train; explicitness fit on it, scored on a sample of test",
        source="Ridgeway & Mozer: Learning Deep Disentangled Embeddings with the F-Statistic Loss (NeurIPS 2018)",
        scores={
            "modularity": Score("up", 0, 1, "above 0, the more so the fewer factors"),
            "explicitness_test": Score("up", 0, 1, "0.5"),
        },
        run=modularity,
    ),
    Measure(
        name="irs",
        version=1,
        subjects=FACTORS,
        splits="a sample of test",
        source="Suter et al.: Robustly Disentangled Causal Mechanisms (ICML 2019)",
        scores={"irs": Score("up", 0, 1, "above 0, the more so the fewer images a value has")},
        run=irs,
    ),
    Measure(
        name="factor_vae",
        version=1,
        subjects=FACTORS,
        splits=_FIT_SCORED,
        source="Kim & Mnih: Disentangling by Factorising (ICML 2018)",
        scores={"eval_accuracy": _GUESS},
        run=factor_vae,
    ),
    Measure(
        name="beta_vae",
        version=1,
        subjects=FACTORS,
        splits=_FIT_SCORED,
        source="Higgins et al.: beta-VAE (ICLR 2017)",
        scores={"eval_accuracy": _GUESS},
        run=beta_vae,
    ),
)
