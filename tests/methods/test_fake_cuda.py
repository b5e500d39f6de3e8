"""A training step on a GPU that isn't there: tensors of the device are fake, those of the processor real.

Fake tensors know shape, type and device. An operation on tensors of two devices is an error, and so is one whose result
the processor would have to wait for: it has no value. Copies between processor and device are counted.
"""

from collections import Counter
from contextlib import suppress
from typing import Any

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
)
from torch.utils._pytree import tree_leaves

from disentangle_bench.methods.batches.firewall import FirewalledBatch
from disentangle_bench.methods.views import Positives, on_device, together
from tests.methods.cases import AUGMENTATION, CASES
from tests.methods.conftest import SmallDigits

UNKNOWN = (DataDependentOutputException, DynamicOutputShapeException)


class FakeCuda(FakeTensorMode):
    """Within it, tensors on `cuda` are fake.

    Attributes:
        up: copies from processor to device, by name of the operation.
        waits: operations that make the processor wait for the device, copies back included.
    """

    def __init__(self) -> None:
        super().__init__(allow_non_fake_inputs=True)
        self.up: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        fakes = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, FakeTensor)]
        to_device = torch.device(kwargs.get("device") or "cpu").type == "cuda"
        if not fakes and not to_device:
            return func(*args, **kwargs)
        try:
            result = super().__torch_dispatch__(func, types, args, kwargs)
        except UNKNOWN as error:
            if not hasattr(error, "counted"):  # one operation may be made of others
                self.waits[func.overloadpacket.__name__] += 1
            error.counted = True  # type: ignore[attr-defined]
            raise
        made = {leaf.device.type for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)}
        if not fakes and any(isinstance(leaf, torch.Tensor) for leaf in tree_leaves((args, kwargs))):
            self.up[func.overloadpacket.__name__] += 1
        copied = func.overloadpacket.__name__ != "device_put"  # which is made of a copy
        if any(fake.device.type == "cuda" for fake in fakes) and "cpu" in made and copied:
            self.waits[func.overloadpacket.__name__] += 1
        return result


def on_fake_device(method: nn.Module) -> None:
    """Give the method fake parameters and buffers; to be called within the mode."""
    for module in method.modules():
        for name, value in module._parameters.items():
            if value is not None:
                fake = torch.empty(value.shape, dtype=value.dtype, device="cuda")
                module._parameters[name] = nn.Parameter(fake)
        for name, value in module._buffers.items():
            if value is not None:
                module._buffers[name] = torch.empty(value.shape, dtype=value.dtype, device="cuda")


def fake_batch(module: SmallDigits, method: Any) -> FirewalledBatch:
    batch = {
        "image": torch.empty(32, 3, 16, 16, dtype=torch.uint8, device="cuda"),
        "index": torch.empty(32, dtype=torch.int64, device="cuda"),
    }
    batch |= {spec.key: torch.empty(32, dtype=torch.int64, device="cuda") for spec in module.targets}
    return FirewalledBatch(batch, method.hidden_targets, "M", positions=torch.arange(32) * 5)


@pytest.mark.parametrize("half", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("case", CASES)
def test_a_step_on_a_gpu_waits_for_nothing(case, half, data, make, monkeypatch):
    module, (options, copies) = data(), CASES[case]
    method = make(case.partition("-")[0], module, augmentation=AUGMENTATION, **options)
    for logged in ("log", "log_dict"):
        monkeypatch.setattr(method, logged, lambda *args: None)
    monkeypatch.setattr(method, "share_of_budget", lambda step: 0.5)
    if case == "contrastive_clustering":
        method.has_centers = True
    if case.startswith("ip_irm"):
        method.partitions = [torch.randn(160, method.num_subsets, generator=torch.Generator().manual_seed(0))] * 2
    inside = []
    method.backbone.register_forward_hook(lambda _, inputs, output: inside.append(output.dtype))
    monkeypatch.setattr(type(method), "device", torch.device("cuda:0"))
    before = torch.is_autocast_enabled("cuda")
    with FakeCuda() as mode:
        on_fake_device(method)
        batch = fake_batch(module, method)
        torch.set_autocast_enabled("cuda", half)  # `torch.autocast` would look for a driver
        torch.set_autocast_dtype("cuda", torch.bfloat16)
        try:
            loss = method.training_step(batch, 1)
        finally:
            torch.set_autocast_enabled("cuda", before)
    assert (loss.device.type, loss.dtype, loss.shape) == ("cuda", torch.float32, ())
    assert loss.requires_grad
    assert set(inside) == {torch.bfloat16 if half else torch.float32}
    assert mode.waits == {}
    assert mode.up.total() == copies, mode.up


WAITING = {
    "a number": lambda t: float(t.sum()),
    "a condition": lambda t: bool((t > 0).all()),
    "rows that hold": lambda t: (t > 0).nonzero(),
    "a mask": lambda t: t[t > 0],
    "a histogram": lambda t: t.long().bincount(),
    "a copy": lambda t: t.cpu(),
}


@pytest.mark.parametrize("what", WAITING)
def test_the_counter_sees_what_waits(what):
    with FakeCuda() as mode:
        tensor = torch.empty(4, device="cuda")
        with suppress(*UNKNOWN):
            WAITING[what](tensor)
    assert mode.waits.total() == 1


def test_the_counter_sees_copies_and_devices_that_differ():
    with FakeCuda() as mode:
        there = torch.ones(4).to("cuda")
        assert there.device.type == "cuda"
        with pytest.raises(RuntimeError, match=r"two different devices|same device"):
            there + torch.ones(4)
    assert mode.up.total() == 1


def test_drawn_parameters_come_back_as_they_were_drawn():
    generator = torch.Generator().manual_seed(0)
    params = together([AUGMENTATION.draw(6, generator), *Positives().draw(6, 2, generator)])
    assert on_device(params, torch.device("cpu")) == params
    with FakeCuda() as mode:
        moved = on_device(params, torch.device("cuda"))
        kinds = {g: {k: (v.dtype, v.shape) for k, v in p.items()} for g, p in moved.items()}
    assert mode.up.total() == 1
    assert kinds == {g: {k: (v.dtype, v.shape) for k, v in p.items()} for g, p in params.items()}
