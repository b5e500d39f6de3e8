"""Asking where a data set is reads nothing and downloads nothing."""

import pytest

from disentangle_bench import datamodules
from disentangle_bench.datamodules.errors import DataNotFound
from disentangle_bench.datamodules.families.stored import StoredDataModule
from disentangle_bench.datamodules.storage import locate

STORED = [name for name in datamodules.available() if issubclass(datamodules.find(name), StoredDataModule)]


def forbidden(*_, **__):
    raise AssertionError("asked the network")


@pytest.mark.parametrize("name", STORED)
def test_locating_a_missing_data_set(name, tmp_path, monkeypatch):
    monkeypatch.setattr(locate, "unreachable", forbidden)
    with pytest.raises(DataNotFound):
        datamodules.build(name, root=str(tmp_path / "nowhere")).locate()
    monkeypatch.setenv(locate.ENVIRONMENT, str(tmp_path))
    if not name.endswith("fashion_mnist"):  # which a system package may have brought
        with pytest.raises(DataNotFound):
            datamodules.build(name).locate()


def test_locating_a_folder_of_images(tmp_path):
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "1.png").write_bytes(b"not an image: nobody reads it")
    assert datamodules.build("image_folder", root=str(tmp_path)).locate() == tmp_path


def test_offline_forbids_downloads(tmp_path, monkeypatch):
    monkeypatch.setattr(locate, "unreachable", forbidden)
    monkeypatch.setenv(locate.ENVIRONMENT, str(tmp_path))
    monkeypatch.setenv(locate.OFFLINE, "1")
    with pytest.raises(DataNotFound):
        datamodules.build("cifar10").setup()
