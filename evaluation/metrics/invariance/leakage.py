"""Domain leakage: how well the strongest of three adversaries reads the domain off features that should not tell it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from disentangle_bench.evaluation.metrics.arrays import (
    ROWS,
    Array,
    check_array,
    check_labels,
    check_real,
    check_same_width,
    full_precision,
    one_thread,
)
from disentangle_bench.evaluation.metrics.errors import MetricUndefined
from disentangle_bench.evaluation.metrics.neighbours import nearest, products
from disentangle_bench.evaluation.metrics.probes.linear import COARSE_GRID, Design, LinearProbe
from disentangle_bench.evaluation.metrics.probes.scoring import (
    better_than_constant,
    chance,
    held_out,
    joint_weights,
    weighted_accuracy,
)

ADVERSARIES = ("linear", "mlp", "knn")
"""Their numbers are their places."""
NEIGHBOURS = (1, 5, 20)
"""Numbers of neighbours that the kNN adversary chooses from."""
SIMILARITIES = 2**23
"""Similarities that it holds at a time."""
WIDTHS, BATCH, LR, WEIGHT_DECAY, EPOCHS, STEPS = (256, 128), 512, 4e-2, 0.01, 14, 180
"""The MLP adversary: widths of its layers, batch, peak learning rate, its decay, epochs, and the fewest steps."""
PERFECT, WRONG = 100, 1e-3
"""Steps with at most this share of the validation samples wrong after which it stops."""


@dataclass(frozen=True)
class Leakage:
    """What the adversaries found. A guess that is right less often than a constant one gives way to that.

    Attributes:
        guesses: adversary -> int [M], the domains that it names for the test images.
        accuracy: adversary -> share of them that are right, weighted.
        adversary: number of the strongest one, by its accuracy on the validation images.
        predicted: int [M], the strongest adversary's guesses, or the constant.
        half: the same of that adversary with half of the images to learn from.
        quarter: with a quarter of them.
        curve: accuracies of `quarter`, `half` and `predicted`.
        chance: share of the test images' most frequent domain, weighted.
    """

    guesses: dict[str, Array]
    accuracy: dict[str, float]
    adversary: int
    predicted: Array
    half: Array
    quarter: Array
    curve: tuple[float, float, float]
    chance: float

    @property
    def normalized(self) -> float:
        """(accuracy - chance) / (1 - chance) of `predicted`: 0 tells nothing, 1 all."""
        if self.chance == 1:
            raise MetricUndefined("all test images of weight are of one domain")
        return (self.curve[2] - self.chance) / (1 - self.chance)

    @property
    def rising(self) -> float:
        """Accuracy that the last doubling of the images to learn from added."""
        return self.curve[2] - self.curve[1]


def domain_leakage(
    train_x: Any,
    train_d: Any,
    test_x: Any,
    test_d: Any,
    *,
    num_domains: int,
    val: tuple[Any, Any] | None = None,
    weights: tuple[Any, Any, Any] | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """How well the domain can be read off features that should not tell it (cf. Kahana & Hoshen 2022, section 5).

    Three adversaries learn it: a linear one, an MLP of two hidden layers, and nearest neighbours. The figure is that of
    the one that is best on the validation samples, or that of a constant guess where it does worse than that. Two
    correlated targets pass for each other: hand samples in which domain and content are independent, or weights that
    make them so.

    Args:
        train_x: [N, D].
        train_d: int [N] in [0, num_domains).
        test_x: [M, D].
        test_d: int [M].
        num_domains: from the data set.
        val: (val_x, val_d), samples that the adversaries' settings and the strongest of them are picked on; a
            stratified tenth of the training samples by default.
        weights: of the training, the validation and the test samples, each [rows] or None; those of the validation
            samples are taken from the training samples' where `val` is None.
        seed: of the MLP and of the parts of the curve.

    Returns:
        linear, mlp, knn: their test accuracies.
        chance: the share of the test samples' most frequent domain, what the best constant guess gets.
        strongest: accuracy of the strongest adversary, at least `chance`.
        normalized: (strongest - chance) / (1 - chance): 0 tells nothing, 1 all.
        adversary: 0 linear, 1 mlp, 2 knn.
        rising: test accuracy of the strongest adversary less that of the same one with half of the training samples;
            above 0.02 the figure is a lower bound.

    Raises:
        ValueError: wrong shapes (both named), labels out of range, negative weights.
        MetricUndefined: empty or non-finite features, or a single domain among the training or the test samples.
    """
    train_x, test_x = check_array(train_x, "train_x"), check_array(test_x, "test_x")
    check_same_width(train_x, "train_x", test_x, "test_x")
    train_d = check_labels(train_d, "train_d", train_x, "train_x", num_domains)
    test_d = check_labels(test_d, "test_d", test_x, "test_x", num_domains)
    fit_w, val_w, test_w = weights or (None, None, None)
    fit_w = _weights(fit_w, "training", train_d)
    if val is None:
        held = held_out(train_d, 0.1, seed)
        design, d = Design(train_x, held=held), np.concatenate([train_d[~held], train_d[held]])
        learn_w = None if fit_w is None else np.concatenate([fit_w[~held], fit_w[held]])
    else:
        val_x = check_array(val[0], "val_x")
        check_same_width(train_x, "train_x", val_x, "val_x")
        val_d = check_labels(val[1], "val_d", val_x, "val_x", num_domains)
        val_w = _weights(val_w, "validation", val_d)
        design, d = Design(train_x, val_x), np.concatenate([train_d, val_d])
        learn_w = joint_weights(fit_w, val_w, len(train_d), len(val_d))
    found = fit_adversaries(
        design, d, test_x, test_d, num_domains=num_domains, weights=learn_w,
        test_weights=_weights(test_w, "test", test_d), seed=seed,
    )  # fmt: skip
    return found.accuracy | {
        "chance": found.chance,
        "normalized": found.normalized,
        "strongest": found.curve[2],
        "adversary": float(found.adversary),
        "rising": found.rising,
    }


def fit_adversaries(
    design: Design,
    domains: Array,
    test_x: Array,
    test_d: Array,
    *,
    num_domains: int,
    weights: Array | None = None,
    test_weights: Array | None = None,
    seed: int = 0,
    linear: LinearProbe | None = None,
) -> Leakage:
    """`domain_leakage` on a design that other probes share.

    Args:
        design: of the samples to learn from and to pick on.
        domains: int [N + V] of its rows.
        test_x: [M, D].
        test_d: int [M].
        num_domains: from the data set.
        weights: float [N + V] of its rows, or None.
        test_weights: float [M], or None.
        seed: as there.
        linear: the linear adversary on all of the samples, where it is fitted already.
    """
    fitted = design.fitted
    for name, values in (("training", domains[:fitted]), ("test", test_d)):
        if len(np.unique(values)) < 2:
            raise MetricUndefined(f"domain leakage needs two domains, the {name} samples are all of {values[0]}")
    with full_precision(), one_thread():
        where = design.rows.device
        task = _Task(
            design.rows[:fitted],
            torch.from_numpy(domains[:fitted]).to(where),
            None if weights is None else torch.from_numpy(weights[:fitted]).float().to(where),
            design.rows[fitted:],
            domains[fitted:],
            None if weights is None else weights[fitted:],
            design.standardize(test_x),
            num_domains,
            seed,
        )
        answers = {
            "linear": _linear(task) if linear is None else task.answer(linear.log_probability_of),
            "mlp": _mlp(task),
            "knn": _knn(task),
        }
        guesses = {name: answer.test for name, answer in answers.items()}
        accuracy = {name: weighted_accuracy(guess, test_d, test_weights) for name, guess in guesses.items()}
        adversary = int(np.argmax([task.score(answer) for answer in answers.values()]))
        name = ADVERSARIES[adversary]
        order = np.random.default_rng(seed).permutation(fitted)
        again = {"linear": _linear, "mlp": _mlp, "knn": _knn}[name]
        fewer = [again(task.part(order[: max(2, fitted // parts)])).test for parts in (4, 2)]
    predicted, half, quarter = (
        better_than_constant(guess, test_d, test_weights) for guess in (guesses[name], fewer[1], fewer[0])
    )
    quarter_right, half_right, right = (
        weighted_accuracy(guess, test_d, test_weights) for guess in (quarter, half, predicted)
    )
    curve = (quarter_right, half_right, right)
    return Leakage(guesses, accuracy, adversary, predicted, half, quarter, curve, chance(test_d, test_weights))


@dataclass(frozen=True)
class _Predictions:
    """Domains that an adversary names, int [V] and int [M]."""

    val: Array
    test: Array


@dataclass(frozen=True)
class _Task:
    """What every adversary is given: standardised features, domains and weights to learn from and to pick on."""

    x: Tensor
    d: Tensor
    w: Tensor | None
    val_x: Tensor
    val_d: Array
    val_w: Array | None
    test_x: Tensor
    num_domains: int
    seed: int

    def part(self, rows: Array) -> "_Task":
        """The same with some of the samples to learn from."""
        chosen = torch.from_numpy(rows).to(self.x.device)
        return replace(self, x=self.x[chosen], d=self.d[chosen], w=None if self.w is None else self.w[chosen])

    def score(self, answer: _Predictions) -> float:
        """What counts when something is picked: accuracy on the validation samples."""
        return weighted_accuracy(answer.val, self.val_d, self.val_w)

    def answer(self, scores: Callable[[Tensor], Tensor]) -> _Predictions:
        """The domains of the highest scores [n, K] of a block of rows [n, D]; the lowest of equal ones."""
        parts = (
            np.concatenate([scores(block).cpu().numpy().argmax(axis=1) for block in x.split(ROWS)])
            for x in (self.val_x, self.test_x)
        )
        return _Predictions(*parts)


def _linear(task: _Task) -> _Predictions:
    design = Design(task.x.cpu().numpy(), task.val_x.cpu().numpy())
    weights = None
    if task.w is not None or task.val_w is not None:
        fit_w = None if task.w is None else task.w.cpu().numpy()
        weights = joint_weights(fit_w, task.val_w, len(task.x), len(task.val_x))
    domains = np.concatenate([task.d.cpu().numpy(), task.val_d])
    probe = design.classifier(domains, num_classes=task.num_domains, l2_grid=COARSE_GRID, weights=weights, refit=False)
    again = design.standardize
    return task.answer(lambda block: probe.log_probability_of(again(block.cpu().numpy())))


def _knn(task: _Task) -> _Predictions:
    """Nearest rows by Euclidean distance, a vote each; as many of them as do best on the validation samples."""
    rows_x, domains, weight = task.x, task.d, torch.ones_like(task.x[:, 0]) if task.w is None else task.w
    counts = weight > 0
    if counts.any() and not counts.all():  # what weighs nothing has no vote, and takes nobody's place
        rows_x, domains, weight = rows_x[counts], domains[counts], weight[counts]
    k = min(max(NEIGHBOURS), len(rows_x))
    square = (rows_x * rows_x).sum(dim=1) / 2
    onehot = F.one_hot(domains, task.num_domains) * weight[:, None]
    block = max(1, SIMILARITIES // len(rows_x))

    def votes(x: Tensor) -> list[Array]:
        found: list[list[Array]] = [[] for _ in NEIGHBOURS]
        for queries in x.split(block):
            _, rows = nearest(products(queries, rows_x) - square, k)
            counted = onehot[rows].cumsum(dim=1)
            for guesses, count in zip(found, NEIGHBOURS, strict=True):
                guesses.append(counted[:, min(count, k) - 1].cpu().numpy().argmax(axis=1))
        return [np.concatenate(guesses) for guesses in found]

    answers = [_Predictions(*pair) for pair in zip(votes(task.val_x), votes(task.test_x), strict=True)]
    return answers[int(np.argmax([task.score(answer) for answer in answers]))]


def _mlp(task: _Task) -> _Predictions:
    """The epoch that does best on the validation samples: by accuracy, then by log-likelihood.

    Two hidden layers with batch norm; AdamW under a one-cycle schedule gets further in few epochs than constant steps.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(task.seed)
        model = nn.Sequential(
            nn.Linear(task.x.shape[1], WIDTHS[0]), nn.BatchNorm1d(WIDTHS[0]), nn.ReLU(),
            nn.Linear(*WIDTHS), nn.BatchNorm1d(WIDTHS[1]), nn.ReLU(),
            nn.Linear(WIDTHS[1], task.num_domains),
        ).to(task.x.device)  # fmt: skip
    batches = -(-len(task.x) // BATCH)
    epochs = max(EPOCHS, -(-STEPS // batches))
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=WEIGHT_DECAY, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=epochs * batches, pct_start=0.1)
    order = torch.Generator().manual_seed(task.seed)
    val_d = torch.from_numpy(task.val_d)
    best, kept, perfect = (-1.0, 0.0), _Predictions(np.zeros(0), np.zeros(0)), 0
    for _ in range(epochs):
        model.train()
        for batch in torch.randperm(len(task.x), generator=order).tensor_split(batches):
            rows = batch.to(task.x.device)
            loss = F.cross_entropy(model(task.x[rows]), task.d[rows], reduction="none")
            loss = loss.mean() if task.w is None else (loss * task.w[rows]).sum() / task.w[rows].sum().clamp(min=1e-12)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        model.eval()
        with torch.no_grad():
            logits = torch.cat([model(block) for block in task.val_x.split(ROWS)]).double().cpu()
            guess = logits.numpy().argmax(axis=1)
            missed = F.cross_entropy(logits, val_d, reduction="none")
            nll = float(np.average(missed.numpy(), weights=task.val_w))
            if (score := (weighted_accuracy(guess, task.val_d, task.val_w), -nll)) > best:
                best, kept = score, _Predictions(guess, task.answer(model).test)
        perfect = perfect + batches if score[0] >= 1 - WRONG else 0
        if perfect >= PERFECT:
            break
    return kept


def _weights(weights: Any, name: str, rows: Array) -> Array | None:
    """Checked weights float64 [N], or None."""
    if weights is None:
        return None
    array = check_real(weights, f"{name} weights").astype(np.float64)
    if array.shape != rows.shape:
        raise ValueError(f"{name} weights have shape {array.shape} but domains {rows.shape}: one a row is needed")
    if not np.isfinite(array).all() or array.min() < 0:
        raise ValueError(f"{name} weights must be finite numbers, zero or more")
    if array.sum() == 0:
        raise MetricUndefined(f"all {name} weights are zero")
    return array
