"""A whole training step waits for the device at most once: batch, views, both passes, optimiser, schedule and log.

Here the device is `meta`, whose tensors have shapes and no values: what asks for a value would wait on a GPU, and is
counted. `test_fake_cuda.py` looks at the forward pass, and at what lies on which device.
"""

import sys
from collections import Counter
from contextlib import nullcontext
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch import Tensor
from torch.optim import SGD, Adam
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from disentangle_bench.benchmarks.execution.callbacks import TrainingProgress
from disentangle_bench.benchmarks.runs.folder import RunFolder
from disentangle_bench.benchmarks.runs.progress_file import ProgressFile
from tests.methods.cases import AUGMENTATION, CASES

DEVICE = torch.device("meta")
aten = torch.ops.aten
NUMBERS = (aten._local_scalar_dense.default, aten.item.default, aten.is_nonzero.default, aten.equal.default)
SIZES = (aten.nonzero.default, aten.masked_select.default, aten.bincount.default, aten._unique2.default)


class OnMeta(TorchDispatchMode):
    """Within it, who asks the device for a value gets nought, and is counted by the operation's name."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        there = [tensor for tensor in tensors if tensor.is_meta]
        if not there:
            return func(*args, **kwargs)
        name = func.overloadpacket.__name__
        if name == "_fused_sgd_":  # torch has no shapes for it
            return None
        if func in NUMBERS:
            self.waits[name] += 1
            return False if there[0].dtype == torch.bool else 0
        masks = (
            [index for index in args[1] if index is not None and index.dtype == torch.bool] if name == "index" else []
        )
        if func in SIZES or masks:
            self.waits[name] += 1
            return (args[0][:1],) * 3 if name == "_unique2" else args[0]
        back = torch.device(kwargs.get("device") or DEVICE).type == "cpu" or (name == "copy_" and not args[0].is_meta)
        if back:
            self.waits[name] += 1
            return torch.zeros(there[0].shape, dtype=kwargs.get("dtype") or there[0].dtype)
        return func(*args, **kwargs)


class NoDevice(CPUAccelerator):
    """What Lightning asks of an accelerator."""

    def setup_device(self, device: torch.device) -> None:
        pass


class Meta(SingleDeviceStrategy):
    """All of a run on the meta device."""

    def model_to_device(self) -> None:
        self.model.to(DEVICE)

    def teardown(self) -> None:
        """Lightning would move the module back."""


class Waits(L.Callback):
    """What was waited for in each step, from the end of one to the end of the next."""

    def __init__(self, mode: OnMeta):
        self.mode, self.steps = mode, []

    def on_train_batch_end(self, *_: Any) -> None:
        self.steps.append(dict(self.mode.waits))
        self.mode.waits.clear()


OPTIMIZERS = {"ip_irm": "adam", "style_blocks": "lars", "vicreg": "sgd"}


@pytest.mark.parametrize("case", CASES)
def test_a_step_waits_for_nothing(case, data, make, monkeypatch, tmp_path):
    name, (options, _) = case.partition("-")[0], CASES[case]
    module = data(**({"balance": "color", "domains_per_batch": 4} if name == "domain_contrastive" else {}))
    method = make(name, module, augmentation=AUGMENTATION, optimizer=OPTIMIZERS.get(name, "adamw"), **options)
    if name == "contrastive_clustering":
        method.on_train_start = lambda: setattr(method, "has_centers", True)
    if name == "ip_irm":
        method.find_partition = lambda: (torch.randn(160, method.num_subsets), float("nan"))
    if name == "supervised":
        method.on_train_epoch_end = lambda: None  # which asks whether any image had a label
    for optimizer in (Adam, SGD):  # whose modules ask whether a device has fused kernels
        monkeypatch.setattr(sys.modules[optimizer.__module__], "_device_dtype_check_for_fused", lambda *_, **__: None)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # knows no meta device
    progress = ProgressFile(RunFolder(tmp_path))
    progress._written = float("inf")  # nothing is due: twice a second it writes the loss, and waits for it
    with OnMeta() as mode:
        waits = Waits(mode)
        L.Trainer(
            accelerator=NoDevice(),
            strategy=Meta(device=DEVICE),
            callbacks=[TrainingProgress(progress), waits],
            logger=False,
            max_steps=3,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=tmp_path,
        ).fit(method, datamodule=module)
    assert len(waits.steps) == 3
    assert waits.steps[1] == {}


ASKING = {
    "a number": lambda t: float(t.sum()),
    "a condition": lambda t: bool((t > 0).all()),
    "rows that hold": lambda t: (t > 0).nonzero(),
    "a mask": lambda t: t[t > 0],
    "a copy": lambda t: t.cpu(),
    "a gradient's number": lambda t: t.requires_grad_().square().sum().backward() or float(t.grad.sum()),
}


@pytest.mark.parametrize("what", ASKING)
def test_the_counter_sees_who_asks(what):
    with OnMeta() as mode:
        ASKING[what](torch.ones(4, device=DEVICE))
    assert mode.waits.total() == 1


def test_the_loss_is_asked_for_only_when_it_is_written(tmp_path):
    asked = []
    progress = ProgressFile(RunFolder(tmp_path))
    for done in range(1, 6):
        progress.update("train", done, 10, lambda: asked.append(1) or "loss 0.1")
    assert len(asked) == 1
