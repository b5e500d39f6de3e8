"""Which measurements apply to which space and target, each under a name and a version.

A changed default gets a new version; figures of different versions never share a column. A new measurement is one
function here (its maths lives in `metrics/`) and one entry of `MEASURES`.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from datamodules.targets import Role, TargetSpec
from evaluation.metrics.errors import MetricUndefined

if TYPE_CHECKING:  # tables read MEASURES too, and should not wait for torch
    from evaluation.features import FeatureBank


@dataclass(frozen=True)
class Space:
    """One space of a feature bank: `x[split]` float32 [N, d] and `y[split][target]` [N]."""

    name: str
    x: dict[str, np.ndarray]
    y: dict[str, dict[str, np.ndarray]]


@dataclass(frozen=True)
class Score:
    """How to read one figure: which direction is better, its range, what chance gives."""

    direction: Literal["up", "down"]
    low: float
    high: float
    chance: str


@dataclass(frozen=True)
class Measure:
    """A named, versioned measurement.

    Attributes:
        name: with `version`, the column's name: `linear@1`.
        version: raised whenever the figures could change.
        role: targets it applies to.
        spaces: spaces it applies to; None means all but `assignment`.
        splits: what it fits on, selects on and is scored on.
        source: paper.
        scores: figures that the table shows, of those in the record.
        run: (space, target) -> figures. Its keyword defaults are its parameters, and stand in every record.
    """

    name: str
    version: int
    role: Role
    splits: str
    source: str
    scores: dict[str, Score]
    run: Callable[..., dict[str, float]]
    spaces: tuple[str, ...] | None = None

    @property
    def title(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"

    @property
    def parameters(self) -> dict[str, Any]:
        """Every setting of the measurement."""
        signature = inspect.signature(self.run)
        return {p.name: p.default for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY}

    def applies(self, space: str, target: TargetSpec) -> bool:
        """Whether this is measured for a target in a space."""
        spaces_fit = space in self.spaces if self.spaces else space != "assignment"
        return spaces_fit and target.role == self.role and target.discrete


def linear(space: Space, target: TargetSpec, *, seed: int = 0) -> dict[str, float]:
    """Multinomial logistic regression on standardised features, its strength picked on the validation split."""
    from evaluation.metrics.probes import linear_probe

    x, y = space.x, {split: values[target.name] for split, values in space.y.items()}
    return linear_probe(
        x["train"], y["train"], x["test"], y["test"], num_classes=target.size, val=(x["val"], y["val"]), seed=seed
    )


def knn(space: Space, target: TargetSpec, *, k: int = 20, temperature: float = 0.07) -> dict[str, float]:
    """Cosine-weighted vote of the nearest training images."""
    from evaluation.metrics import probes

    x, y = space.x, {split: values[target.name] for split, values in space.y.items()}
    return probes.knn(
        x["train"], y["train"], x["test"], y["test"], num_classes=target.size, k=k, temperature=temperature
    )


def kmeans(space: Space, target: TargetSpec, *, n_init: int = 10, seed: int = 0) -> dict[str, float]:
    """k-means of the test features with as many clusters as there are classes."""
    from evaluation.metrics.clustering import kmeans_scores

    return kmeans_scores(
        space.x["test"], space.y["test"][target.name], num_clusters=target.size, seed=seed, n_init=n_init
    )


def clusters(space: Space, target: TargetSpec) -> dict[str, float]:
    """The method's own clusters (argmax of its assignment) on the test split."""
    from evaluation.metrics.clustering import assignment_scores

    return assignment_scores(space.x["test"], space.y["test"][target.name])


