"""What is distributed: one name with everything that the commands read, and a source that is the repository."""

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
FOLDERS = ("benchmarks", "methods", "datamodules", "evaluation")
NOT_SOURCE = {".venv", "build", "dist", "__pycache__", ".pytest_cache", ".ruff_cache", ".mypy_cache"}


def sources() -> list[str]:
    """Files of the repository; of an unpacked source distribution, which has no history, all that it came with."""
    if (ROOT / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        told = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
        return [name for name in told.split("\0") if name and os.path.lexists(ROOT / name)]
    found = [path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_symlink() or path.is_file()]
    made = (*NOT_SOURCE, "PKG-INFO", "setup.cfg", "disentangle_bench.egg-info")
    return [path.as_posix() for path in found if not set(path.parts) & set(made)]


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with the source distribution, and the wheel that is built from it."""
    out = tmp_path_factory.mktemp("built")
    copy = out / "source"  # built elsewhere: a build leaves folders behind
    for name in sources():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_symlink():
            (copy / name).symlink_to((ROOT / name).readlink())
        else:
            (copy / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, copy]
    subprocess.run(command, check=True, cwd=out, capture_output=True)
    return out


@pytest.fixture(scope="module")
def wheel(built) -> zipfile.ZipFile:
    (file,) = built.glob("*.whl")
    return zipfile.ZipFile(file)


def test_the_source_is_the_repository(built):
    """Everything that tests, docs and the README's commands need; links stay links, so nothing is packed twice."""
    (file,) = built.glob("*.tar.gz")
    with tarfile.open(file) as source:
        packed = {member.name.partition("/")[2] for member in source if member.isfile() or member.issym()}
    generated = {"PKG-INFO", "setup.cfg"}
    assert {name for name in packed if ".egg-info/" not in name} - generated == set(sources())


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


def test_the_reference_environment_fits():
    """constraints.txt pins every requirement, in a version that pyproject.toml allows."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    extras = project["optional-dependencies"]
    for line in [*project["dependencies"], *(one for ones in extras.values() for one in ones)]:
        needed = Requirement(line)
        if needed.name == project["name"]:
            assert needed.extras <= set(extras)
        else:
            assert pins[canonicalize_name(needed.name)] in needed.specifier, line


def test_the_workflow_is_ours():
    """What runs elsewhere is what runs here: `.ci/run`, and targets of the Makefile."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    commands = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    assert ".ci/run" in commands
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    asked = [word for text in (*commands, (ROOT / ".ci" / "run").read_text()) for word in _made(text)]
    assert asked
    assert set(asked) <= set(targets)


def _made(text: str) -> list[str]:
    """Targets of `make` that a script asks for."""
    return [word for line in text.splitlines() if line.startswith("make ") for word in line.split()[1:]]
