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


def test_a_killed_download_is_taken_up_again(tmp_path, monkeypatch):
    """What it leaves doesn't pass for the data set, and what had come of the archive is there for the next one."""
    seen = []

    def download(folder):
        seen.append(sorted(path.name for path in folder.iterdir()))
        (folder / "archive").touch()
        (folder / "batches").mkdir(exist_ok=True)
        if len(seen) == 1:
            raise KeyboardInterrupt
        (folder / "batches" / "last").touch()

    monkeypatch.setattr(locate, "unreachable", lambda url: None)
    monkeypatch.setenv(locate.ENVIRONMENT, str(tmp_path))
    asked = {"url": "https://some.where", "download": download, "is_there": lambda home: (home / "batches").is_dir()}
    with pytest.raises(KeyboardInterrupt):
        locate.locate("mine", None, source="a page", layout="batches/", **asked)
    home = locate.locate("mine", None, source="a page", layout="batches/", **asked)
    assert seen == [[], ["archive", "batches"]]
    assert (home / "batches" / "last").is_file()
    assert not (home / "unfinished").exists()


def test_offline_forbids_downloads(tmp_path, monkeypatch):
    monkeypatch.setattr(locate, "unreachable", forbidden)
    monkeypatch.setenv(locate.ENVIRONMENT, str(tmp_path))
    monkeypatch.setenv(locate.OFFLINE, "1")
    with pytest.raises(DataNotFound):
        datamodules.build("cifar10").setup()
