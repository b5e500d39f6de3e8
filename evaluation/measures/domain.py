"""Is what should not be there gone, and does what is there survive a change of domain?"""

from __future__ import annotations

from functools import partial

import numpy as np

from disentangle_bench.datamodules.targets import TargetSpec
from disentangle_bench.evaluation.measures.base import ACCURACY, CONTENT_BY_DOMAIN, Measure, Score, Space, each
from disentangle_bench.evaluation.metrics.errors import MetricUndefined


def leakage(space: Space, target: TargetSpec, *, folds: int = 2, mlp: bool = True, seed: int = 0) -> dict[str, float]:
    """How well a linear and an MLP probe tell the domain, cross-fitted inside the test split.

    In the training split class and domain may go together, so that knowing the class would pass for leakage; in the
    test split of this suite's data sets they are independent.
    """
    from sklearn.model_selection import StratifiedKFold

    from disentangle_bench.evaluation.metrics.invariance import domain_leakage

    x, y = space.x["test"], space.y["test"][target.name]
    if np.bincount(y, minlength=target.size).min() < folds:
        raise MetricUndefined(f"a value of {target.name!r} occurs fewer than {folds} times in the test split")
    parts = StratifiedKFold(folds, shuffle=True, random_state=seed).split(x, y)
    scores = [
        domain_leakage(x[fit], y[fit], x[rest], y[rest], num_domains=target.size, seed=seed, mlp=mlp)
        for fit, rest in parts
    ]
    return {key: float(np.mean([score[key] for score in scores])) for key in scores[0]}


def worst_group(
    space: Space, content: TargetSpec, domain: TargetSpec, *, least: int = 10, seed: int = 0
) -> dict[str, float]:
    """Accuracy of the linear probe in its worst group of test images, and what a shifted correlation costs it.

    `top1` is over all test images, `worst_domain` over the domain with the lowest accuracy, `worst_group` over the
    group of one class and one domain with the lowest (absent where no such group has `least` images; `groups` says how
    many have). `in_distribution` is over half of the validation images, whose classes and domains go together as in
    training; `gap` is that less `top1`. The other half picks the strength.
    """
    from disentangle_bench.evaluation.metrics.probes import fit_linear

    x, y = space.x, space.labels(content)
    halves = np.random.default_rng(seed).permutation(len(x["val"]))
    select, held = np.sort(halves[::2]), np.sort(halves[1::2])
    if not len(held):
        raise MetricUndefined("the validation split has a single image")
    val = x["val"][select], y["val"][select]
    probe = fit_linear(x["train"], y["train"], num_classes=content.size, val=val, seed=seed)
    right = probe.predict(x["test"]) == y["test"]
    domains = space.y["test"][domain.name]
    by_domain = _shares(domains, right, least)
    if not len(by_domain):
        raise MetricUndefined(f"no {domain.name} has {least} test images")
    by_group = _shares(y["test"] * domain.size + domains, right, least)
    inside = float((probe.predict(x["val"][held]) == y["val"][held]).mean())
    top1 = float(right.mean())
    scores = {
        "worst_domain": float(by_domain.min()),
        "gap": inside - top1,
        "top1": top1,
        "in_distribution": inside,
        "groups": float(len(by_group)),
    }
    return scores | ({"worst_group": float(by_group.min())} if len(by_group) else {})


def _shares(group: np.ndarray, right: np.ndarray, least: int) -> np.ndarray:
    """Accuracy of each group of at least so many images."""
    count = np.bincount(group)
    return np.bincount(group, weights=right)[count >= least] / count[count >= least]


