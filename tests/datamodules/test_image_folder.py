"""Folders of images: their splits, names and domains, and that each change of a file is noticed."""

import os
import unicodedata

import numpy as np
import pytest

from disentangle_bench.datamodules.base import SPLITS
from disentangle_bench.datamodules.storage import image_files as files
from tests.datamodules.image_folders import everything, folder, names_of


def test_class_folders_are_split_by_seed_and_class(class_folders):
    module = folder(class_folders("cat", "dog", count=50))
    assert {split: len(module.splits[split]) for split in SPLITS} == {"train": 72, "val": 8, "test": 20}
    assert len(set(everything(module))) == 100
    for split in SPLITS:
        counts = np.bincount(module.splits[split].targets["class"])
        assert counts[0] == counts[1]
    assert module.value_names == {"class": ["cat", "dog"]}
    assert module.image_shape == (3, 8, 8)
    assert names_of(module, "test") != names_of(folder(module.root, split_seed=1), "test")


def test_the_split_depends_on_names_alone(class_folders):
    here = folder(class_folders("cat", "dog", root="here"))
    there = folder(class_folders("cat", "dog", root="there"))
    for split in SPLITS:
        assert names_of(here, split) == names_of(there, split)
    assert here.fingerprint == there.fingerprint  # same content, other place and times


def test_images_and_labels_belong_together(class_folders, draw):
    root = class_folders("a", "b", "c")
    module = folder(root)
    for split in SPLITS:
        part = module.splits[split]
        for position in range(len(part)):
            name = part.name_of(position)
            encoded = (root / name).read_bytes()
            assert np.array_equal(part.take(np.array([position]))[0], files.decode.decode(encoded))
            assert "abc"[part.targets["class"][position]] == name.split("/")[0]


@pytest.mark.parametrize(
    ("folders", "sizes"),
    [
        (("train", "val", "test"), {"train": 40, "val": 10, "test": 10}),
        (("train", "test"), {"train": 36, "val": 4, "test": 10}),
        (("train", "validation"), {"train": 36, "val": 4, "test": 10}),
    ],
)
def test_given_splits_are_kept(class_folders, draw, folders, sizes):
    for part in folders:
        root = class_folders(f"{part}/a", f"{part}/b", count=20 if part == "train" else 5)
    module = folder(root)
    assert {split: len(module.splits[split]) for split in SPLITS} == sizes
    assert {name.split("/")[0] for name in names_of(module, "test")} == {folders[-1]}
    assert {name.split("/")[0] for name in names_of(module, "train")} == {"train"}


def test_domains_are_a_second_target(class_folders):
    root = class_folders("photo/cat", "photo/dog", "sketch/cat", "sketch/dog", count=10)
    module = folder(root, domains=True)
    assert [(spec.name, spec.size, spec.role) for spec in module.targets] == [
        ("class", 2, "content"),
        ("domain", 2, "domain"),
    ]
    for split in SPLITS:
        part = module.splits[split]
        for position in range(len(part)):
            domain, kind, _ = part.name_of(position).split("/")
            assert ["photo", "sketch"][part.targets["domain"][position]] == domain
            assert ["cat", "dog"][part.targets["class"][position]] == kind


def test_names_with_spaces_accents_and_other_scripts(class_folders, draw):
    composed, decomposed = unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é")
    root = class_folders(f"chien {decomposed}lev{composed}", "猫 a", "it's #1 %20")
    draw(root / "猫 a" / "ein Bild, größer.PNG", 5)
    assert len(everything(folder(root))) == 61


def test_names_that_are_not_utf8_are_read(class_folders):
    root = class_folders("a", "b")
    (root / "a" / "000.png").rename(root / "a" / os.fsdecode(b"\xff.png"))
    module = folder(root)
    module.setup()
    assert len(everything(module)) == 40


def test_hidden_and_other_files_are_left_out_and_counted(class_folders):
    root = class_folders("a", "b")
    (root / "a" / ".DS_Store").write_text("x")
    (root / "a" / "._000.png").write_text("x")
    (root / "a" / "notes.txt").write_text("x")
    (root / ".cache").mkdir()
    module = folder(root)
    assert len(everything(module)) == 40
    assert module.ignored_files == 1


