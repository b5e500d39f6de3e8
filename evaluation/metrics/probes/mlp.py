"""The deep probe of the domain-contrastive paper."""

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from disentangle_bench.evaluation.metrics.arrays import (
    ROWS,
    check_array,
    check_labels,
    check_same_width,
    device,
    full_precision,
    one_thread,
)
from disentangle_bench.evaluation.metrics.errors import MetricUndefined
from disentangle_bench.evaluation.metrics.probes.logistic import Standardizer
from disentangle_bench.evaluation.metrics.probes.scoring import by_blocks, checked, held_out, scores_of

PATIENCE = 7
"""Epochs without a better validation accuracy that the MLP probe bears."""


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
    train_x, train_y, test_x, test_y = checked(train_x, train_y, test_x, test_y, num_classes)
    size = {"hidden": hidden, "layers": layers, "epochs": epochs}
    answers, epoch = mlp_answers(train_x, train_y, test_x, num_classes=num_classes, **size, seed=seed)
    return scores_of(answers, test_y) | {"epochs": float(epoch)}


def mlp_answers(
    train_x: Any,
    train_y: Any,
    test_x: Any,
    *,
    num_classes: int,
    hidden: int = 128,
    layers: int = 6,
    epochs: int = 100,
    seed: int = 0,
) -> tuple[Tensor, int]:
    """Log-probabilities [M, C], float64, of the probe of `mlp_probe`, and the epoch that its weights are from."""
    if min(hidden, layers, epochs) < 1:
        raise ValueError(f"hidden, layers and epochs must be at least 1, got {hidden}, {layers} and {epochs}")
    train_x, test_x = check_array(train_x, "train_x"), check_array(test_x, "test_x")
    check_same_width(train_x, "train_x", test_x, "test_x")
    train_y = check_labels(train_y, "train_y", train_x, "train_x", num_classes)
    held = held_out(train_y, 0.1, seed)
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
            answers = by_blocks(lambda block: model(standardize(block)).double().log_softmax(dim=1).cpu(), test_x)
    return answers, best_epoch


def _mlp(inputs: int, hidden: int, outputs: int, layers: int) -> nn.Sequential:
    widths = [inputs] + [hidden] * (layers - 1)
    between: list[nn.Module] = []
    for before, after in pairwise(widths):
        between += [nn.Linear(before, after), nn.BatchNorm1d(after), nn.LeakyReLU()]
    return nn.Sequential(*between, nn.Linear(widths[-1], outputs)).float()
