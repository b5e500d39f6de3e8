"""What can be read off frozen features: linear, nearest-neighbour, MLP and ridge probes.

Every class probe scores the test set once, after all choices are made, and returns fractions, not percent.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import RidgeCV
from torch import Tensor, nn
from torch.nn import functional as F

from disentangle_bench.evaluation.metrics.arrays import (
    ROWS,
    Array,
    device,
    full_precision,
    matrix,
    one_thread,
    real,
    row_labels,
    same_width,
    varying,
)
from disentangle_bench.evaluation.metrics.errors import MetricUndefined
from disentangle_bench.evaluation.metrics.logistic import Axes, SoftmaxRegression, Standardizer

L2_GRID = tuple(float(l2) for l2 in np.logspace(-6, 1, 10))
"""Default strengths of the linear probe: scikit-learn's C is 1 / (l2 N)."""
FLOOR = float(np.log(np.finfo(np.float64).eps))
"""The least log-probability that counts in a negative log-likelihood (-36.04), as in scikit-learn's log_loss."""
SMALL = 2**26
"""Weights times rows below which the linear probe uses one thread: more would only wait for each other."""
PATIENCE = 7
"""Epochs without a better validation accuracy that the MLP probe bears."""
SIMILARITIES = 2**25
"""Similarities that the nearest-neighbour probe holds at a time."""