def test_links_are_followed_and_loops_end(class_folders, tmp_path):
    root = class_folders("a", "b")
    (root / "a" / "again").symlink_to(root / "a")
    (root / "a" / "up").symlink_to(root)
    other = class_folders("c", root="elsewhere", count=3)
    (root / "b" / "more").symlink_to(other / "c")
    (root / "b" / "broken.png").symlink_to(tmp_path / "nowhere")
    names = everything(folder(root))
    assert "b/more/000.png" in names
    assert not any("again" in name for name in names)
    assert len(names) == 20 + 20 + 3


def test_decoding_happens_once(class_folders, monkeypatch):
    root = class_folders("a", "b")
    first = folder(root)
    first.setup()
    monkeypatch.setattr(files.decode, "decode", lambda *_: pytest.fail("decoded again"))
    second = folder(root)
    assert second.fingerprint == first.fingerprint
    assert np.array_equal(second.splits["test"].take(np.arange(8)), first.splits["test"].take(np.arange(8)))


def test_a_changed_pixel_a_moved_file_and_a_new_file_are_noticed(class_folders, draw):
    root = class_folders("a", "b")
    found = [folder(root).fingerprint]
    draw(root / "a" / "000.png", seed=999)
    found.append(folder(root).fingerprint)
    (root / "a" / "001.png").rename(root / "b" / "901.png")
    found.append(folder(root).fingerprint)
    draw(root / "a" / "777.png", seed=5)
    found.append(folder(root).fingerprint)
    assert len(set(found)) == 4


def test_a_file_swapped_for_another_of_the_same_size_is_noticed(class_folders):
    root = class_folders("a", "b")
    first = folder(root)
    before = first.splits["train"].take(np.arange(36)[:5]).copy()
    names = names_of(first, "train")[:5]
    path = root / names[0]
    other = (root / names[1]).read_bytes()
    path.write_bytes(other.ljust(path.stat().st_size, b"\0")[: max(len(other), path.stat().st_size)])
    os.utime(path, ns=(1, 1))
    after = folder(root).splits["train"].take(np.arange(5))
    assert not np.array_equal(before[0], after[0])
    assert np.array_equal(before[1:], after[1:])


def test_image_size_is_the_first_ones_or_as_asked(class_folders):
    root = class_folders("a", "b", size=(20, 12))
    assert folder(root).image_shape == (3, 12, 12)
    assert folder(root, image_size=7).image_shape == (3, 7, 7)
    assert folder(class_folders("a", "b", count=10, root="large", size=(500, 400))).image_shape == (3, 224, 224)


def test_the_loader_keeps_the_contract(class_folders):
    module = folder(class_folders("photo/cat", "photo/dog", "sketch/cat", "sketch/dog"), domains=True)
    batches = list(module.eval_dataloader("test", batch_size=6))
    assert [len(batch["index"]) for batch in batches] == [6, 6, 4]
    assert set(batches[0]) == {"image", "index", "target/class", "target/domain"}
    assert [i for batch in batches for i in batch["index"].tolist()] == list(range(16))
    train = list(module.train_dataloader())
    assert len(train) == len(module.splits["train"]) // 4
    part = module.splits["train"]
    for batch in train:
        positions = batch["index"].numpy()
        assert np.array_equal(batch["image"].numpy(), part.take(positions))
        assert batch["target/domain"].tolist() == part.targets["domain"][positions].tolist()


def test_other_files_of_the_same_folder_leave_the_decoded_ones_alone(class_folders, draw, monkeypatch):
    root = class_folders("a", "b")
    few = folder(root)
    before = few.splits["train"].images.path
    draw(root / "a" / "one more.png", 77)
    more = folder(root)
    assert more.splits["train"].images.path.parent != before.parent
    assert before.is_file()
    monkeypatch.setattr(files.decode, "VERSION", files.decode.VERSION + 1)  # the same files come out differently
    again = folder(root)
    assert again.splits["train"].images.path.parent != more.splits["train"].images.path.parent
    assert again.fingerprint == more.fingerprint
