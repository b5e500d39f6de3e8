"""Measures that need the network itself: its response to changed images, and classifiers trained on top of it."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from disentangle_bench.datamodules.targets import TargetSpec
from disentangle_bench.evaluation.measures.base import (
    ACCURACY,
    NO_TARGET,
    Measure,
    Score,
    Space,
    classified,
    each,
    measured,
)
from disentangle_bench.evaluation.metrics.errors import MetricUndefined
from disentangle_bench.evaluation.outcomes import Measured, Outcome

if TYPE_CHECKING:  # tables read measures too, and should not wait for torch
    from torch import Tensor

    from disentangle_bench.evaluation.network import Network
    from disentangle_bench.evaluation.transforms import Transform


def _encoder(space: Space) -> Network:
    if space.encoder is None:
        raise MetricUndefined("this measure needs the encoder itself, and only its features are here")
    return space.encoder


def transforms(space: Space, *, images: int = 500, seed: int = 0) -> Measured:
    """How little each of a list of changes moves the features: 1 not at all, 0 as far as another image.

    One figure a change and severity, `rotation 10`; a change's name alone is the mean over its severities, `mean` that
    over the changes.
    """
    from disentangle_bench.evaluation.metrics.invariance import closeness
    from disentangle_bench.evaluation.transforms import transforms_for

    encoder = _encoder(space)
    rows, sample = encoder.rows("test", images, seed), encoder.sample("test", images, seed)
    clean = encoder.encode_once(("clean", images, seed), sample)[space.name]
    curves: dict[str, dict[str, np.ndarray]] = {}
    for name, transform in transforms_for(sample).items():
        curves[name] = {}
        for severity in transform.severities:
            change = partial(_change, transform, np.full(len(sample), severity, np.float32), (seed,))
            moved = encoder.encode_once((name, severity, images, seed), sample, change)[space.name]
            curves[name][f"{name} {severity:g}"] = closeness(clean, moved, f"features under {name}")
    means = {name: np.mean(list(curve.values()), axis=0) for name, curve in curves.items()}
    points = {key: float(values.mean()) for curve in curves.values() for key, values in curve.items()}
    return measured(
        {"mean": _of_sample(np.mean(list(means.values()), axis=0), rows, encoder.sizes["test"])},
        {name: float(values.mean()) for name, values in means.items()} | points,
    )


def _of_sample(values: np.ndarray, rows: np.ndarray, count: int) -> Outcome:
    """Terms of a mean over some of the test images; the others weigh nothing."""
    if len(rows) == count:
        return Outcome(values.astype(np.float32))
    terms, weights = np.zeros(count, np.float32), np.zeros(count)
    terms[rows], weights[rows] = values, 1.0
    return Outcome(terms, weights)


def recovery(space: Space, *, train_images: int = 2000, test_images: int = 1000, seed: int = 0) -> Measured:
    """How well ridge regression reads off the features by how much an image was changed: R^2 of the drawn strength.

    Each image of a sample of train is changed by a strength of its own, one kind of change at a time, and the
    regression is scored on a sample of test. Near 0: the features have discarded that change. Never less than 0, what
    a constant guess gets.
    """
    from disentangle_bench.evaluation.metrics.probes import explained
    from disentangle_bench.evaluation.transforms import transforms_for

    encoder = _encoder(space)
    samples = {"train": encoder.sample("train", train_images, seed), "test": encoder.sample("test", test_images, seed)}
    scores: dict[str, np.ndarray] = {}
    for number, (name, transform) in enumerate(transforms_for(samples["train"]).items()):
        x, y = {}, {}
        for split, sample in samples.items():
            draw = np.random.default_rng([seed, number, split == "test"])
            y[split] = draw.uniform(transform.low, transform.high, len(sample)).astype(np.float32)
            key = (name, split, len(sample), seed)
            change = partial(_change, transform, y[split], (seed, number, split == "test"))
            x[split] = encoder.encode_once(key, sample, change)[space.name]
            if transform.circular:
                y[split] = 2 * np.pi * (y[split] - transform.low) / (transform.high - transform.low)
        terms = explained(x["train"], y["train"], x["test"], y["test"], circular=transform.circular)
        scores[name] = terms if terms.mean() > 0 else np.zeros_like(terms)
    mean = _of_sample(
        np.mean(list(scores.values()), axis=0), encoder.rows("test", test_images, seed), encoder.sizes["test"]
    )
    return measured({"mean": mean}, {name: float(terms.mean()) for name, terms in scores.items()})


def _change(transform: Transform, strengths: np.ndarray, key: tuple[int, ...], part: Tensor, rows: slice) -> Tensor:
    """Some rows changed; what is drawn for them is drawn for no others, nor under another key."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(np.random.SeedSequence([*key, rows.start]).generate_state(1)[0]))
        return transform(part, torch.from_numpy(strengths[rows]).to(part.device))


