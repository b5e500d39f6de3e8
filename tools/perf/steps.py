"""Parts of a training step's time in Lightning's loop, and the time of the bare network, measured in alternation."""

from __future__ import annotations

import logging
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from statistics import median
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from disentangle_bench import datamodules, methods
from disentangle_bench.benchmarks.execution.callbacks import DeferredLogs
from disentangle_bench.methods.base import stream_seed
from disentangle_bench.methods.networks.backbones import backbone
from tools.perf.process import Figures, NotHereError

PARTS = ("views", "forward", "loss", "backward", "optimiser", "host")
"""Drawing views; encoder; heads and objective; backward pass; optimiser step; loader, transfer and Lightning."""
WARM, BATCH, EDGE = 4, 128, 32
"""First steps that don't count; images of a batch, and their edge."""


class Clock(L.Callback):
    """Takes the time of each part of a step, and after it that of the bare network on the same inputs."""

    def __init__(self, network: nn.Module, optimizer: torch.optim.Optimizer, dtype: torch.dtype):
        self.network, self.optimizer, self.dtype = network, optimizer, dtype
        self.parts: dict[str, list[float]] = defaultdict(list)
        self.step: dict[str, float] = dict.fromkeys(PARTS, 0.0)
        self.inputs: list[tuple[Tensor, bool]] = []
        self.began = self.started = self.ended = self.mark = 0.0

    def setup(self, trainer: Any, method: Any, stage: str) -> None:
        """Watch views and encoders: a momentum encoder is one more network of the same class."""
        for name in ("draw_view", "apply_views", "plain_view"):  # none calls another; `views` calls the first two
            object.__setattr__(method, name, self._timed(getattr(method, name)))
        for module in method.modules():
            if type(module) is type(method.backbone):
                module.register_forward_pre_hook(self._enter)
                module.register_forward_hook(self._leave)

    def _timed(self, make: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*given: Any, **named: Any) -> Any:
            start = time.perf_counter()
            made = make(*given, **named)
            self.step["views"] += time.perf_counter() - start
            return made

        return timed

    def _enter(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.inputs.append((inputs[0].detach(), torch.is_grad_enabled()))
        self.began = time.perf_counter()

    def _leave(self, *_: Any) -> None:
        self.step["forward"] += time.perf_counter() - self.began

    def on_train_batch_start(self, *_: Any) -> None:
        """Count the time since the last step's end as `host`."""
        self.inputs = []
        self.mark = time.perf_counter()
        self.started = self.ended or self.mark
        self.step = dict.fromkeys(PARTS, 0.0) | {"host": self.mark - self.started}

    def on_before_backward(self, *_: Any) -> None:
        """The loss is there."""
        self._lap("loss")
        self.step["loss"] -= self.step["views"] + self.step["forward"]

    def on_after_backward(self, *_: Any) -> None:
        """Gradients are there."""
        self._lap("backward")

    def on_train_batch_end(self, *_: Any) -> None:
        """The step is done; the bare network's turn."""
        self._lap("optimiser")
        self.parts["method"].append(self.mark - self.started)
        for part, seconds in self.step.items():
            self.parts[part].append(seconds)
        start = time.perf_counter()
        self.optimizer.zero_grad()
        with torch.autocast("cpu", self.dtype, enabled=self.dtype != torch.float32):
            for image, learns in self.inputs:
                with torch.set_grad_enabled(learns):
                    made = self.network(image)
                if learns:
                    made.float().square().mean().backward()
        self.optimizer.step()
        self.parts["network"].append(time.perf_counter() - start)
        self.ended = time.perf_counter()

    def _lap(self, part: str) -> None:
        now = time.perf_counter()
        self.step[part] += now - self.mark
        self.mark = now


def step(name: str, bf16: bool = False, steps: int = 20, network: str = "convnet") -> Figures:
    """A training step of {name} on 128 images, 32x32, in {precision}, and the bare {network}'s on the same views."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
    data = datamodules.build("colored_digits", image_size=EDGE, batch_size=BATCH)
    data.setup()
    cls = methods.find(name)
    L.seed_everything(stream_seed(0, "weights") % 2**32, verbose=False)
    method = cls(image_shape=data.image_shape, data=data.describe(), backbone=network)
    method.to(memory_format=torch.channels_last)
    bare = backbone(network, data.image_shape).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(bare.parameters(), lr=1e-3, fused=True)
    clock = Clock(bare, optimizer, torch.bfloat16 if bf16 else torch.float32)
    with tempfile.TemporaryDirectory() as folder:
        trainer = L.Trainer(
            accelerator="cpu",
            precision="bf16-mixed" if bf16 else "32-true",
            max_steps=WARM + steps,
            max_epochs=-1,
            callbacks=[DeferredLogs(), clock],  # as in a run
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
        )
        trainer.fit(method, datamodule=data.training_view(cls.uses_targets))
    taken = {part: 1e3 * median(times[WARM:]) for part, times in clock.parts.items()}
    ratio = median(n / m for n, m in list(zip(clock.parts["network"], clock.parts["method"], strict=True))[WARM:])
    return {"ratio": ratio, **{f"{part} ms": taken[part] for part in ("method", "network", *PARTS)}}


def lightly(steps: int = 10) -> Figures:
    """SimCLR's recipe as lightly has it, with the same convnet, batch and optimiser, and the step of simclr here."""
    try:
        from lightly.loss import NTXentLoss
        from lightly.models.modules import SimCLRProjectionHead
        from lightly.transforms import SimCLRTransform
    except ImportError as missing:
        raise NotHereError(f"pip install lightly ({missing})") from missing
    from PIL import Image

    ours = step("simclr", steps=steps)["method ms"]
    data = datamodules.build("colored_digits", image_size=EDGE, batch_size=BATCH)
    data.setup()
    network = backbone("convnet", data.image_shape).to(memory_format=torch.channels_last)
    head = SimCLRProjectionHead(network.num_features, network.num_features, 128)
    optimizer = torch.optim.AdamW([*network.parameters(), *head.parameters()], lr=1e-3, fused=True)
    transform, criterion, times = SimCLRTransform(input_size=EDGE, gaussian_blur=0.0), NTXentLoss(), []
    images = [Image.fromarray(image.transpose(1, 2, 0)) for image in data.splits["train"].images[:BATCH]]
    for _ in range(WARM + steps):
        start = time.perf_counter()
        first, second = (torch.stack(views) for views in zip(*map(transform, images), strict=True))
        optimizer.zero_grad()
        criterion(head(network(first)), head(network(second))).backward()
        optimizer.step()
        times.append(time.perf_counter() - start)
    theirs = 1e3 * median(times[WARM:])
    return {"ratio": theirs / ours, "lightly ms": theirs, "simclr ms": ours}
