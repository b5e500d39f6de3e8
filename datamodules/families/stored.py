"""Base of data sets that lie in files: find them, decode once into shared memory, or stream."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from jsonargparse.typing import PositiveInt

from disentangle_bench.datamodules.base import ImageDataModule
from disentangle_bench.datamodules.batches.split import Images, Split, SplitName, splits_at
from disentangle_bench.datamodules.errors import DataCorrupt, DataMismatch
from disentangle_bench.datamodules.storage import archives, decode, image_cache, locate
from disentangle_bench.datamodules.storage.image_files import FileImages, Listing, known_digest
from disentangle_bench.datamodules.storage.on_demand import Feed, fits_in_memory
from disentangle_bench.datamodules.targets import TargetSpec
from disentangle_bench.files import file_name

log = logging.getLogger(__name__)

LARGEST_DEFAULT_SIZE = 224


class StoredDataModule(ImageDataModule):
    """Base of data sets in files. A subclass says what its folder `holds` and reads it (`read`).

    Args:
        root: folder of the data set; if not given, a folder of the data set's name in `$DISENTANGLE_BENCH_DATA`
            (default `~/.local/share/disentangle-bench`), then where the operating system has it, then a download.
        cache_dir: where decoded images are kept; default `$DISENTANGLE_BENCH_CACHE`, else
            `~/.cache/disentangle-bench`.
    """

    holds: ClassVar[tuple[str, ...]]
    """Files, and folders with a slash at the end, by which the data set's folder is known."""
    usual_places: ClassVar[tuple[str, ...]] = ()
    """Folders below a named one that may hold the files, such as an unpacked archive's own folder."""
    SYSTEM: ClassVar[tuple[Path, ...]] = ()
    """Public places where an operating system's package puts the files."""

    published_as: ClassVar[str | None] = None
    """Name of the folder in the data folder, of a data set that is a part of another one."""

    def __init__(self, *, root: str | None = None, cache_dir: str | None = None, **kwargs):
        super().__init__(**kwargs)
        self.root, self.cache_dir = root, cache_dir

    def home(self, folder: Path) -> Path | None:
        """The folder of the files: the given one, or one of `usual_places` below it; None if neither holds them."""
        for home in (folder, *(folder / place for place in self.usual_places)):
            if all((home / name).is_dir() if name.endswith("/") else (home / name).is_file() for name in self.holds):
                return home
        return None

    @abstractmethod
    def read(self, home: Path) -> tuple[dict[SplitName, Split], tuple[TargetSpec, ...]]:
        """The three splits and their targets from the files in `home`; see `load`."""

    def download(self) -> tuple[str, Callable[[Path], object]] | None:
        """The address that a download asks for first, and what puts the files in a folder; None if people have to."""
        return None

    def locate(self, *, download: bool = False) -> Path:
        """The folder of the files. Reads none of them.

        Args:
            download: whether to get them, where that can be done, if they are nowhere.

        Raises:
            DataNotFound: they are nowhere; the message says what to put where.
        """
        url, get = (self.download() if download else None) or (None, None)
        folder = locate.locate(
            self.published_as or self.name,
            self._given(),
            lambda folder: self.home(folder) is not None,
            source=self.source,
            layout=self.layout,
            system=self.SYSTEM,
            url=url,
            download=get,
        )
        return self.home(folder) or folder

    def load(self) -> tuple[dict[SplitName, Split], tuple[TargetSpec, ...]]:
        """The three splits and their targets, of the files that `locate` finds or downloads."""
        return self.read(self.locate(download=True))

    def _given(self) -> str | None:
        """The folder that the user named, if any."""
        return self.root

    def _folder(self, root: Path, **options: Any) -> Path:
        """The cache folder for these files and options."""
        return image_cache.cache_folder(self.cache_dir) / file_name(
            self.name, f"-{image_cache.key_of(root=root.resolve(), **options)}"
        )

    def _store(
        self,
        root: Path,
        files: list[Path],
        shape: tuple[int, ...],
        fill: Callable[[np.ndarray], object],
        **options: Any,
    ) -> image_cache.Stored:
        """Decoded images from whole-data-set files, made anew when one of them changes.

        Raises:
            DataMismatch: `shape`, which is known before anything is decoded, has fewer images than a batch.
        """
        self._check_count(shape[0], "images")
        if self.train_images:
            self._check_count(self.train_images)
        stamps = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        identity = image_cache.key_of(stamps=stamps, **options)

        def noted(out: np.ndarray) -> dict[str, Any]:
            fill(out)
            return {}

        return image_cache.open_or_build(self._folder(root, **options), identity, shape, noted)


