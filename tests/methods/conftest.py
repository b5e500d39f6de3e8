"""Small coloured digits, and a trainer that leaves nothing behind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch

from disentangle_bench import methods
from disentangle_bench.datamodules.base import Split
from disentangle_bench.datamodules.datasets.digits import ColoredDigits

SMALL_OPTIONS: dict[str, dict[str, Any]] = {
    "ip_irm": {"partition_every": 1, "partition_epochs": 3},
    "style_blocks": {"weights_lr": 0.1, "separate_style": True},
    "contrastive_clustering": {"start": 0.4},
    "moco": {"queue_size": 48},
    "factor_vae": {"discriminator_dim": 32},
    "augself": {"tasks": {"crop": 1.0, "color": 1.0, "flip": 0.5, "blur": 0.2, "sol": 0.5}},
    "domain_contrastive": {"reconstruction": True, "perceptual": "none", "generator_channels": 8},
}
"""What makes each method do all that it can within two short epochs."""


class SmallDigits(ColoredDigits):
    """The coloured digits at 16x16 (they were drawn at 8x8, so little is lost), or grey; `keep` training images."""

    name = "small_digits"

    def __init__(self, *, keep: int | None = None, grey: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.keep, self.grey = keep, grey

    def load(self):
        splits, specs = super().load()
        small = {}
        for name, split in splits.items():
            own = slice(self.keep if name == "train" else None)
            wide = split.images[own].astype(np.uint16)
            corners = [wide[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)]
            images = (sum(corners) / 4).round().astype(np.uint8)
            if self.grey:  # the brightest channel is the digit as it was before it was painted
                images = images.max(1, keepdims=True).repeat(3, 1)
            small[name] = Split(images, {key: values[own] for key, values in split.targets.items()})
        return small, specs


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def data() -> Callable[..., SmallDigits]:
    """`data(batch_size=32, keep=160, ...)`: ready to use."""

    def build(**options: Any) -> SmallDigits:
        module = SmallDigits(**{"batch_size": 32, "keep": 160} | options)
        module.setup()
        return module

    return build


@pytest.fixture
def make() -> Callable[..., Any]:
    """`make(name, data, **options)`: the method for that data."""

    def build(name: str, module: SmallDigits, **options: Any) -> Any:
        return methods.build(name, image_shape=module.image_shape, data=module.describe(), **options)

    return build


@pytest.fixture
def trainer(tmp_path: Path) -> Callable[..., L.Trainer]:
    """`trainer(max_epochs=2, ...)`: on the processor, silent, writing to the test's own folder."""

    def build(**options: Any) -> L.Trainer:
        quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        basics = {"accelerator": "cpu", "devices": 1, "max_epochs": 2, "default_root_dir": tmp_path}
        return L.Trainer(**{**quiet, "enable_checkpointing": False, **basics, **options})

    return build