def leakage(space: Space, target: TargetSpec, *, folds: int = 2, seed: int = 0) -> dict[str, float]:
    """How well a linear probe tells the domain, cross-fitted inside the test split.

    In the training split class and domain may go together, so that knowing the class would pass for leakage; in the
    test split of this suite's data sets they are independent.
    """
    from sklearn.model_selection import StratifiedKFold

    from evaluation.metrics.invariance import domain_leakage

    x, y = space.x["test"], space.y["test"][target.name]
    if np.bincount(y, minlength=target.size).min() < folds:
        raise MetricUndefined(f"a value of {target.name!r} occurs fewer than {folds} times in the test split")
    parts = StratifiedKFold(folds, shuffle=True, random_state=seed).split(x, y)
    scores = [
        domain_leakage(x[fit], y[fit], x[rest], y[rest], num_domains=target.size, seed=seed, mlp=False)
        for fit, rest in parts
    ]
    return {key: float(np.mean([score[key] for score in scores])) for key in scores[0]}


_ACCURACY = Score("up", 0, 1, "share of the most frequent class")
_CLUSTERING = {
    "nmi": Score("up", 0, 1, "near 0"),
    "ari": Score("up", -0.5, 1, "0"),
    "acc": Score("up", 0, 1, "a little over 1 / classes"),
}

MEASURES: dict[str, Measure] = {
    measure.title: measure
    for measure in (
        Measure(
            name="linear",
            version=1,
            role="content",
            splits="fit on train, strength picked on val, refitted on train + val, scored on test",
            source="the usual linear evaluation (Zhang et al. 2016), solved to convergence instead of by SGD",
            scores={"top1": _ACCURACY},
            run=linear,
        ),
        Measure(
            name="knn",
            version=1,
            role="content",
            splits="neighbours from train, scored on test",
            source="Wu et al.: Unsupervised Feature Learning via Non-Parametric Instance Discrimination (CVPR 2018)",
            scores={"top1": _ACCURACY},
            run=knn,
        ),
        Measure(
            name="kmeans",
            version=1,
            role="content",
            splits="fitted and scored on test",
            source="k-means; NMI (arithmetic mean), ARI, accuracy of the best one-to-one matching",
            scores=_CLUSTERING,
            run=kmeans,
        ),
        Measure(
            name="clusters",
            version=1,
            role="content",
            splits="scored on test",
            source="the method's own assignment; scores as in kmeans",
            scores=_CLUSTERING,
            run=clusters,
            spaces=("assignment",),
        ),
        Measure(
            name="leakage",
            version=1,
            role="domain",
            splits="cross-fitted inside test, where class and domain are independent",
            source="Kahana & Hoshen: A Contrastive Objective for Learning Disentangled Representations (ECCV 2022)",
            scores={
                "linear": Score("down", 0, 1, "the column `chance`"),
                "chance": Score("down", 0, 1, "itself"),
            },
            run=leakage,
        ),
    )
}


def evaluate(
    bank: FeatureBank,
    targets: tuple[TargetSpec, ...],
    measures: Iterable[str],
    report: Callable[[str], None] = lambda title: None,
) -> list[dict[str, Any]]:
    """Measure every space of a bank.

    Args:
        bank: encoded splits.
        targets: of the data set.
        measures: titles, keys of `MEASURES`.
        report: told the title of each measurement before it starts, for a progress bar.

    Returns:
        One row a measurement: space, measure, target, parameters, seconds, and scores, or None and the reason why there
        are none.
    """
    rows = []
    for name, features in bank.features.items():
        space = Space(name, features, bank.targets)
        for measure in (MEASURES[title] for title in measures):
            for target in targets:
                if not measure.applies(name, target):
                    continue
                report(f"{measure.title} of {target.name} in {name}")
                start = time.perf_counter()
                scores, reason = None, None
                try:
                    scores = measure.run(space, target)
                except MetricUndefined as undefined:
                    reason = str(undefined)
                rows.append(
                    {
                        "space": name,
                        "measure": measure.title,
                        "target": target.name,
                        "parameters": measure.parameters,
                        "scores": scores,
                        "reason": reason,
                        "seconds": round(time.perf_counter() - start, 3),
                    }
                )
    return rows
