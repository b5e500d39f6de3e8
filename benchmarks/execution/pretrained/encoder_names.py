"""Checks of `--encoder` and `--features`; whatever needs no torch is checked before its import, which takes seconds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.execution.pretrained import availability
from disentangle_bench.methods.pretrained.names import Named, told_apart

if TYPE_CHECKING:
    from disentangle_bench.benchmarks.execution.pretrained.sources import Source


def check(text: str, untrained: bool) -> Named:
    """Raise RequestError for what is no encoder or isn't there, as far as its name and its files say."""
    with availability.as_request_error(text):
        named = told_apart(text)
    if untrained and named.kind not in ("timm", "run"):
        raise RequestError(f"--encoder {text}: --untrained is of timm's models, and of this suite's own files")
    if named.kind == "run" and (steps := availability.note_of(text, Path(named.name), untrained).step) and untrained:
        raise RequestError(f"--encoder {text}: it was trained for {steps:,} steps, leave out --untrained")
    if named.file and untrained:
        raise RequestError(f"--encoder {text}: its weights are in a file, leave out --untrained or checkpoint=")
    if not untrained:
        availability.require(text, named)
    return named


def check_features(folder: Path) -> None:
    """Raise RequestError if there is no such folder, or a file in it is no array of numbers."""
    if not folder.is_dir():
        raise RequestError(f"--features {folder}: no such folder (it should hold train.npy, val.npy and test.npy)")
    for path in sorted(folder.glob("*.npy")):
        open_array(path, f"--features {folder}")


def open_array(path: Path, where: str) -> np.ndarray:
    """Float [N, d] in a .npy file, mapped and not read. Raises RequestError that begins with `where`."""
    if not path.is_file():
        raise RequestError(f"{where}: {path.name} is not a regular file")
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise RequestError(f"{where}: {path.name} is no array of numbers, as numpy.save writes it") from error
    if not isinstance(values, np.ndarray) or values.dtype.kind != "f" or values.ndim != 2 or values.shape[1] == 0:
        got = f"{values.dtype} {values.shape}" if isinstance(values, np.ndarray) else type(values).__name__
        raise RequestError(f"{where}: {path.name} is {got}, float [N, d] was expected, a row an image")
    return values


def find(text: str, untrained: bool) -> Source:
    """The source that `--encoder` names. Raises RequestError for what is none, or isn't there."""
    named = check(text, untrained)
    from disentangle_bench.benchmarks.execution.pretrained import downloads, sources

    if named.kind == "timm":
        return downloads.of_timm(text, named.name, named.file, untrained)
    if named.kind == "hf":
        return downloads.of_hub(text, named.name)
    if named.kind == "run":
        path = Path(named.name)
        return sources.of_file(text, path, availability.note_of(text, path, untrained))
    return sources.of_torchscript(text) if named.kind == "torchscript" else sources.of_function(named.name)