def alignment(space: Space, *, images: int = 2000, seed: int = 0) -> Measured:
    """Mean squared distance of two augmented views of a test image, as rows of length 1."""
    from disentangle_bench.evaluation import augmentation
    from disentangle_bench.evaluation.metrics.arrays import unit_rows
    from disentangle_bench.evaluation.metrics.invariance import distances

    encoder = _encoder(space)
    sample = encoder.sample("test", images, seed)

    def view(number: int) -> np.ndarray:
        def change(part: Tensor, rows: slice) -> Tensor:
            return augmentation.simclr(part, [seed, number, rows.start], encoder.mirror_symmetric)

        return unit_rows(encoder.encode_once(("view", number, images, seed), sample, change)[space.name], "views")

    rows = encoder.rows("test", images, seed)
    return measured({"alignment": _of_sample(distances(view(0), view(1)) ** 2, rows, encoder.sizes["test"])})


def trained_on(
    space: Space,
    target: TargetSpec,
    *,
    tune_encoder: bool,
    epochs: int = 100,
    batch_size: int = 256,
    lr: float = 0.1,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    plain: bool = False,
    seed: int = 0,
) -> Measured:
    """A linear classifier trained by SGD on augmented training images, the encoder frozen or trained with it."""
    from disentangle_bench.evaluation.metrics.probes import scores_of
    from disentangle_bench.evaluation.sgd_probe import train_classifier

    answers, truth = train_classifier(
        _encoder(space),
        space.name,
        target,
        tune_encoder=tune_encoder,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        momentum=momentum,
        weight_decay=weight_decay,
        seed=seed,
        plain=plain,
    )
    return classified(answers, truth, scores_of(answers, truth))


_top1 = partial(Measure, version=1, targets=each("content"), aspect="content", scores={"top1": ACCURACY})
_changes = partial(Measure, version=1, targets=NO_TARGET, aspect="domain")

MEASURES = (
    _changes(
        name="transforms",
        version=2,
        splits="500 images of test",
        source="this suite: cosine of clean and changed, on the scale from another image (0) to the same (1)",
        scores={"mean": Score("up", -math.inf, 1, "0")},
        run=transforms,
    ),
    _changes(
        name="recovery",
        version=2,
        splits="fit on 2,000 changed images of train, scored on 1,000 of test",
        source="this suite: R^2 of ridge regression of the change's strength; high where nothing is discarded",
        scores={"mean": Score("down", 0, 1, "0")},
        run=recovery,
    ),
    _changes(
        name="alignment",
        aspect="descriptive",  # least where everything is one point
        splits="2,000 images of test, two views each",
        source="Wang & Isola: Understanding Contrastive Representation Learning (ICML 2020), eq. 1",
        scores={"alignment": Score(None, 0, 4, "the distance of different images")},
        run=alignment,
    ),
    _top1(
        name="linear_augmented",
        splits="trained on augmented images of train, scored on test after the last epoch",
        source="the papers' slow protocol: 100 epochs of SGD on crops and mirror images, cosine schedule; batch "
        "normalisation without parameters before the classifier makes one learning rate fit all encoders",
        run=partial(trained_on, tune_encoder=False),
        spaces=("features",),
    ),
    _top1(
        name="linear_ip_irm",
        splits="trained on augmented images of train, scored on test after the last epoch",
        source="Wang et al.: Self-Supervised Learning Disentangled Group Representation as Feature (NeurIPS 2021): 100 "
        "epochs of Adam at 0.001 without a schedule on the views of its training; the encoder's batch norm stands "
        "still (there it drifts on the probe's images)",
        run=partial(trained_on, tune_encoder=False, batch_size=512, lr=1e-3, weight_decay=1e-6, plain=True),
        spaces=("features",),
    ),
    _top1(
        name="finetune",
        splits="trained on augmented images of train, scored on test after the last epoch",
        source="full fine-tuning: 30 epochs of SGD on crops and mirror images, cosine schedule",
        run=partial(trained_on, tune_encoder=True, epochs=30, lr=0.01, weight_decay=1e-4),
        spaces=("features",),
    ),
)