def linear_probe(
    train_x: Any,
    train_y: Any,
    test_x: Any,
    test_y: Any,
    *,
    num_classes: int,
    val: float | tuple[Any, Any] = 0.1,
    l2_grid: Sequence[float] | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Multinomial logistic regression on standardised features, its L2 strength picked on validation samples.

    The objective is the mean negative log-likelihood plus l2/2 ||W||^2 (biases free), solved for all strengths from
    the strongest to the weakest, each from the last one's solution. With two classes W is one vector, as in
    scikit-learn, whose C is 1 / (l2 N). The strength with the lowest validation NLL (the stronger one on a tie) is
    refitted on training and validation samples together and scored on the test set. Features are standardised by all
    training and validation samples; constant ones do no harm. A class that no training sample has gets probability 0,
    and no probability counts as less than 2.2e-16 in the NLL. Runs in float32, on the accelerator if there is one.

    Args:
        train_x: [N, D], read as float32.
        train_y: int [N] in [0, num_classes).
        test_x: [M, D].
        test_y: int [M].
        num_classes: C, from the data set, not from the labels seen.
        val: the share of the training samples, drawn by `seed` and stratified, or (val_x, val_y).
        l2_grid: strengths to choose from; `L2_GRID` by default. One alone needs no validation samples.
        seed: of the validation split.

    Returns:
        top1, top5 (top C where C < 5), balanced (mean recall of the test set's classes), nll (nats), ece (15 bins of
        equal width), l2 (the strength chosen).

    Raises:
        ValueError: wrong shapes (both named), labels out of range, a strength that isn't positive.
        MetricUndefined: empty or non-finite features, or too few samples for a validation split.
    """
    train_x, train_y, test_x, test_y = _checked(train_x, train_y, test_x, test_y, num_classes)
    probe = fit_linear(train_x, train_y, num_classes=num_classes, val=val, l2_grid=l2_grid, seed=seed)
    return _scores(probe.log_probability, test_x, test_y) | {"l2": probe.l2}


@dataclass(frozen=True)
class LinearProbe:
    """A fitted linear classifier (`fit_linear`).

    Attributes:
        standardize: of the features.
        weight: [K, D] of the classes seen, float64.
        bias: [K].
        classes: int [K], the classes seen.
        num_classes: C, of all.
        l2: the strength chosen.
    """

    standardize: Standardizer
    weight: Tensor
    bias: Tensor
    classes: Array
    num_classes: int
    l2: float

    def log_probability(self, x: Array) -> Tensor:
        """Log-probabilities [n, C], float64, of a block of features [n, D]; -inf for classes not seen."""
        with full_precision(), torch.no_grad(), one_thread():
            logits = torch.addmm(self.bias.float(), self.standardize(x), self.weight.float().T).double().cpu()
            logp = torch.full((len(x), self.num_classes), -torch.inf, dtype=torch.float64)
            logp[:, torch.from_numpy(self.classes)] = F.log_softmax(logits, dim=1)
            return logp

    def predict(self, x: Any) -> Array:
        """The most probable class of each row of [N, D], int64 [N]; the lowest of equal ones."""
        x = matrix(x, "x")
        blocks = [self.log_probability(x[start : start + ROWS]) for start in range(0, len(x), ROWS)]
        return torch.cat(blocks).numpy().argmax(axis=1)


def fit_linear(
    train_x: Any,
    train_y: Any,
    *,
    num_classes: int,
    val: float | tuple[Any, Any] = 0.1,
    l2_grid: Sequence[float] | None = None,
    seed: int = 0,
) -> LinearProbe:
    """The classifier of `linear_probe`, with its arguments and errors."""
    strengths = sorted({float(l2) for l2 in (L2_GRID if l2_grid is None else l2_grid)}, reverse=True)
    if not strengths or not all(0 < l2 < np.inf for l2 in strengths):
        raise ValueError(f"l2_grid must hold positive strengths, got {strengths}")
    train_x = matrix(train_x, "train_x")
    train_y = row_labels(train_y, "train_y", train_x, "train_x", num_classes)
    if isinstance(val, tuple):
        val_x = matrix(val[0], "val_x")
        same_width(train_x, "train_x", val_x, "val_x")
        val_y = row_labels(val[1], "val_y", val_x, "val_x", num_classes)
        sources = [train_x, val_x]
        pieces: list[tuple[Array, Array | None]] = [(train_x, None), (val_x, None)]
        fitted, answers = len(train_x), np.concatenate([train_y, val_y])
    else:
        held = _held_out(train_y, val, seed) if len(strengths) > 1 else np.zeros(len(train_x), dtype=bool)
        rows = np.flatnonzero(~held), np.flatnonzero(held)
        sources, pieces = [train_x], [(train_x, rows[0]), (train_x, rows[1])]
        fitted, answers = len(rows[0]), train_y[np.concatenate(rows)]

    small = len(answers) * train_x.shape[1] * num_classes < SMALL
    with full_precision(), torch.no_grad(), one_thread() if small else nullcontext():
        standardize = Standardizer(sources, device())
        x = torch.empty((len(answers), train_x.shape[1]), dtype=torch.float32, device=standardize.device)
        standardize(*pieces[0], out=x[:fitted])
        standardize(*pieces[1], out=x[fitted:])
        axes = Axes(x)
        x = axes.reduce(x)
        classes, y = np.unique(answers, return_inverse=True)
        target = torch.from_numpy(y).to(x.device)
        penalty = 2.0 if len(classes) == 2 else 1.0  # ||w||^2 of the difference w is twice ||W||^2 of both columns
        l2, point = strengths[0], None
        if len(strengths) > 1:
            problem = SoftmaxRegression(x[:fitted], target[:fitted], len(classes), axes)
            validation = SoftmaxRegression(x[fitted:], target[fitted:], len(classes), axes)
            step, best = problem.start(), np.inf
            for strength in strengths:
                step = problem.search(penalty * strength, step, gtol=3e-4, ftol=1e-7)
                nll = validation.loss(*step)[0]
                if nll < best:
                    best, l2, point = nll, strength, step
        problem = SoftmaxRegression(x, target, len(classes), axes)
        weight, bias = problem.minimum(penalty * l2, point or problem.start())
        weight = axes.restore(weight)
        return LinearProbe(standardize, weight, bias, classes, num_classes, l2)


def mlp_probe(
    train_x: Any,
    train_y: Any,
    test_x: Any,
    test_y: Any,
    *,
    num_classes: int,
    hidden: int = 128,
    layers: int = 6,
    epochs: int = 100,
    seed: int = 0,
) -> dict[str, float]:
    """Classifier of `layers` linear layers with batch norm and LeakyReLU between them (Kahana & Hoshen 2022, appendix).

    Adam at 1e-3, batches of 128, at most `epochs` epochs, stopped after more than 7 without a better validation
    accuracy; the best epoch's weights are scored on the test set. A stratified tenth of the training samples
    validates. Features are standardised as for `linear_probe`; the authors' unit rows are the caller's to make.
    On a CPU it trains on one thread, which batches this small hardly notice, so that sums have one order.

    Args:
        train_x: [N, D], read as float32.
        train_y: int [N] in [0, num_classes).
        test_x: [M, D].
        test_y: int [M].
        num_classes: C.
        hidden: width of the layers between.
        layers: number of linear layers, at least 1.
        epochs: the most epochs.
        seed: of the weights, the validation split and the order of the batches; no global generator moves.

    Returns:
        top1, top5 (top C where C < 5), balanced, nll (nats), ece, and epochs: how many it took to the best weights.

    Raises:
        ValueError: wrong shapes (both named), labels out of range, a size below 1.
        MetricUndefined: empty or non-finite features, or fewer than 3 training samples.
    """
    if min(hidden, layers, epochs) < 1:
        raise ValueError(f"hidden, layers and epochs must be at least 1, got {hidden}, {layers} and {epochs}")
    train_x, train_y, test_x, test_y = _checked(train_x, train_y, test_x, test_y, num_classes)
    held = _held_out(train_y, 0.1, seed)
    if len(train_y) - held.sum() < 2:
        raise MetricUndefined(f"an MLP probe needs 3 training samples, got {len(train_y)}")
    with full_precision(), one_thread():
        standardize = Standardizer([train_x], device())
        x, val_x = (standardize(train_x, np.flatnonzero(rows)) for rows in (~held, held))
        y, val_y = (torch.from_numpy(train_y[rows]).to(x.device) for rows in (~held, held))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = _mlp(x.shape[1], hidden, num_classes, layers)
        model.to(x.device)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
        order = torch.Generator().manual_seed(seed)
        best, best_epoch, best_state = -1.0, 0, {}
        for epoch in range(1, epochs + 1):
            model.train()
            for batch in torch.randperm(len(x), generator=order).split(128):
                if len(batch) == 1:  # no batch statistics
                    continue
                rows = batch.to(x.device)
                loss = F.cross_entropy(model(x[rows]), y[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                guess = torch.cat([model(block).argmax(dim=1) for block in val_x.split(ROWS)])
            accuracy = (guess == val_y).double().mean().item()
            if accuracy > best:
                best, best_epoch = accuracy, epoch
                best_state = {name: value.clone() for name, value in model.state_dict().items()}
            elif epoch - best_epoch > PATIENCE:
                break
        model.load_state_dict(best_state)
        with torch.no_grad():
            scores = _scores(lambda block: model(standardize(block)).double().log_softmax(dim=1).cpu(), test_x, test_y)
    return scores | {"epochs": float(best_epoch)}


def _mlp(inputs: int, hidden: int, outputs: int, layers: int) -> nn.Sequential:
    widths = [inputs] + [hidden] * (layers - 1)
    between: list[nn.Module] = []
    for before, after in pairwise(widths):
        between += [nn.Linear(before, after), nn.BatchNorm1d(after), nn.LeakyReLU()]
    return nn.Sequential(*between, nn.Linear(widths[-1], outputs)).float()


def ridge_probe(train_x: Any, train_y: Any, test_x: Any, test_y: Any, *, circular: bool = False) -> dict[str, float]:
    """Ridge regression of a number on standardised features; its strength by scikit-learn's leave-one-out RidgeCV.

    Args:
        train_x: [N, D]; computed in float64, by one singular value decomposition.
        train_y: [N], any unit (it is standardised); with `circular` an angle in radians.
        test_x: [M, D].
        test_y: [M].
        circular: regress (cos, sin) of the angle, both with one strength, and pool their errors and variances.

    Returns:
        r2: 1 - squared error / variance of the test targets; 1 is perfect, 0 a constant guess, no lower bound.

    Raises:
        ValueError: wrong shapes (both named).
        MetricUndefined: empty or non-finite arrays, one training sample, or test targets that don't vary.
    """
    train_x, test_x = matrix(train_x, "train_x"), matrix(test_x, "test_x")
    same_width(train_x, "train_x", test_x, "test_x")
    if len(train_x) < 2:
        raise MetricUndefined("a ridge probe needs 2 training samples, got 1")
    train_t = _targets(train_y, "train_y", train_x, "train_x", circular)
    test_t = _targets(test_y, "test_y", test_x, "test_x", circular)
    variance = ((test_t - test_t.mean(axis=0)) ** 2).sum()
    if variance == 0:
        raise MetricUndefined(f"the {len(test_t)} test targets don't vary")
    mean, std = train_t.mean(axis=0), train_t.std(axis=0)
    scale = np.where(std > 0, std, 1.0) if not circular else np.ones_like(std)
    standardize = Standardizer([train_x], torch.device("cpu"))
    x, test = (standardize(part).double().numpy() for part in (train_x, test_x))
    model = RidgeCV(alphas=len(x) * np.asarray(L2_GRID)).fit(x, (train_t - mean) / scale)
    prediction = model.predict(test).reshape(test_t.shape) * scale + mean
    return {"r2": float(1 - ((test_t - prediction) ** 2).sum() / variance)}


def _targets(y: Any, name: str, x: Array, x_name: str, circular: bool) -> Array:
    array = real(y, name).astype(np.float64)
    if array.shape != x.shape[:1]:
        raise ValueError(f"{name} has shape {array.shape} but {x_name} {x.shape}: one target a row is needed")
    bad = int((~np.isfinite(array)).sum())
    if bad:
        raise MetricUndefined(f"{name} holds {bad} non-finite values")
    return np.stack([np.cos(array), np.sin(array)], axis=1) if circular else array[:, None]


def knn(
    train_x: Any,
    train_y: Any,
    test_x: Any,
    test_y: Any,
    *,
    num_classes: int,
    k: int = 200,
    temperature: float = 0.5,
) -> dict[str, float]:
    """Accuracy of the weighted nearest-neighbour classifier (Wu et al. 2018), scores as in `knn_scores`.

    Equal scores rank by class number. All of the bank is compared, in blocks of queries that bound memory.

    Args:
        train_x: [N, D], the bank.
        train_y: int [N] in [0, num_classes).
        test_x: [M, D].
        test_y: int [M].
        num_classes: C.
        k: neighbours a query, at most N.
        temperature: of the weights.

    Returns:
        top1, top5 (top C where C < 5).

    Raises:
        ValueError: wrong shapes (both named), labels out of range, k < 1, temperature < 0.002.
        MetricUndefined: empty or non-finite features, training features that are all equal, or fewer than k of them.
    """
    train_x, train_y, test_x, test_y = _checked(train_x, train_y, test_x, test_y, num_classes)
    scores = _neighbour_scores(train_x, train_y, test_x, num_classes, k, temperature)
    rank = _rank(scores, torch.from_numpy(test_y)).numpy()
    return {"top1": float((rank < 1).mean()), "top5": float((rank < 5).mean())}


def knn_scores(
    train_x: Any, train_y: Any, query_x: Any, *, num_classes: int, k: int = 200, temperature: float = 0.5
) -> np.ndarray:
    """Class scores [Q, C], float64: sum of exp(cosine / temperature) over the k nearest rows that have the class.

    Rows are L2-normalised inside; a row of zeros stays one, at cosine 0 from everything. The arguments are those of
    `knn`, and so are the errors.
    """
    train_x, query_x = matrix(train_x, "train_x"), matrix(query_x, "query_x")
    same_width(train_x, "train_x", query_x, "query_x")
    train_y = row_labels(train_y, "train_y", train_x, "train_x", num_classes)
    return _neighbour_scores(train_x, train_y, query_x, num_classes, k, temperature).numpy()


def _neighbour_scores(
    bank_x: Array, bank_y: Array, query_x: Array, num_classes: int, k: int, temperature: float
) -> Tensor:
    if k < 1 or temperature < 0.002:
        raise ValueError(f"k must be at least 1 and temperature 0.002, got {k} and {temperature}")
    if k > len(bank_x):
        raise MetricUndefined(f"knn with k = {k} has only {len(bank_x)} training samples")
    varying(bank_x, "train_x")
    scores = torch.empty((len(query_x), num_classes), dtype=torch.float64)
    with full_precision(), torch.no_grad():
        where = device()
        dtype = torch.from_numpy(np.empty(0, np.promote_types(bank_x.dtype, query_x.dtype))).dtype
        bank = F.normalize(torch.tensor(bank_x, dtype=dtype, device=where), dim=1)
        labels = torch.from_numpy(bank_y).to(where)
        block = min(ROWS, max(1, SIMILARITIES // len(bank)))
        for start in range(0, len(query_x), block):
            query = torch.tensor(query_x[start : start + block], dtype=dtype, device=where)
            near, index = (F.normalize(query, dim=1) @ bank.T).topk(k, dim=1)
            weight = (near.double() / temperature).exp()
            empty = torch.zeros((len(query), num_classes), dtype=torch.float64, device=where)
            scores[start : start + block] = empty.scatter_add_(1, labels[index], weight).cpu()
    return scores


def _checked(
    train_x: Any, train_y: Any, test_x: Any, test_y: Any, num_classes: int
) -> tuple[Array, Array, Array, Array]:
    train_x, test_x = matrix(train_x, "train_x"), matrix(test_x, "test_x")
    same_width(train_x, "train_x", test_x, "test_x")
    train_y = row_labels(train_y, "train_y", train_x, "train_x", num_classes)
    return train_x, train_y, test_x, row_labels(test_y, "test_y", test_x, "test_x", num_classes)


def _held_out(y: Array, fraction: float, seed: int) -> Array:
    """Mark a share of the samples, the same of each class but for rounding; a class never loses its last one."""
    if not 0 < fraction < 1:
        raise ValueError(f"val must be a fraction in (0, 1) or (val_x, val_y), got {fraction}")
    order = np.random.default_rng(seed).permutation(len(y))
    _, group, counts = np.unique(y, return_inverse=True, return_counts=True)
    quota = np.minimum(counts * fraction, counts - 1)
    taken = np.floor(quota).astype(int)
    missing = max(1, round(len(y) * fraction)) - taken.sum()
    spare = np.argsort(-(quota - taken), kind="stable")[: max(0, missing)]
    taken[spare] += taken[spare] < counts[spare] - 1
    if taken.sum() == 0:
        raise MetricUndefined(f"{len(y)} training samples of {len(counts)} classes leave none for validation")
    held = np.zeros(len(y), dtype=bool)
    for which, number in enumerate(taken):
        held[order[group[order] == which][:number]] = True
    return held


def _rank(scores: Tensor, y: Tensor) -> Tensor:
    """How many classes [N, C] come before the true one: those that score more, and equal ones of lower number."""
    true = scores.gather(1, y[:, None])
    earlier = torch.arange(scores.shape[1]) < y[:, None]
    return ((scores > true) | ((scores == true) & earlier)).sum(dim=1)


def _scores(log_probability: Callable[[Array], Tensor], x: Array, y: Array) -> dict[str, float]:
    """`scores_of` a classifier that maps a block of rows to log-probabilities [n, C], float64."""
    return scores_of(torch.cat([log_probability(x[start : start + ROWS]) for start in range(0, len(x), ROWS)]), y)


def scores_of(log_probability: Tensor, y: Array) -> dict[str, float]:
    """Scores of log-probabilities [N, C], float64, against classes [N]: top1, top5, balanced, nll and ece."""
    target = torch.from_numpy(y)
    rank = _rank(log_probability, target).numpy()
    nll = -log_probability.gather(1, target[:, None])[:, 0].clamp(min=FLOOR).numpy()
    right = rank < 1
    counts = np.bincount(y)
    recall = np.bincount(y, weights=right)[counts > 0] / counts[counts > 0]
    return {
        "top1": float(right.mean()),
        "top5": float((rank < 5).mean()),
        "balanced": float(recall.mean()),
        "nll": float(nll.mean()),
        "ece": _calibration_error(log_probability.amax(dim=1).exp().numpy(), right),
    }


def _calibration_error(confidence: Array, right: Array, bins: int = 15) -> float:
    """Mean |accuracy - confidence| over bins of equal width, weighted by their samples (Guo et al. 2017, eq. 3)."""
    which = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gap = np.bincount(which, weights=right - confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(confidence))