def unseen_domain(space: Space, content: TargetSpec, domain: TargetSpec, *, seed: int = 0) -> dict[str, float]:
    """Leave one domain out: the linear probe fitted on the other domains, scored on the test images of this one.

    `top1` is the mean over domains, `worst` the lowest. The encoder has seen images of all domains; train with
    `data.shift=leave_out:DOMAIN` for one that has not.
    """
    from disentangle_bench.evaluation.metrics.probes import linear_probe

    x, y, d = space.x, space.labels(content), space.labels(domain)
    found = np.unique(d["train"])
    if len(found) < 2:
        raise MetricUndefined(f"leaving a domain out needs two, all training images are of {domain.name} {found[0]}")
    scores = {}
    for value in found:
        rows = {split: np.flatnonzero((d[split] == value) == (split == "test")) for split in d}
        if not all(len(chosen) for chosen in rows.values()):
            continue
        parts = {split: (x[split][chosen], y[split][chosen]) for split, chosen in rows.items()}
        score = linear_probe(*parts["train"], *parts["test"], num_classes=content.size, val=parts["val"], seed=seed)
        scores[f"{domain.name} {value}"] = score["top1"]
    if not scores:
        raise MetricUndefined(f"no {domain.name} has both test images and other domains to learn from")
    return {"top1": float(np.mean(list(scores.values()))), "worst": min(scores.values())} | scores


def retrieval(space: Space, content: TargetSpec, domain: TargetSpec) -> dict[str, float]:
    """Nearest test images of other domains: are they of the query's class?"""
    from disentangle_bench.evaluation.metrics.retrieval import cross_domain

    return cross_domain(space.x["test"], space.y["test"][content.name], space.y["test"][domain.name])


_DCODR = "Kahana & Hoshen: A Contrastive Objective for Learning Disentangled Representations (ECCV 2022)"
_PROBED = "cross-fitted inside test, where class and domain are independent"
_CHANCE = Score(None, 0, 1, "itself", "percent")

MEASURES = (
    Measure(
        name="leakage",
        version=1,
        subjects=each("domain"),
        splits=_PROBED,
        source=_DCODR,
        aspect="domain",
        scores={"linear": Score("down", 0, 1, "the column `chance`", "percent"), "chance": _CHANCE},
        run=partial(leakage, mlp=False),
    ),
    Measure(
        name="leakage",
        version=2,
        subjects=each("domain"),
        splits=_PROBED,
        source=_DCODR,
        aspect="domain",
        scores={
            "linear": Score("down", 0, 1, "the column `chance`", "percent"),
            "mlp": Score("down", 0, 1, "the column `chance`", "percent"),
            "chance": _CHANCE,
        },
        run=leakage,
    ),
    Measure(
        name="leakage",
        version=3,
        subjects=each("domain"),
        splits=_PROBED,
        source=_DCODR,
        aspect="domain",
        scores={"leakage": Score("down", 0, 1, "0", "percent")},
        run=leakage,
    ),
    Measure(
        name="worst_group",
        version=1,
        subjects=CONTENT_BY_DOMAIN,
        splits="fit on train, strength picked on half of val, scored on test and on the other half of val",
        source="Sagawa et al.: Distributionally Robust Neural Networks for Group Shifts (ICLR 2020)",
        scores={
            "worst_domain": Score("up", 0, 1, "0"),
            "worst_group": Score("up", 0, 1, "0"),
            "gap": Score("down", -1, 1, "0"),
        },
        run=worst_group,
    ),
    Measure(
        name="unseen_domain",
        version=1,
        subjects=CONTENT_BY_DOMAIN,
        splits="fit on train, picked on val, each without one domain; scored on that domain's test images; in turn",
        source="Gulrajani & Lopez-Paz: In Search of Lost Domain Generalization (ICLR 2021), for a frozen encoder",
        scores={"top1": ACCURACY, "worst": ACCURACY},
        run=unseen_domain,
    ),
    Measure(
        name="retrieval",
        version=1,
        subjects=CONTENT_BY_DOMAIN,
        splits="queries and candidates from test",
        source=_DCODR,
        scores={
            "recall@1": Score("up", 0, 1, "share of the class"),
            "map": Score("up", 0, 1, "share of the class"),
        },
        run=retrieval,
    ),
)
