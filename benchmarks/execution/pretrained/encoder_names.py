"""What `--encoder` may say. What can be told without torch is told before it is imported, which takes seconds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import is_zipfile

import numpy as np

from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.execution.pretrained import availability

if TYPE_CHECKING:
    from disentangle_bench.benchmarks.execution.pretrained.sources import Source


def check(text: str, untrained: bool) -> None:
    """Raise RequestError for what is no encoder or isn't there, as far as its name and its files say."""
    kind, colon, rest = text.partition(":")
    path = Path(text)
    if kind == "timm" and colon:
        _, file = _model_and_file(text, rest)
        if file and not Path(file).is_file():
            raise RequestError(f"--encoder {text}: no such file {file}")
    elif kind == "hf" and colon:
        if rest.count("/") != 1 or not all(rest.split("/")):
            raise RequestError(f"--encoder {text}: expected hf:OWNER/NAME")
    elif _is_ours(path):
        availability.note_of(text, path, untrained)
    elif path.suffix in (".ts", ".pt") and not path.is_file():
        raise RequestError(f"--encoder {text}: no such file (expected {availability.FORMS})")
    elif path.is_file() and path.suffix not in (".ts", ".pt", ".jit"):
        raise RequestError(
            f"--encoder {text}: weights alone don't say of which network; --encoder timm:NAME,checkpoint={text} does"
        )
    elif not path.is_file() and not colon:
        raise RequestError(f"--encoder {text}: no such file (expected {availability.FORMS})")
    elif path.is_file() and not is_zipfile(path):  # which TorchScript is
        raise RequestError(
            f"--encoder {text}: not TorchScript; a checkpoint of weights is given with its network, "
            f"--encoder timm:NAME,checkpoint={text}"
        )
    if not untrained:
        availability.require(text)


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
    check(text, untrained)
    from disentangle_bench.benchmarks.execution.pretrained import downloads, sources

    kind, colon, rest = text.partition(":")
    if kind == "timm" and colon:
        return downloads.of_timm(text, *_model_and_file(text, rest), untrained)
    if kind == "hf" and colon:
        return downloads.of_hub(text, rest)
    path = Path(text)
    if _is_ours(path):
        return sources.of_file(text, path, availability.note_of(text, path, untrained))
    return sources.of_torchscript(text, path) if path.is_file() else sources.of_function(text)


def _is_ours(path: Path) -> bool:
    return path.is_dir() or path.suffix == ".safetensors"


def _model_and_file(text: str, rest: str) -> tuple[str, str]:
    """`NAME` or `NAME,checkpoint=FILE`; the file is "" where none is named."""
    name, comma, option = rest.partition(",")
    key, _, file = option.partition("=")
    if comma and (key != "checkpoint" or not file):
        raise RequestError(f"--encoder {text}: expected timm:NAME or timm:NAME,checkpoint=FILE")
    return name, file
