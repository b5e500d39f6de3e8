"""CelebA from small files in the published format: its tables, people and landmarks, read back."""

import numpy as np
import pytest

from disentangle_bench.datamodules.base import SPLITS
from disentangle_bench.datamodules.errors import DataCorrupt, DataMismatch, DataNotFound
from disentangle_bench.datamodules.storage.decode import decode
from tests.datamodules.published_files import (
    NAMES,
    PLACES,
    build,
    every,
    write_celeba,
    write_landmarks,
)


def test_celeba(tmp_path, draw):
    attributes, identity = write_celeba(tmp_path / "f", draw)
    module = build("celeba", tmp_path / "f", image_size=18)
    found, targets = every(module)
    assert [len(module.splits[s]) for s in SPLITS] == [16, 4, 4]
    for column, name in enumerate(NAMES):
        assert np.array_equal(targets[name], attributes[:, column] > 0)
    assert np.array_equal(np.unique(identity)[targets["identity"]], identity)
    for row in (0, 13, 23):
        name = module.splits["train"].names[row].decode()
        assert np.array_equal(found[row], decode((tmp_path / "f" / "img_align_celeba" / name).read_bytes(), 18))
    assert [(s.name, s.role) for s in module.targets] == [
        ("Smiling", "content"),
        ("5_o_Clock_Shadow", "style"),
        ("Male", "style"),
        ("identity", "domain"),
    ]


def test_celeba_with_landmarks(tmp_path, draw):
    write_celeba(tmp_path / "f", draw)
    with pytest.raises(DataNotFound, match=r"list_landmarks_align_celeba\.txt is missing"):
        build("celeba", tmp_path / "f", landmarks=True).setup()
    places = write_landmarks(tmp_path / "f")
    module = build("celeba", tmp_path / "f", landmarks=True, min_images=3)
    _, targets = every(module)
    assert np.array_equal(np.stack([targets[name] for name in PLACES], 1), places[:23])
    content = [(s.name, s.kind) for s in module.targets if s.role == "content"]
    assert content == [("Smiling", "class"), *((name, "continuous") for name in PLACES)]
    file = tmp_path / "f" / "list_landmarks_align_celeba.txt"
    file.write_text(file.read_text().replace(str(places[3, 2]), "999"))
    with pytest.raises(DataCorrupt, match=r"landmarks_align_celeba\.txt: places outside"):
        build("celeba", tmp_path / "f", landmarks=True).setup()


def test_celeba_with_people_in_all_splits_and_without_rare_ones(tmp_path, draw):
    write_celeba(tmp_path / "f", draw)
    module = build("celeba", tmp_path / "f", shared_identities=True, min_images=4, content=("Male", "Smiling"))
    _, targets = every(module)
    assert len(targets["identity"]) == 20  # the last four belong to people with three images and one
    assert set(np.bincount(targets["identity"])) == {4}
    assert len(module.splits["test"]) == 4
    assert [s.name for s in module.targets if s.role == "content"] == ["Male", "Smiling"]
    with pytest.raises(DataMismatch, match="no attribute 'Bald' in CelebA"):
        build("celeba", tmp_path / "f", content=("Bald",)).setup()


def test_celeba_keeps_each_image_with_its_own_lines_of_all_tables(tmp_path, draw):
    """Where people are left out amid others, and splits are neither one after the other nor equally large."""
    root = tmp_path / "f"
    attributes, identity = write_celeba(root, draw)
    places = write_landmarks(root)
    identity[2], partition = 7, np.array([0, 0, 1, 0, 2, 0] * 3 + [1, 0, 0, 2, 0, 1])
    files = [f"{i + 1:06}.jpg" for i in range(24)]
    for table, values in (("identity_CelebA.txt", identity), ("list_eval_partition.txt", partition)):
        (root / table).write_text("".join(f"{file} {value}\n" for file, value in zip(files, values, strict=True)))
    module = build("celeba", root, min_images=3, landmarks=True)
    keep = np.array([i for i in range(24) if i not in (2, 23)])  # two people with one image each
    people = np.unique(identity[keep])
    for number, name in enumerate(SPLITS):
        split, own = module.splits[name], keep[partition[keep] == number]
        assert [split.name_of(k) for k in range(len(split))] == [files[i] for i in own]
        for column, attribute in enumerate(NAMES):
            assert np.array_equal(split.targets[attribute], attributes[own, column] > 0)
        assert np.array_equal(people[split.targets["identity"]], identity[own])
        assert np.array_equal(np.stack([split.targets[place] for place in PLACES], 1), places[own])
    assert next(spec.size for spec in module.targets if spec.name == "identity") == len(people)


@pytest.mark.parametrize("table", ["list_attr_celeba.txt", "list_landmarks_align_celeba.txt"])
def test_a_table_of_celeba_in_another_order_is_refused(tmp_path, draw, table):
    write_celeba(tmp_path / "f", draw)
    write_landmarks(tmp_path / "f")
    head, names, *lines = (tmp_path / "f" / table).read_text().splitlines()
    (tmp_path / "f" / table).write_text("\n".join([head, names, *reversed(lines)]))
    with pytest.raises(DataCorrupt, match=rf"{table}: does not list the same images"):
        build("celeba", tmp_path / "f", landmarks=True).setup()


def test_celeba_tables_that_do_not_fit_are_named(tmp_path, draw):
    write_celeba(tmp_path / "f", draw)
    path = tmp_path / "f" / "list_eval_partition.txt"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(DataCorrupt, match=r"list_eval_partition\.txt: does not list the same images"):
        build("celeba", tmp_path / "f").setup()
    path.unlink()
    with pytest.raises(DataNotFound, match=r"celeba is not in there.*mmlab.*list_eval_partition\.txt"):
        build("celeba", tmp_path / "f").setup()


def test_celeba_with_a_missing_image_names_it(tmp_path, draw):
    write_celeba(tmp_path / "f", draw)
    (tmp_path / "f" / "img_align_celeba" / "000007.jpg").unlink()
    with pytest.raises(DataCorrupt, match=r"000007\.jpg is missing"):
        build("celeba", tmp_path / "f").setup()
