"""Is what should not be there gone, and does what is there survive a change of domain?"""

from __future__ import annotations

import numpy as np

from disentangle_bench.datamodules.targets import TargetSpec
from disentangle_bench.evaluation.measures.base import (
    ACCURACY,
    CONTENT_BY_DOMAIN,
    Measure,
    Score,
    Space,
    above_chance,
    each,
    measured,
)
from disentangle_bench.evaluation.measures.probing import (
    independent_head,
    need_known,
    probe_design,
    probe_labels,
    probe_weights,
)
from disentangle_bench.evaluation.metrics.errors import MetricUndefined
from disentangle_bench.evaluation.outcomes import Measured, Outcome

LOWER_BOUND = 0.02
"""Accuracy that the last doubling of the probe images may add before a leakage counts as a lower bound."""


def leakage(space: Space, target: TargetSpec, *, seed: int = 0) -> Measured:
    """How well the strongest of three adversaries tells the domain: 0 as a constant guess, 1 perfectly.

    A linear one, an MLP and nearest neighbours learn it on images whose class and domain are independent, or are
    weighted to be so: elsewhere knowing the class would pass for leakage. `linear`, `mlp` and `knn` are their
    accuracies, `adversary` the number of the strongest one on the validation images (0, 1, 2), `chance` what the best
    constant guess gets. `quarter` and `half` are the strongest one's accuracies with so many of the images to learn
    from, and `rising` what the last doubling added: above 0.02, `leakage` is a lower bound.
    """
    from disentangle_bench.evaluation.metrics.arrays import check_array
    from disentangle_bench.evaluation.metrics.invariance.leakage import fit_adversaries

    design = probe_design(space)
    labels = space.labels(target)
    for split in ("probe", "test"):
        if len(np.unique(labels[split])) < 2:
            raise MetricUndefined(f"all images of {split} are of one {target.name}")
    need_known(space, target)
    y, weights = labels["test"], space.weigh("test")
    found = fit_adversaries(
        design,
        probe_labels(space, target),
        check_array(space.x["test"], "test_x"),
        y,
        num_domains=target.size,
        weights=probe_weights(space),
        test_weights=weights,
        seed=seed,
        linear=independent_head(space, target),
    )
    gained = (found.predicted == y).astype(np.float32) - (found.half == y)
    outcomes = {name: Outcome(guess == y, weights) for name, guess in found.guesses.items()}
    return measured(
        outcomes
        | {
            "leakage": above_chance(found.predicted, y, weights, found.chance),
            "rising": Outcome(gained, weights),
        },
        {
            "chance": found.chance,
            "adversary": float(found.adversary),
            "quarter": found.curve[0],
            "half": found.curve[1],
        },
        predicted=found.predicted,
        labels=y,
    )


def worst_group(space: Space, content: TargetSpec, domain: TargetSpec, *, least: int = 10, seed: int = 0) -> Measured:
    """Accuracy of a linear head in its worst group of test images, and what a shifted correlation costs it.

    `top1` is over all test images, `worst_domain` over the domain with the lowest accuracy, `worst_group` over the
    group of one class and one domain with the lowest (absent where no such group has `least` images; `groups` says how
    many have, `groups_left_out` how many have some, but fewer). `in_distribution` is over half of the validation
    images, whose classes and domains go together as in training; `gap` is that less `top1`. The other half picks the
    strength. The `refitted_` ones are of a head that is fitted on images whose class and domain are independent: where
    it does better, the features know the class, and only the first head took the domain for it.
    """
    from disentangle_bench.evaluation.metrics.probes import fit_linear

    refitted = independent_head(space, content)
    x, y = space.x, space.labels(content)
    halves = np.random.default_rng(seed).permutation(len(x["val"]))
    select, held = np.sort(halves[::2]), np.sort(halves[1::2])
    if not len(held):
        raise MetricUndefined("the validation split has a single image")
    val = x["val"][select], y["val"][select]
    head = fit_linear(x["train"], y["train"], num_classes=content.size, val=val, seed=seed)
    truth, domains = y["test"], space.y["test"][domain.name]
    predicted = {"": head.predict(x["test"]), "refitted_": refitted.predict(x["test"])}
    inside = float((head.predict(x["val"][held]) == y["val"][held]).mean())
    group = truth * domain.size + domains
    sizes = np.bincount(group)
    few = (sizes > 0) & (sizes < least)
    outcomes: dict[str, Outcome] = {}
    others = {"in_distribution": inside, "groups": float((sizes >= least).sum()), "groups_left_out": float(few.sum())}
    for name, guess in predicted.items():
        right = guess == truth
        if (worst_domain := _worst(domains, right, least)) is None:
            raise MetricUndefined(f"no {domain.name} has {least} test images")
        outcomes |= {f"{name}top1": Outcome(right), f"{name}worst_domain": worst_domain}
        if worst := _worst(group, right, least):
            outcomes[f"{name}worst_group"] = worst
    others["gap"] = inside - outcomes["top1"].figure
    return measured(outcomes, others, predicted=predicted[""], refitted=predicted["refitted_"], labels=truth)


