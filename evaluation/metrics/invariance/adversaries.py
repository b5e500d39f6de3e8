"""Three adversaries that learn to read the domain off features: a linear one, an MLP, and nearest neighbours."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from disentangle_bench.evaluation.metrics.arrays import ROWS, Array
from disentangle_bench.evaluation.metrics.neighbours import nearest, products
from disentangle_bench.evaluation.metrics.probes.linear import COARSE_GRID, Design
from disentangle_bench.evaluation.metrics.probes.scoring import joint_weights, weighted_accuracy

NEIGHBOURS = (1, 5, 20)
"""Numbers of neighbours that the kNN adversary chooses from."""
SIMILARITIES = 2**23
"""Similarities that it holds at a time."""
WIDTHS, BATCH, LR, WEIGHT_DECAY, EPOCHS, STEPS = (256, 128), 512, 4e-2, 0.01, 14, 180
"""The MLP adversary: widths of its layers, batch, peak learning rate, its decay, epochs, and the fewest steps."""
PERFECT, WRONG = 100, 1e-3
"""Steps with at most this share of the validation samples wrong after which it stops."""


@dataclass(frozen=True)
class Predictions:
    """Domains that an adversary names, int [V] and int [M]."""

    val: Array
    test: Array


@dataclass(frozen=True)
class Task:
    """The task of every adversary: N samples to learn from, V to pick settings on, and M to predict.

    Attributes:
        x: float [N, D], standardised, as are `val_x` [V, D] and `test_x` [M, D].
        d: domains, int [N], 0 .. num_domains - 1; `val_d` [V].
        w: weights of the samples, float [N] (None: all alike); `val_w` [V].
        num_domains: how many domains there are.
        seed: of the MLP's start and of its batches.
    """

    x: Tensor
    d: Tensor
    w: Tensor | None
    val_x: Tensor
    val_d: Array
    val_w: Array | None
    test_x: Tensor
    num_domains: int
    seed: int

    def part(self, rows: Array) -> "Task":
        """The task with only these rows of the samples to learn from."""
        chosen = torch.from_numpy(rows).to(self.x.device)
        return replace(self, x=self.x[chosen], d=self.d[chosen], w=None if self.w is None else self.w[chosen])

    def score(self, answer: Predictions) -> float:
        """Accuracy on the validation samples, by which settings are picked."""
        return weighted_accuracy(answer.val, self.val_d, self.val_w)

    def answer(self, scores: Callable[[Tensor], Tensor]) -> Predictions:
        """The domains of the highest scores [n, K] of a block of rows [n, D]; the lowest of equal ones."""
        parts = (
            np.concatenate([scores(block).cpu().numpy().argmax(axis=1) for block in x.split(ROWS)])
            for x in (self.val_x, self.test_x)
        )
        return Predictions(*parts)


def linear(task: Task) -> Predictions:
    """Logistic regression, of the strength of regularisation that does best on the validation samples."""
    design = Design(task.x.cpu().numpy(), task.val_x.cpu().numpy())
    fit_w = None if task.w is None else task.w.cpu().numpy()
    weights = joint_weights(fit_w, task.val_w, len(task.x), len(task.val_x))
    domains = np.concatenate([task.d.cpu().numpy(), task.val_d])
    probe = design.classifier(domains, num_classes=task.num_domains, l2_grid=COARSE_GRID, weights=weights, refit=False)
    again = design.standardize
    return task.answer(lambda block: probe.log_probability_of(again(block.cpu().numpy())))


def knn(task: Task) -> Predictions:
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

    answers = [Predictions(*pair) for pair in zip(votes(task.val_x), votes(task.test_x), strict=True)]
    return answers[int(np.argmax([task.score(answer) for answer in answers]))]


def mlp(task: Task) -> Predictions:
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
    best, kept, perfect = (-1.0, 0.0), model.state_dict(), 0
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
                best, kept = score, {name: values.clone() for name, values in model.state_dict().items()}
        perfect = perfect + batches if score[0] >= 1 - WRONG else 0
        if perfect >= PERFECT:
            break
    model.load_state_dict(kept)
    with torch.no_grad():
        return task.answer(model)


ADVERSARIES: dict[str, Callable[[Task], Predictions]] = {"linear": linear, "mlp": mlp, "knn": knn}
"""Their numbers are their places."""