class ImageFileDataModule(StoredDataModule):
    """Base of data sets with one file an image.

    Args:
        image_size: edge of the square images: the centre of each is cut out and resized. If not given, the shorter
            side of the first image (by name), at most 224.
        feed: `memory` decodes all images once into a memory map that workers and ranks share, `stream` decodes
            in worker processes each time; `auto` is `memory` if the decoded images take at most half of the RAM.
        unreadable: what to do about images that cannot be decoded: `error` names them and stops, `skip` leaves them
            out and counts them (in `unreadable_files`; memory feed only, since a stream meets them too late).
    """

    order_tells = True

    def __init__(
        self,
        *,
        image_size: PositiveInt | None = None,
        feed: Feed = "auto",
        unreadable: Literal["error", "skip"] = "error",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_size, self.feed, self.unreadable = image_size, feed, unreadable
        self.unreadable_files: list[tuple[str, str]] = []
        self.ignored_files = 0

    def _given(self) -> str | None:
        """`root`, or the folder that the archive named by `root` has been unpacked to."""
        if self.root is None or not archives.is_archive(Path(self.root).expanduser()):
            return self.root
        return str(
            archives.unpacked(Path(self.root).expanduser(), image_cache.cache_folder(self.cache_dir) / "unpacked")
        )

    def _source(self, listing: Listing, size: int) -> FileImages:
        return FileImages(listing, size)

    def _splits(
        self, listing: Listing, targets: dict[str, np.ndarray], rows: dict[SplitName, np.ndarray]
    ) -> dict[SplitName, Split]:
        """Splits over decoded files.

        Args:
            listing: all files.
            targets: name -> [len(listing)] values.
            rows: positions in `listing` of each split's images.
        """
        self.ignored_files = listing.ignored
        self._check_count(min(len(rows["train"]), self.train_images or len(rows["train"])))
        source = self._source(listing, self.image_size or self._natural_size(listing))
        made_by = {"source": type(source).__name__, "size": source.size, "decode": decode.VERSION}
        folder = self._folder(listing.root, names=listing.names, **made_by)  # other files of the root: another folder
        identity = image_cache.key_of(files=listing.identity, **made_by)
        memory = fits_in_memory(source.shape) if self.feed == "auto" else self.feed == "memory"
        images: Images
        digest: str | Callable[[], str]
        if memory:
            stored = image_cache.open_or_build(folder, identity, source.shape, source.fill)
            images, digest = stored.images, stored.notes["digest"]
            rows = self._readable(stored.notes["unreadable"], listing, rows)
        elif self.unreadable == "skip":
            raise DataMismatch(
                "unreadable=skip needs feed=memory: a stream finds out too late that an image cannot be read"
            )
        else:
            images, digest = source, partial(known_digest, source, folder, identity)  # reads every file: when asked
        return splits_at(rows, images, targets, digest, source.names)

    def _readable(
        self, unreadable: list, listing: Listing, rows: dict[SplitName, np.ndarray]
    ) -> dict[SplitName, np.ndarray]:
        self.unreadable_files = [(name, reason) for _, name, reason in unreadable]
        if not unreadable:
            return rows
        if self.unreadable == "error" or len(unreadable) == len(listing):
            first = "; ".join(f"{listing.root}/{name}: {reason}" for name, reason in self.unreadable_files[:5])
            raise DataCorrupt(
                f"{len(unreadable)} of {len(listing)} images of {self.name} cannot be read ({first}"
                f"{'; ...' if len(unreadable) > 5 else ''}); repair them, or leave them out with "
                "data.unreadable=skip"
            )
        log.warning("%s: %d of %d images cannot be read and are left out", self.name, len(unreadable), len(listing))
        bad = np.array([row for row, *_ in unreadable])
        return {name: at[~np.isin(at, bad)] for name, at in rows.items()}

    def _natural_size(self, listing: Listing) -> int:
        """The shorter side of the first image that is one, at most `LARGEST_DEFAULT_SIZE`."""
        probe = FileImages(listing, LARGEST_DEFAULT_SIZE)
        reasons = []
        for row in range(len(listing)):
            try:
                return min(probe.shorter_side(row), LARGEST_DEFAULT_SIZE)
            except (ValueError, OSError) as error:
                reasons.append(f"{listing.names[row]}: {error}")
        raise DataCorrupt(f"no image below {listing.root} can be read ({'; '.join(reasons[:3])})")
