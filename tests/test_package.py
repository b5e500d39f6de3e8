"""What is installed: one name, with everything that the commands read."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("benchmarks", "methods", "datamodules", "evaluation")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    out = tmp_path_factory.mktemp("wheel")
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    copy = out / "source"  # built elsewhere: a build leaves folders behind
    for name in filter(None, files.split("\0")):
        if name.startswith((*FOLDERS, "disentangle_bench", "pyproject.toml", "README.md", "LICENSE")):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_symlink():
                (copy / name).symlink_to((ROOT / name).readlink())
            elif (ROOT / name).exists():
                (copy / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", out, copy]
    subprocess.run(command, check=True, cwd=out)
    (built,) = out.glob("*.whl")
    return zipfile.ZipFile(built)


def test_one_name_is_installed(wheel):
    (top_level,) = (name for name in wheel.namelist() if name.endswith("top_level.txt"))
    assert wheel.read(top_level).decode().split() == ["disentangle_bench"]
    assert {name.split("/")[0] for name in wheel.namelist() if ".dist-info/" not in name} == {"disentangle_bench"}


def test_nothing_is_missing(wheel):
    packed = set(wheel.namelist())
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert f"disentangle_bench/{path.relative_to(ROOT)}" in packed
    assert "disentangle_bench/py.typed" in packed


def test_links_lead_to_the_folders():
    """A new file is seen without installing again, by editors and type checkers too."""
    for folder in FOLDERS:
        assert (ROOT / "disentangle_bench" / folder).resolve() == (ROOT / folder).resolve()
