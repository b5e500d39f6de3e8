import numpy as np
import pytest

from disentangle_bench import datamodules
from disentangle_bench.datamodules.base import SPLITS
from disentangle_bench.datamodules.errors import DataMismatch
from disentangle_bench.datamodules.splits import shifts


@pytest.fixture(scope="module")
def small():
    return {"num_scales": 2, "num_orientations": 4, "num_x": 3, "num_y": 3, "image_size": 32, "batch_size": 8}


def values(module, split, *names):
    return list(zip(*(module.splits[split].targets[name].tolist() for name in names), strict=True))


def test_held_out_combinations_are_in_test_only_and_all_of_them(small):
    module = datamodules.build("sprites", shift="hold_out:color=red,shape=square", **small)
    assert set(values(module, "test", "color", "shape")) == {(0, 0)}
    assert len(module.splits["test"]) == 2 * 4 * 3 * 3
    for split in ("train", "val"):
        seen = set(values(module, split, "color", "shape"))
        assert (0, 0) not in seen
        assert {(0, 1), (0, 2), (1, 0), (2, 0)} <= seen  # red is known, and so are squares
    whole = datamodules.build("sprites", **small)
    assert set(module.splits["train"].rows) <= set(whole.splits["train"].rows)
    assert module.fingerprint != whole.fingerprint
    batch = next(iter(module.eval_dataloader("test")))
    assert batch["image"][:, 1:].max() == 0  # they are red indeed


def test_values_go_by_number_too(small):
    by_name = datamodules.build("sprites", shift="hold_out:color=red,x=2", **small)
    by_number = datamodules.build("sprites", shift="hold_out: color = 0 , x=2", **small)
    assert by_name.fingerprint == by_number.fingerprint


@pytest.mark.parametrize("shift", ["leave_out:sketch", "leave_out:domain=sketch", "leave_out:2"])
def test_the_domain_left_out_is_the_test_split(class_folders, shift):
    folders = [f"{domain}/{kind}" for domain in ("art", "photo", "sketch") for kind in ("cat", "dog")]
    root = str(class_folders(*folders))
    module = datamodules.build("image_folder", root=root, domains=True, batch_size=4, shift=shift)
    whole = datamodules.build("image_folder", root=root, domains=True, batch_size=4)
    assert len(module.splits["test"]) == 40
    assert {module.splits["test"].name_of(i).split("/")[0] for i in range(40)} == {"sketch"}
    for split in ("train", "val"):
        part = module.splits[split]
        names = {part.name_of(i) for i in range(len(part))}
        assert {name.split("/")[0] for name in names} == {"art", "photo"}
        old = whole.splits[split]
        assert names == {n for n in map(old.name_of, range(len(old))) if not n.startswith("sketch")}
    assert module.targets == whole.targets


def test_splits_without_common_images_can_be_shifted_too():
    module = datamodules.build("colored_digits", shift="leave_out:red")
    assert set(module.splits["test"].targets["color"]) == {0}
    assert 0 not in set(module.splits["train"].targets["color"])
    whole = datamodules.build("colored_digits")
    assert len(module.splits["test"]) == sum((whole.splits[s].targets["color"] == 0).sum() for s in SPLITS)
    assert module.splits["test"].take(np.arange(20))[:, 1:].max() == 0


@pytest.mark.parametrize("correlation", [0.0, 0.5, 1.0])
def test_the_correlation_of_the_test_split_can_be_set(correlation):
    module = datamodules.build("colored_digits", shift=f"correlation:{correlation}")
    plain = datamodules.build("colored_digits")
    agree = (module.splits["test"].targets["color"] == module.splits["test"].targets["class"]).mean()
    assert agree == pytest.approx(correlation + (1 - correlation) / 10, abs=0.06)
    assert np.array_equal(module.splits["train"].targets["color"], plain.splits["train"].targets["color"])
    assert (module.fingerprint == plain.fingerprint) == (correlation == 0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "leave_out:",
        "hold_out:red",
        "hold_out:a=1,b",
        "leave_out:a=1,b",
        "leave_out:b,a=1",
        "correlation:2",
        "correlation:x",
    ],
)
def test_what_is_no_shift_is_said(text):
    with pytest.raises(DataMismatch, match="shift"):
        shifts.parse(text)


@pytest.mark.parametrize(
    ("name", "shift", "why"),
    [
        ("sprites", "hold_out:color=pink", r"no value 'pink' \(there is: red, yellow, "),
        ("sprites", "hold_out:colour=red", r"no target with classes 'colour'.*shape, scale, x, y, color"),
        ("sprites", "hold_out:orientation=0", "no target with classes 'orientation'"),
        ("sprites", "hold_out:x=99", r"no value '99' \(there is: 0 \.\. 2\)"),
        ("sprites", "leave_out:red", "no domain"),
        ("digits", "correlation:0.5", "digits has no colours"),
    ],
)
def test_a_shift_that_does_not_fit_the_data_is_said(name, shift, why, small):
    with pytest.raises(DataMismatch, match=why):
        datamodules.build(name, shift=shift, **(small if name == "sprites" else {})).setup()
