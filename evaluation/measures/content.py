"""Is what should be there readable? Probes of content targets."""

from __future__ import annotations

from functools import partial

import numpy as np

from disentangle_bench.datamodules.targets import TargetSpec
from disentangle_bench.evaluation.measures.base import ACCURACY, Measure, Space, classified, each, measured
from disentangle_bench.evaluation.measures.probing import training_head
from disentangle_bench.evaluation.outcomes import Measured, Outcome


def linear(space: Space, target: TargetSpec) -> Measured:
    """Multinomial logistic regression on standardised features, its strength picked on the validation split."""
    from disentangle_bench.evaluation.metrics.probes import scores_of

    head, y = training_head(space, target), space.y["test"][target.name]
    answers = head.log_probabilities(space.x["test"])
    return classified(answers, y, scores_of(answers, y) | {"l2": head.l2})


def validation(space: Space, target: TargetSpec) -> dict[str, float]:
    """The linear probe of the training images, scored on validation images whose class and domain are independent.

    For choosing options: no test image is touched, and what goes with the class in training alone is worth nothing.
    """
    from disentangle_bench.evaluation.metrics.probes import Design
    from disentangle_bench.evaluation.metrics.probes.linear import COARSE_GRID
    from disentangle_bench.evaluation.metrics.probes.scoring import joint_weights, weighted_accuracy

    space.need_probe()
    x, y, weights = space.x, space.labels(target), space.weigh("probe_val")
    head = Design.of(x["train"], x["probe_val"]).classifier(
        np.concatenate([y["train"], y["probe_val"]]),
        num_classes=target.size,
        l2_grid=COARSE_GRID,
        weights=joint_weights(None, weights, len(x["train"]), len(x["probe_val"])),
        refit=False,
    )
    return {"top1": weighted_accuracy(head.predict(x["probe_val"]), y["probe_val"], weights), "l2": head.l2}


def few_shot(space: Space, target: TargetSpec, *, share: float, draws: int = 5, seed: int = 0) -> Measured:
    """The linear probe with few labels: the mean over several draws of them, and `spread`, the deviation of top1.

    A fifth of the drawn images picks the strength, so no label beyond the drawn ones is used; each class has at least
    two of them.
    """
    from disentangle_bench.evaluation.metrics.probes import fit_linear, scores_of

    x, y = space.x, space.labels(target)
    scores, predicted = [], []
    for draw in range(draws):
        rows = _labelled(y["train"], share, seed + draw)
        few = x["train"][rows], y["train"][rows]
        head = fit_linear(*few, num_classes=target.size, val=0.2, seed=seed + draw)
        answers = head.log_probabilities(x["test"])
        scores.append(scores_of(answers, y["test"]))
        predicted.append(answers.numpy().argmax(axis=1))
    right = np.stack(predicted) == y["test"]
    means = {key: float(np.mean([score[key] for score in scores])) for key in scores[0]}
    spread = float(np.std(right.mean(axis=1), ddof=1)) if draws > 1 else 0.0
    return measured(
        {"top1": Outcome(right.sum(axis=0).astype(np.float32), scale=1 / draws)},
        means | {"labels": float(len(rows)), "spread": spread},
        predicted=np.stack(predicted),
        labels=y["test"],
    )


def _labelled(y: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Sorted rows of a stratified share, at least two of each class that has them."""
    order = np.random.default_rng(seed).permutation(len(y))
    parts = []
    for value in np.unique(y):
        members = order[y[order] == value]
        parts.append(members[: max(2, round(share * len(members)))])
    return np.sort(np.concatenate(parts))


def knn(space: Space, target: TargetSpec, *, k: int = 20, temperature: float = 0.07) -> Measured:
    """Cosine-weighted vote of the nearest training images."""
    import torch

    from disentangle_bench.evaluation.metrics.probes import knn_scores
    from disentangle_bench.evaluation.metrics.probes.scoring import rank_of

    x, y = space.x, space.labels(target)
    votes = knn_scores(x["train"], y["train"], x["test"], num_classes=target.size, k=k, temperature=temperature)
    scores, truth = torch.from_numpy(votes), torch.from_numpy(y["test"])
    return classified(scores, y["test"], {"top5": float((rank_of(scores, truth) < 5).double().mean())})


def mlp(space: Space, target: TargetSpec, *, hidden: int = 128, layers: int = 6, seed: int = 0) -> Measured:
    """The deep probe of the domain-contrastive paper: six layers, on rows of length 1."""
    from disentangle_bench.evaluation.metrics.arrays import unit_rows
    from disentangle_bench.evaluation.metrics.probes import mlp_answers, scores_of

    x, y = space.x, space.labels(target)
    fit, test = (unit_rows(x[split], split) for split in ("train", "test"))
    size = {"num_classes": target.size, "hidden": hidden, "layers": layers}
    answers, epoch = mlp_answers(fit, y["train"], test, **size, seed=seed)
    return classified(answers, y["test"], scores_of(answers, y["test"]) | {"epochs": float(epoch)})


_FEW = "fit and strength picked on a drawn share of train, 5 draws, scored on test"
_SIMCLR = "Chen et al.: A Simple Framework for Contrastive Learning of Visual Representations (ICML 2020), table 7"
_IP_IRM = (
    "Wang et al.: Self-Supervised Learning Disentangled Group Representation as Feature (NeurIPS 2021): 200 "
    "neighbours, the training temperature"
)
_top1 = partial(Measure, version=1, targets=each("content"), aspect="content", scores={"top1": ACCURACY})

MEASURES = (
    _top1(
        name="linear",
        splits="fit on train, strength picked on val, refitted on train + val, scored on test",
        source="the usual linear evaluation (Zhang et al. 2016), solved to convergence instead of by SGD",
        run=linear,
    ),
    _top1(
        name="validation",
        splits="fit on train, strength picked and scored on probe_val; never on test",
        source="as linear, for choosing options",
        run=validation,
        chooses=True,
    ),
    _top1(
        name="linear_1pct",
        splits=_FEW,
        source=f"the shares of {_SIMCLR}; a linear probe instead of fine-tuning",
        run=partial(few_shot, share=0.01),
    ),
    _top1(
        name="linear_10pct",
        splits=_FEW,
        source=f"the shares of {_SIMCLR}; a linear probe instead of fine-tuning",
        run=partial(few_shot, share=0.1),
    ),
    _top1(
        name="knn",
        splits="neighbours from train, scored on test",
        source="Wu et al.: Unsupervised Feature Learning via Non-Parametric Instance Discrimination (CVPR 2018)",
        run=knn,
    ),
    _top1(
        name="knn_ip_irm",
        splits="neighbours from train, scored on test",
        source=_IP_IRM,
        run=partial(knn, k=200, temperature=0.5),
        spaces=("features",),
    ),
    _top1(
        name="knn_ip_irm_mixup",
        splits="neighbours from train, scored on test",
        source=_IP_IRM,
        run=partial(knn, k=200, temperature=0.2),
        spaces=("features",),
    ),
    _top1(
        name="mlp",
        splits="fit on nine tenths of train, stopped on the other tenth, scored on test",
        source="Kahana & Hoshen: A Contrastive Objective for Learning Disentangled Representations (ECCV 2022)",
        run=mlp,
    ),
)
