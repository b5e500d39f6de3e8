"""Archives of images: unpacked once, and only whole ones that stay in their folder."""

import tarfile
import zipfile

import pytest

from disentangle_bench.datamodules.errors import DataCorrupt
from tests.datamodules.image_folders import folder


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