def _worst(group: np.ndarray, right: np.ndarray, least: int = 1) -> Outcome | None:
    """Accuracy in the group of at least so many images where it is lowest, the first of equal ones; None without one.

    Its interval takes that group as given.
    """
    count = np.bincount(group)
    if not (count >= least).any():
        return None
    share = np.bincount(group, weights=right) / np.maximum(count, 1)
    return Outcome(right, (group == np.where(count >= least, share, np.inf).argmin()).astype(np.float64))


def unseen_domain(space: Space, content: TargetSpec, domain: TargetSpec, *, seed: int = 0) -> Measured:
    """Leave one domain out: the linear probe fitted on the other domains, scored on the test images of this one.

    `top1` is the mean over domains, `worst` the lowest. The encoder has seen images of all domains; train with
    `data.shift=leave_out:DOMAIN` for one that has not.
    """
    from disentangle_bench.evaluation.metrics.probes import fit_linear

    x = {split: space.x[split] for split in ("train", "val", "test")}
    y, d = space.labels(content), space.labels(domain)
    found = np.unique(d["train"])
    if len(found) < 2:
        raise MetricUndefined(f"leaving a domain out needs two, all training images are of {domain.name} {found[0]}")
    accuracy: dict[int, float] = {}
    predicted, weights = np.zeros_like(y["test"]), np.zeros(len(y["test"]))
    for value in found:
        rows = {split: np.flatnonzero((d[split] == value) == (split == "test")) for split in x}
        if not all(len(chosen) for chosen in rows.values()):
            continue
        parts = {split: (x[split][chosen], y[split][chosen]) for split, chosen in rows.items()}
        head = fit_linear(*parts["train"], num_classes=content.size, val=parts["val"], seed=seed)
        predicted[rows["test"]] = head.predict(parts["test"][0])
        weights[rows["test"]] = 1 / len(rows["test"])  # each domain counts alike
        accuracy[value] = float((predicted[rows["test"]] == parts["test"][1]).mean())
    if not accuracy:
        raise MetricUndefined(f"no {domain.name} has both test images and other domains to learn from")
    right, worst = predicted == y["test"], d["test"] == min(accuracy, key=accuracy.__getitem__)
    outcomes = {"top1": Outcome(right, weights), "worst": Outcome(right, worst.astype(np.float64))}
    by_domain = {f"{domain.name} {value}": share for value, share in accuracy.items()}
    return measured(outcomes, by_domain, predicted=predicted, labels=y["test"])


def retrieval(space: Space, content: TargetSpec, domain: TargetSpec) -> Measured:
    """Nearest test images of other domains: are they of the query's class? `queries`: how many have such an image."""
    from disentangle_bench.evaluation.metrics.retrieval import query_scores

    y = space.y["test"]
    found = query_scores(space.x["test"], y[content.name], y[domain.name])
    weights = None if found.matched.all() else found.matched.astype(np.float64)
    outcomes = {
        name: Outcome(values > 0 if name.startswith("recall") else values.astype(np.float32), weights)
        for name, values in found.scores.items()
    }
    return measured(outcomes, {"queries": float(found.matched.sum())})


_DCODR = "Kahana & Hoshen: A Contrastive Objective for Learning Disentangled Representations (ECCV 2022)"
_PROBED = "fitted on probe, settings and adversary picked on probe_val, scored on test"

MEASURES = (
    Measure(
        name="leakage",
        version=4,
        targets=each("domain"),
        splits=_PROBED,
        source=f"{_DCODR}, with adversaries and images enough to find what is there",
        aspect="domain",
        scores={"leakage": Score("down", 0, 1, "0", "percent")},
        run=leakage,
    ),
    Measure(
        name="worst_group",
        version=2,
        targets=CONTENT_BY_DOMAIN,
        splits="fit on train, strength picked on half of val, scored on test and on the other half of val; refitted: "
        "fit on probe, picked on probe_val, scored on test",
        source="Sagawa et al.: Distributionally Robust Neural Networks for Group Shifts (ICLR 2020); refitted: "
        "Kirichenko et al.: Last Layer Re-Training is Sufficient for Robustness to Spurious Correlations (ICLR 2023)",
        aspect="content",
        scores={
            "worst_domain": Score("up", 0, 1, "share of the most frequent class where it is rarest", "percent"),
            "worst_group": Score("up", 0, 1, "0", "percent"),
            "gap": Score("down", -1, 1, "0", "percent"),
            "refitted_worst_group": Score("up", 0, 1, "0", "percent"),
        },
        run=worst_group,
    ),
    Measure(
        name="unseen_domain",
        version=1,
        targets=CONTENT_BY_DOMAIN,
        splits="fit on train, picked on val, each without one domain; scored on that domain's test images; in turn",
        source="Gulrajani & Lopez-Paz: In Search of Lost Domain Generalization (ICLR 2021), for a frozen encoder",
        aspect="content",
        scores={"top1": ACCURACY, "worst": ACCURACY},
        run=unseen_domain,
    ),
    Measure(
        name="retrieval",
        version=1,
        targets=CONTENT_BY_DOMAIN,
        splits="queries and candidates from test",
        source=_DCODR,
        aspect="content",
        scores={
            "recall@1": Score("up", 0, 1, "share of the class", "percent"),
            "map": Score("up", 0, 1, "share of the class"),
        },
        run=retrieval,
    ),
)
