"""Members of an archive that are more than files: links that lead out of the folder, and devices."""

import errno
import io
import os
import stat
import tarfile
import zipfile

import pytest

from disentangle_bench.datamodules.errors import DataCorrupt, DataMismatch
from disentangle_bench.datamodules.storage.archives import unpacked


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


HOSTILE = {
    "a link to an absolute path": [member("a", tarfile.SYMTYPE, "/etc")],
    "a link upwards": [member("a", tarfile.SYMTYPE, "../../elsewhere")],
    "a file through a link": [member("a", tarfile.SYMTYPE, "../.."), member("a/evil.png")],
    "a hard link": [member("a", tarfile.LNKTYPE, "../../secret")],
    "a device": [member("a", tarfile.CHRTYPE)],
}


@pytest.mark.parametrize("case", HOSTILE)
def test_links_and_devices_are_refused(case, tmp_path):
    (tmp_path / "secret").write_text("secret")
    archive = tmp_path / "evil.tar"
    with tarfile.open(archive, "w") as packed:
        packed.addfile(member("first.png"), io.BytesIO(b""))
        for info in HOSTILE[case]:
            packed.addfile(info, io.BytesIO(b""))
    with pytest.raises(DataCorrupt, match=r"evil\.tar: .* nothing unpacked"):
        unpacked(archive, tmp_path / "below" / "deep")
    assert [path for path in (tmp_path / "below").rglob("*") if path.is_symlink() or path.suffix == ".png"] == []
    assert list(tmp_path.rglob("evil.png")) == []


def test_a_link_in_a_zip_becomes_a_file(tmp_path):
    """Python writes the target's name as the file's content: nothing is followed."""
    archive = tmp_path / "evil.zip"
    info = zipfile.ZipInfo("a")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr(info, "/etc")
    folder = unpacked(archive, tmp_path / "below")
    assert not (folder / "a").is_symlink()
    assert [path.name for path in folder.iterdir()] == ["a"]


@pytest.mark.parametrize(
    ("field", "value", "why"), [("flag_bits", 1, "encrypted"), ("compress_type", 97, "compression")]
)
def test_a_zip_that_python_cannot_unpack_says_what_to_do(field, value, why, tmp_path, monkeypatch):
    archive, read = tmp_path / "images.zip", zipfile.ZipFile._RealGetContents
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("a.png", b"1")

    def spoiled(packed):
        read(packed)
        for info in packed.infolist():
            setattr(info, field, value)

    monkeypatch.setattr(zipfile.ZipFile, "_RealGetContents", spoiled)
    with pytest.raises(DataCorrupt, match=rf"images\.zip: .*{why}.*; unpack it yourself and name its folder"):
        unpacked(archive, tmp_path / "below")


def test_an_xz_archive_with_altered_bytes_is_called_damaged(tmp_path):
    archive, info = tmp_path / "images.tar.xz", member("a.png")
    info.size = 200_000
    with tarfile.open(archive, "w:xz") as packed:
        packed.addfile(info, io.BytesIO(os.urandom(info.size)))
        packed.addfile(member("b.png"), io.BytesIO(b""))
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 255
    archive.write_bytes(content)
    with pytest.raises(DataCorrupt, match=r"images\.tar\.xz: cut short or damaged"):
        unpacked(archive, tmp_path / "below")


def test_a_full_disk_is_not_called_a_damaged_archive(tmp_path, monkeypatch):
    archive = tmp_path / "images.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("a.png", b"1")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "extractall", full)
    with pytest.raises(DataMismatch, match=r"cannot unpack .*images\.zip into .*: No space left on device") as caught:
        unpacked(archive, tmp_path / "below")
    assert not isinstance(caught.value, DataCorrupt)
    assert not [path for path in (tmp_path / "below").iterdir() if path.is_dir()]


def test_an_archive_that_was_written_again_is_unpacked_again_though_it_is_as_large_as_before(tmp_path):
    archive, found = tmp_path / "images.zip", []
    for time, content in enumerate((b"1", b"2")):
        with zipfile.ZipFile(archive, "w") as packed:
            packed.writestr("a.png", content)
        os.utime(archive, ns=(0, time))
        found.append((unpacked(archive, tmp_path / "below") / "a.png").read_bytes())
    assert found == [b"1", b"2"]
