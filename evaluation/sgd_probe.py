"""Train a classifier on augmented images: the papers' slow linear protocols, and full fine-tuning."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LRScheduler

from disentangle_bench.datamodules.targets import TargetSpec
from disentangle_bench.evaluation import augmentation
from disentangle_bench.evaluation.features import inference_mode, modes_kept
from disentangle_bench.evaluation.metrics.arrays import full_precision
from disentangle_bench.evaluation.network import Network, as_bytes


def train_classifier(
    encoder: Network,
    space: str,
    target: TargetSpec,
    *,
    tune_encoder: bool,
    epochs: int,
    batch_size: int,
    lr: float,
    momentum: float,
    weight_decay: float,
    seed: int,
    plain: bool = False,
) -> tuple[Tensor, np.ndarray]:
    """Train batch norm and a linear layer on a space by SGD, and take the last epoch's weights to test.

    The learning rate is for `batch_size` as it is; it falls by a half cosine to 0. If it is to be `plain`, there is no
    batch norm, Adam takes the place of SGD, the learning rate stays, and the views are SimCLR's of the size that the
    encoder was trained on: IP-IRM's own probe. A frozen encoder is in evaluation
    mode, so its statistics don't drift. Fine-tuned weights are put back after.

    Args:
        encoder: with its images.
        space: of its spaces.
        target: with classes.
        tune_encoder: train the encoder too, or leave it frozen.
        epochs: over the training split.
        batch_size: images a step.
        lr: peak learning rate.
        momentum: of Nesterov's SGD.
        weight_decay: on all trained weights.
        seed: of the classifier's weights, the order and the augmentation.
        plain: see above.

    Returns:
        Log-probabilities of the test images [N, C], float64, and their classes, int64 [N].
    """
    module, device = encoder.module, encoder.device
    with _put_back(module, tune_encoder), full_precision():
        head = _head(encoder, space, target, seed, plain).to(device)
        module.requires_grad_(tune_encoder)
        trained = [*head.parameters(), *(module.parameters() if tune_encoder else ())]
        if plain:
            optimizer: torch.optim.Optimizer = torch.optim.Adam(trained, lr=lr, weight_decay=weight_decay)
            schedule: LRScheduler = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
        else:
            steps = epochs * math.ceil(encoder.sizes["train"] / batch_size)
            optimizer = torch.optim.SGD(trained, lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=True)
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        step = 0
        for epoch in range(epochs):
            module.train(tune_encoder)
            head.train()
            for batch in encoder.training_batches("train", batch_size, seed, epoch):
                step += 1
                if len(batch["image"]) > 1:  # batch statistics of one image say nothing
                    images = _augmented(encoder, batch["image"].to(device).float() / 255, [seed, step], plain)
                    with nullcontext() if tune_encoder else torch.no_grad():
                        features = encoder.embed(images)[space].float()
                    loss = F.cross_entropy(head(features), batch[target.key].to(device))
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                schedule.step()
        return _test(encoder, space, target, head)


@contextmanager
def _put_back(module: nn.Module, weights: bool) -> Iterator[None]:
    """After the block the module is as before: what it trains, its modes, and the weights too if they were tuned."""
    before = {name: value.detach().clone() for name, value in module.state_dict().items()} if weights else {}
    wanted = {p: p.requires_grad for p in module.parameters()}
    try:
        with modes_kept(module):
            yield
    finally:
        for parameter, flag in wanted.items():
            parameter.requires_grad_(flag)
            parameter.grad = None
        if before:
            module.load_state_dict(before)


def _augmented(encoder: Network, images: Tensor, key: list[int], plain: bool) -> Tensor:
    """Views of images in [0, 1] as `embed` takes them: bytes, unless they have the shape of the encoder's own views."""
    if not plain:
        return as_bytes(augmentation.crops(images, key, encoder.mirror_symmetric))
    views = augmentation.ip_irm(images, key, encoder.mirror_symmetric, encoder.view_shape)
    return as_bytes(views) if encoder.view_shape is None else views


def _head(encoder: Network, space: str, target: TargetSpec, seed: int, plain: bool) -> nn.Sequential:
    with inference_mode(encoder.module):
        width = encoder.embed(encoder.sample("test", 1).to(encoder.device))[space].shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        standardise = [] if plain else [nn.BatchNorm1d(width, affine=False)]
        return nn.Sequential(*standardise, nn.Linear(width, target.size))


def _test(encoder: Network, space: str, target: TargetSpec, head: nn.Module) -> tuple[Tensor, np.ndarray]:
    head.eval()
    guesses: list[Tensor] = []
    truth: list[Tensor] = []
    with inference_mode(encoder.module):
        for batch in encoder.batches("test"):
            features = encoder.embed(batch["image"].to(encoder.device))[space].float()
            guesses.append(head(features).double().log_softmax(dim=1).cpu())
            truth.append(batch[target.key])
    return torch.cat(guesses), torch.cat(truth).numpy()
