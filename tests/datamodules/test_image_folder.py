import os
import tarfile
import unicodedata
import zipfile

import numpy as np
import pytest

from disentangle_bench import datamodules
from disentangle_bench.datamodules.base import SPLITS
from disentangle_bench.datamodules.errors import DataCorrupt, DataMismatch, DataNotFound
from disentangle_bench.datamodules.storage import image_files as files


def folder(root, **options):
    return datamodules.build("image_folder", root=str(root), batch_size=4, **options)


def names_of(module, split):
    return [module.splits[split].name_of(i) for i in range(len(module.splits[split]))]


def everything(module):
    return sorted(name for split in SPLITS for name in names_of(module, split))


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


def packed(root, path):
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in sorted(root.rglob("*.png")):
                archive.write(file, file.relative_to(root))
    else:
        with tarfile.open(path, "w:gz") as archive:
            archive.add(root, ".")
    return path


@pytest.mark.parametrize("name", ["images.zip", "images.tar.gz"])
def test_an_archive_is_unpacked_once(class_folders, tmp_path, name, monkeypatch):
    root = class_folders("a", "b", count=10)
    archive = packed(root, tmp_path / name)
    first = folder(archive)
    assert first.fingerprint == folder(root).fingerprint
    monkeypatch.setattr(
        "disentangle_bench.datamodules.storage.archives._unpack", lambda *_: pytest.fail("unpacked again")
    )
    assert folder(archive).fingerprint == first.fingerprint


@pytest.mark.parametrize("name", ["images.zip", "images.tar.gz"])
def test_an_archive_cut_short_is_named(class_folders, tmp_path, cache, name):
    archive = packed(class_folders("a", "b", count=10), tmp_path / name)
    archive.write_bytes(archive.read_bytes()[:-200])
    with pytest.raises(DataCorrupt, match=f"{name}: cut short or damaged"):
        folder(archive).setup()
    assert [p for p in (cache / "unpacked").iterdir() if p.is_dir()] == []


@pytest.mark.parametrize("member", ["../evil.png", "/tmp/evil.png", "a/../../evil.png"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_that_would_write_elsewhere_is_refused(tmp_path, cache, member, kind):
    archive = tmp_path / f"evil.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as packed_zip:
            packed_zip.writestr("a/1.png", b"x")
            packed_zip.writestr(member, b"x")
    else:
        (tmp_path / "x").write_text("x")
        with tarfile.open(archive, "w") as packed_tar:
            packed_tar.add(tmp_path / "x", member, filter=lambda info: info.replace(name=member, deep=False))
    with pytest.raises(DataCorrupt, match=r"member .*evil\.png.* outside of its folder; nothing unpacked"):
        folder(archive).setup()
    assert list(tmp_path.rglob("evil.png")) == []
    assert [p for p in (cache / "unpacked").iterdir() if p.is_dir()] == []


def test_pacs_wants_its_four_domains(class_folders, tmp_path):
    with pytest.raises(DataNotFound, match=r"pacs is not in there; get pacs from .*sketchx.*art_painting/CLASS"):
        datamodules.build("pacs", root=str(class_folders("photo/cat", "photo/dog"))).setup()
    domains = ("art_painting", "cartoon", "photo", "sketch")
    root = class_folders(*(f"kfold/{d}/{c}" for d in domains for c in ("dog", "horse")), root="official", count=20)
    module = datamodules.build("pacs", root=str(root), batch_size=8)
    assert module.value_names["domain"] == list(domains)
    assert sum(len(module.splits[s]) for s in SPLITS) == 160


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
