"""New draws of coloured images: the same digits, each in a hue that tells nothing of them."""

import numpy as np

from disentangle_bench.datamodules.datasets.digits import ColoredDigits
from tools.redraws import HUES, redraw


def test_new_draws_are_training_images_in_hues_of_their_own():
    data = ColoredDigits(image_size=8, correlation=1.0)
    data.setup()
    split = data.splits["train"]
    drawn = redraw(split, 5000, np.random.default_rng(0))
    images, hues = drawn.take(np.arange(5000)), drawn.targets["color"]
    greys = split.take(np.arange(len(split))).max(axis=1)
    known = {grey.tobytes(): label for grey, label in zip(greys, split.targets["class"], strict=True)}
    labels = np.array([known[image.max(axis=0).tobytes()] for image in images])
    together = np.histogram2d(labels, hues, bins=(10, HUES))[0]
    assert together.min() > 20  # 50 are expected of each pair; before, each class had one hue alone
    assert set(hues[:100]) == set(range(HUES))
