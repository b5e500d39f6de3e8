"""Folders of images that don't make a data set, and images that can't be read, are named."""

import pytest

from disentangle_bench import datamodules
from disentangle_bench.datamodules.base import SPLITS
from disentangle_bench.datamodules.errors import DataCorrupt, DataMismatch, DataNotFound
from tests.datamodules.image_folders import everything, folder, names_of


def test_an_empty_class_folder_is_named(class_folders):
    root = class_folders("a", "b")
    (root / "empty one").mkdir()
    with pytest.raises(DataCorrupt, match="empty one: class folder without images"):
        folder(root).setup()


@pytest.mark.parametrize("empty", ["train/c", "test/b"])
def test_an_empty_class_folder_in_a_given_split_is_named(class_folders, empty):
    root = class_folders("train/a", "train/b", "test/a")
    (root / empty).mkdir()
    with pytest.raises(DataCorrupt, match=f"{empty}: class folder without images"):
        folder(root).setup()


def test_one_class_only_is_refused(class_folders):
    with pytest.raises(DataMismatch, match="only the folder 'a'"):
        folder(class_folders("a")).setup()


@pytest.mark.parametrize(("rare", "domains"), [("rare", False), ("photo/rare", True)])
def test_a_class_of_too_few_images_for_the_splits_is_named(class_folders, draw, rare, domains):
    root = class_folders(*(("photo/cat", "sketch/cat", "sketch/rare") if domains else ("cat", "dog")))
    for image in range(2):
        draw(root / rare / f"{image}.png", image)
    with pytest.raises(DataMismatch, match=f"{root / rare}: 2 of the 3 images that a class needs"):
        folder(root, domains=domains).setup()
    draw(root / rare / "3.png", 3)
    folder(root, domains=domains).setup()


def test_a_test_class_without_training_images_is_named(class_folders):
    root = class_folders("train/a", "train/b", "test/a", "test/new")
    with pytest.raises(DataMismatch, match="test/new: class without training images"):
        folder(root).setup()


@pytest.mark.parametrize(
    ("folders", "domains", "why"),
    [
        (("Train/a", "Train/b", "Test/a", "Test/b"), False, "Test: the folder of a split, by its name, where classes"),
        (("training/a", "training/b", "testing/a", "testing/b"), False, "testing: the folder of a split"),
        (("val/a", "val/b", "test/a", "test/b"), False, "test: the folder of a split"),
        (
            ("train/art/a", "train/art/b", "test/art/a", "test/art/b"),
            True,
            "test: the folder of .* where domains should",
        ),
        (("art/train/a", "art/test/a", "ink/train/a", "ink/test/a"), True, "art/test: the folder of .* where classes"),
    ],
)
def test_folders_of_splits_never_pass_for_classes_or_domains(class_folders, folders, domains, why):
    with pytest.raises(DataMismatch, match=why):
        folder(class_folders(*folders), domains=domains).setup()


def test_a_train_may_be_a_class_beside_others(class_folders):
    root = class_folders("art/bus", "art/train", "ink/bus", "ink/train")
    assert folder(root, domains=True).value_names["class"] == ["bus", "train"]
    parts = class_folders("train/bus", "train/train", "test/bus", "test/train", root="given")
    assert folder(parts).value_names["class"] == ["bus", "train"]


@pytest.mark.parametrize("part", ["val", "test"])
def test_images_that_lie_beside_class_folders_are_no_split(class_folders, draw, part):
    root = class_folders("train/a", "train/b")
    draw(root / part / "1.png")
    with pytest.raises(DataMismatch, match=f"{part}: no image in a class folder; .* {part}/CLASS/, as in train"):
        folder(root).setup()


def test_missing_root_is_named_and_nothing_is_written(tmp_path):
    with pytest.raises(DataNotFound, match=f"{tmp_path / 'nowhere'}: no such folder.*CLASS"):
        folder(tmp_path / "nowhere").setup()
    with pytest.raises(DataNotFound, match=r"^not in .*CLASS/\*\.jpg.*DISENTANGLE_BENCH_DATA"):
        datamodules.build("image_folder").setup()
    assert list(tmp_path.iterdir()) == []


def spoil(root):
    (root / "a" / "003.png").write_bytes(b"")
    (root / "b" / "004.png").write_bytes((root / "b" / "004.png").read_bytes()[:50])
    (root / "b" / "005.png").write_text("<html>404</html>")


def test_unreadable_images_are_named_all_at_once(class_folders):
    root = class_folders("a", "b")
    spoil(root)
    with pytest.raises(DataCorrupt, match=r"3 of 40 images .*a/003\.png.*0 bytes.*004\.png.*005\.png.*unreadable=skip"):
        folder(root).setup()


def test_unreadable_images_are_left_out_on_request_and_counted(class_folders, caplog):
    root = class_folders("a", "b")
    whole = {split: names_of(folder(root), split) for split in SPLITS}
    spoil(root)
    module = folder(root, unreadable="skip")
    assert len(everything(module)) == 37
    assert "image_folder: 3 of 40 images cannot be read and are left out" in caplog.text
    assert [name for name, _ in module.unreadable_files] == ["a/003.png", "b/004.png", "b/005.png"]
    bad = {"a/003.png", "b/004.png", "b/005.png"}
    assert {s: [n for n in names if n not in bad] for s, names in whole.items()} == {
        s: names_of(module, s) for s in SPLITS
    }  # the others stay in their splits
    (root / "a" / "003.png").write_bytes((root / "a" / "002.png").read_bytes())
    assert len(everything(folder(root, unreadable="skip"))) == 38


def test_nothing_readable_is_an_error_either_way(class_folders):
    root = class_folders("a", "b", count=10)
    for file in root.rglob("*.png"):
        file.write_bytes(b"")
    for unreadable in ("error", "skip"):
        with pytest.raises(DataCorrupt, match="can be read"):
            folder(root, unreadable=unreadable).setup()


def test_pacs_wants_its_four_domains(class_folders, tmp_path):
    with pytest.raises(DataNotFound, match=r"pacs is not in there; get pacs from .*sketchx.*art_painting/CLASS"):
        datamodules.build("pacs", root=str(class_folders("photo/cat", "photo/dog"))).setup()
    domains = ("art_painting", "cartoon", "photo", "sketch")
    root = class_folders(*(f"kfold/{d}/{c}" for d in domains for c in ("dog", "horse")), root="official", count=20)
    module = datamodules.build("pacs", root=str(root), batch_size=8)
    assert module.value_names["domain"] == list(domains)
    assert sum(len(module.splits[s]) for s in SPLITS) == 160
