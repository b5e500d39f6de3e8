import io
import json

import numpy as np
import pytest
from PIL import Image

from disentangle_bench import datamodules
from disentangle_bench.datamodules.base import SPLITS
from disentangle_bench.datamodules.errors import DataNotFound
from disentangle_bench.datamodules.inspection import check, contact_sheet


def test_a_clean_data_set_is_counted(class_folders):
    root = class_folders("photo/cat", "photo/dog", "sketch/cat", "sketch/dog")
    report = check(datamodules.build("image_folder", root=str(root), domains=True, batch_size=4))
    assert report.clean
    assert report.images == {"train": 57, "val": 7, "test": 16, "probe": 57, "probe_val": 7}
    assert report.cross == {"photo": {"cat": 20, "dog": 20}, "sketch": {"cat": 20, "dog": 20}}
    assert sum(report.table["class"]["dog"].values()) == 40
    assert report.duplicates == {"train/val": 0, "train/test": 0, "val/test": 0}
    assert json.loads(json.dumps(report.as_dict()))["image_shape"] == [3, 8, 8]
    text = report.text()
    assert "57 train, 7 val, 16 test" in text
    assert "images by domain (a row each) and class\n" in text
    assert "sketch   20   20" in text
    assert report.fingerprint in text


@pytest.mark.parametrize("feed", ["memory", "stream"])
def test_unreadable_files_are_found(class_folders, feed):
    root = class_folders("a", "b")
    (root / "a" / "notes.txt").write_text("x")
    (root / "a" / "003.png").write_bytes(b"")
    (root / "b" / "004.png").write_text("<html>")
    report = check(datamodules.build("image_folder", root=str(root), batch_size=4, feed=feed))
    assert sorted(name for name, _ in report.unreadable) == ["a/003.png", "b/004.png"]
    assert report.ignored == 1
    assert not report.clean
    assert "unreadable files: 2" in report.text()
    assert "a/003.png: " in report.text()
    if feed == "memory":
        assert "no fingerprint while files are unreadable" in report.text()
    assert "--set data.unreadable=skip" in report.text()
    assert sum(report.images[s] for s in SPLITS) == (38 if feed == "memory" else 40)


def test_images_in_two_splits_are_found_and_named(class_folders):
    root = class_folders("train/a", "train/b", "test/a", "test/b", "val/a", "val/b", count=5)
    (root / "test" / "a" / "again.png").write_bytes((root / "train" / "a" / "001.png").read_bytes())
    with Image.open(root / "val" / "b" / "002.png") as image:
        image.save(root / "test" / "b" / "same pixels.bmp")
    (root / "train" / "b" / "twice.png").write_bytes((root / "train" / "b" / "000.png").read_bytes())
    report = check(datamodules.build("image_folder", root=str(root), batch_size=4))
    assert report.duplicates == {"train/train": 1, "train/test": 1, "val/test": 1, "train/val": 0}
    assert ("train train/a/001.png", "test test/a/again.png") in report.examples
    assert ("val val/b/002.png", "test test/b/same pixels.bmp") in report.examples
    assert not report.clean
    (root / "test" / "a" / "again.png").unlink()
    (root / "test" / "b" / "same pixels.bmp").unlink()
    assert check(datamodules.build("image_folder", root=str(root), batch_size=4)).clean


def test_missing_data_are_an_error():
    with pytest.raises(DataNotFound):
        check(datamodules.build("pacs"))


@pytest.mark.parametrize("name", ["digits", "colored_digits", "sprites"])
def test_contact_sheets_show_images_and_targets(name):
    module = datamodules.build(name)
    sheet = contact_sheet(module, rows=3)
    with Image.open(io.BytesIO(sheet)) as image:
        assert image.format == "PNG"
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert (pixels.max(2) < 40).mean() > 0.1  # black backgrounds of images
    coloured = (np.ptp(pixels, axis=2) > 100).mean()
    assert (coloured > 0.005) == (name != "digits")
    assert contact_sheet(module, rows=3) == sheet


def test_a_contact_sheet_shows_what_a_shift_left_in_test():
    module = datamodules.build("sprites", image_size=32, shift="hold_out:color=green,shape=heart")
    with Image.open(io.BytesIO(contact_sheet(module, split="test", rows=2))) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    red, green, blue = pixels[np.ptp(pixels, axis=2) > 200].T
    assert len(green) > 50
    assert (green > np.maximum(red, blue)).all()
