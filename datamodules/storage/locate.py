"""Locate a data set's files: in a named folder, in the data folder, in the system's, or by a download."""

from __future__ import annotations

import os
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from filelock import FileLock

from disentangle_bench.datamodules.errors import DataNotFound
from disentangle_bench.files import file_name

ENVIRONMENT = "DISENTANGLE_BENCH_DATA"
OFFLINE = "DISENTANGLE_BENCH_OFFLINE"
"""Environment variable: any value but the empty one forbids downloads (compute nodes without a network)."""
REACH_SECONDS = 10


def data_folder() -> Path:
    """The folder of all data sets, each in its own: `$DISENTANGLE_BENCH_DATA`, else `~/.local/share/...`."""
    return Path(os.environ.get(ENVIRONMENT) or "~/.local/share/disentangle-bench").expanduser()


def locate(
    name: str,
    root: str | Path | None,
    is_there: Callable[[Path], bool],
    *,
    source: str,
    layout: str,
    system: Sequence[Path] = (),
    url: str | None = None,
    download: Callable[[Path], object] | None = None,
) -> Path:
    """The folder that holds a data set.

    Looked for in this order: `root` (and nowhere else if it is given), the data folder, `system`; then `download` into
    the data folder if `url` can be reached. Nothing is written unless the download can start.

    Args:
        name: the data set's, and of its folder in the data folder.
        root: what the user says.
        is_there: whether a folder holds the data set.
        source: where people can get it, for the message.
        layout: what has to lie in the folder, for the message.
        system: public places where an operating system's package puts it.
        url: what the download will ask for first.
        download: puts the data set in the folder that it is given.

    Raises:
        DataNotFound: it is nowhere; one line says what is missing, where to get it and where to put it.
    """
    wanted = f"get {name} from {source} and put it so: {layout}"
    if root is not None:
        folder = Path(root).expanduser()
        if not folder.exists():
            raise DataNotFound(f"{folder}: no such folder", wanted)
        if not is_there(folder):
            raise DataNotFound(f"{folder}: {name} is not in there", wanted)
        return folder
    home = data_folder() / file_name(name)
    for folder in (home, *system):
        if folder.exists() and is_there(folder):
            return folder
    why = ""
    if url and download and not os.environ.get(OFFLINE):
        reason = unreachable(url)
        if reason is None:
            home.mkdir(parents=True, exist_ok=True)
            try:
                with FileLock(home / "download.lock"):
                    if not is_there(home):
                        _download_whole(download, home)
            except (OSError, RuntimeError) as error:  # torchvision raises either
                raise DataNotFound(f"the download from {url} failed ({error})", wanted) from error
            return home
        why = f" and {url} cannot be reached ({reason})"
    raise DataNotFound(
        f"not in {home}{why}",
        f"{wanted} (below {home}, or anywhere else named by data.root; "
        f"${ENVIRONMENT} moves the folder of all data sets)",
    )


def _download_whole(download: Callable[[Path], object], home: Path) -> None:
    """Download beside what is there, and take it over when all has come: a kill leaves nothing that looks complete."""
    unfinished = home / "unfinished"
    unfinished.mkdir(exist_ok=True)  # what an earlier download left there it may go on with
    download(unfinished)
    for path in unfinished.iterdir():
        if (home / path.name).is_dir():
            shutil.rmtree(home / path.name)
        path.replace(home / path.name)
    unfinished.rmdir()


def unreachable(url: str, seconds: float = REACH_SECONDS) -> str | None:
    """Why a URL cannot be reached within so many seconds, or None if it can."""
    reasons: list[str | None] = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=seconds):
                reasons.append(None)
        except (urllib.error.URLError, OSError, ValueError) as error:
            reasons.append(str(getattr(error, "reason", error)))

    asking = threading.Thread(target=ask, daemon=True)  # looking up a name heeds no time limit
    asking.start()
    asking.join(seconds)
    return reasons[0] if reasons else f"no answer within {seconds:g} s"
