"""What the tests of data sets share: caches and data folders of their own, no network, small files."""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from disentangle_bench.datamodules.storage import locate

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISENTANGLE_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DISENTANGLE_BENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(locate, "unreachable", lambda url: "no network in tests")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """The cache folder that data sets use in this test."""
    return tmp_path / "cache"


@pytest.fixture
def draw() -> Callable[..., Path]:
    """`draw(path, seed, size=(8, 8))` writes a small random RGB image (PNG, or as the suffix says)."""

    def write(path: Path, seed: int = 0, size: tuple[int, int] = (8, 8)) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        return path

    return write


@pytest.fixture
def class_folders(tmp_path: Path, draw: Callable[..., Path]) -> Callable[..., Path]:
    """`class_folders("a", "b", count=20)` makes folders with so many images each and returns their root."""

    def make(*folders: str, count: int = 20, root: str = "images", size: tuple[int, int] = (8, 8)) -> Path:
        for number, folder in enumerate(folders):
            for i in range(count):
                draw(tmp_path / root / folder / f"{i:03}.png", 1000 * number + i, size)
        return tmp_path / root

    return make


def _archive(name: str) -> Path:
    folder = Path(os.environ.get("DISENTANGLE_BENCH_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / name).is_file():
        pytest.skip(f"{folder / name} is not there (set DISENTANGLE_BENCH_TEST_DATA to the folder that holds it)")
    return folder / name


@pytest.fixture(scope="session")
def cifar10_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tenth of the real CIFAR-10 images, as files in class folders."""
    root = tmp_path_factory.mktemp("cifar10")
    with zipfile.ZipFile(_archive("cifar10.zip")) as archive:
        archive.extractall(root, [name for name in archive.namelist() if name.endswith("7.jpg")])
    return root


@pytest.fixture(scope="session")
def pacs_archive() -> Path:
    """The real PACS images at 64x64, a zip file."""
    return _archive("pacs64.zip")
