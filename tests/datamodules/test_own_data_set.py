"""A data set of a user's own class: what its `load` may return, and what the rest makes of that."""

import numpy as np
import pytest

from disentangle_bench import methods
from disentangle_bench.datamodules.base import DataMismatch, ImageDataModule, Split
from disentangle_bench.datamodules.inspection import check, contact_sheet
from disentangle_bench.datamodules.targets import TargetSpec

CLASS, DOMAIN = TargetSpec("y", "class", 3, "content"), TargetSpec("d", "class", 3, "domain")
SIZE = TargetSpec("size", "continuous", 1, "content")
LIGHT = TargetSpec("light", "continuous", 1, "domain")


class Own(ImageDataModule):
    name, source, licence = "own", "made up", "none"

    def __init__(self, *targets, dtype=np.int64, images=lambda images: images, **kwargs):
        super().__init__(batch_size=8, **kwargs)
        self.specs, self.dtype, self.made = targets, dtype, images

    def load(self):
        generator, splits = np.random.default_rng(0), {}
        for name, count in {"train": 60, "val": 20, "test": 20}.items():
            images = self.made(generator.integers(0, 256, (count, 3, 8, 8), dtype=np.uint8))
            values = {
                s.name: np.arange(count).astype(self.dtype) % 3 if s.discrete else np.ones(count) for s in self.specs
            }
            splits[name] = Split(images, values)
        return splits, self.specs


def channels_last(images):
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


@pytest.mark.parametrize(
    "module",
    [
        lambda: Own(CLASS, DOMAIN, images=channels_last),
        lambda: Own(CLASS, DOMAIN, dtype=np.float32),
        lambda: Own(CLASS, LIGHT),
    ],
    ids=["images that lie channels last in memory", "classes as floats", "a domain without classes"],
)
def test_it_is_checked_and_drawn(module):
    report = check(module())
    assert report.clean
    assert report.table["y"]["0"] == {"train": 20, "val": 7, "test": 7}
    assert contact_sheet(module()).startswith(b"\x89PNG")
    assert module().splits["train"].targets["y"].dtype == np.int64


@pytest.mark.parametrize("name", ["supervised", "odr"])
def test_methods_learn_the_first_content_that_has_classes(name):
    module = Own(SIZE, CLASS, DOMAIN)
    method = methods.build(name, image_shape=module.image_shape, data=module.describe())
    assert module.num_classes == 3
    assert (method.target if name == "supervised" else method.content) == "target/y"
    module = Own(SIZE, DOMAIN)
    assert module.num_classes is None
    with pytest.raises(ValueError, match="needs a content target with classes; own has: none"):
        methods.build(name, image_shape=module.image_shape, data=module.describe())


@pytest.mark.parametrize(
    ("module", "why"),
    [
        (lambda: Own(DOMAIN), "none of the targets d has the role `content`"),
        (
            lambda: Own(CLASS, images=lambda images: images / 255),
            r"its images are float64 \(60, 3, 8, 8\), uint8 \[N, C",
        ),
        (lambda: Own(CLASS, images=lambda images: images[:, 0]), r"its images are uint8 \(60, 8, 8\), "),
    ],
)
def test_what_no_method_could_learn_from_is_refused(module, why):
    with pytest.raises(DataMismatch, match=why):
        module().setup()
