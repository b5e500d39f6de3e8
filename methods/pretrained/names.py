"""Parse the name of an encoder, without torch: a run's file, TorchScript, a user's own code, timm, the Hub."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple
from zipfile import is_zipfile

from disentangle_bench.methods.pretrained.note import BadFile
from disentangle_bench.registry import dotted, nearest

FORMS = (
    "FILE.safetensors or the folder of a run, FILE.ts (TorchScript), my_file.make (a function of yours), timm:NAME, "
    "timm:NAME,checkpoint=FILE, or hf:OWNER/NAME"
)
OF_RUN = ".safetensors"
TORCHSCRIPT = (".ts", ".pt", ".jit")
WEIGHTS = (OF_RUN, *TORCHSCRIPT, ".pth", ".ckpt", ".tar", ".bin", ".onnx", ".npy", ".npz", ".pkl", ".h5")
"""Endings of files; a text that ends in one is no Python path such as `my_file.make`."""


class Named(NamedTuple):
    """The parsed name of an encoder.

    Attributes:
        kind: a `run`'s file or folder, `torchscript`, a user's own `code`, a model of `timm`, a repository (`hf`).
        name: of the model or repository, or path of the file, the folder or the code (`my_file.make`).
        file: weights for a model of timm; "": timm's own.
    """

    kind: Literal["run", "torchscript", "code", "timm", "hf"]
    name: str
    file: str = ""


def told_apart(text: str) -> Named:
    """Parse the name of an encoder; files on disk decide between kinds that are written alike.

    Raises:
        BadFile: there is no such file, or the text has none of the known forms; the message doesn't repeat the text.
    """
    kind, colon, rest = text.partition(":")
    path = Path(text)
    if kind == "timm" and colon:
        return Named("timm", *_model_and_file(rest))
    if kind == "hf" and colon:
        if rest.count("/") != 1 or not all(rest.split("/")):
            raise BadFile("expected hf:OWNER/NAME")
        return Named("hf", rest)
    if "://" in text:
        raise BadFile("an address, which isn't fetched: download the file and name it here")
    if path.is_dir() or (path.is_file() and path.suffix == OF_RUN):
        return Named("run", text)
    if path.is_file():
        return Named("torchscript", _torchscript(path))
    if re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*[.:][^\W\d][\w.]*", text) and path.suffix not in WEIGHTS:
        if colon and not _is_there(kind.partition(".")[0]):
            near = nearest(kind, ("timm", "hf")).partition(" are ")[0]
            hint = near if "did you mean" in near else ""
            raise BadFile(f"{kind}: is no kind of encoder (timm:NAME, hf:OWNER/NAME), nor is there a {kind}.py{hint}")
        return Named("code", dotted(text))
    if colon and re.fullmatch(r"[\w-]+", kind):
        raise BadFile(f"{kind}: is no kind of encoder (expected {FORMS})")
    if re.fullmatch(r"\w+", text):
        if Path(f"{text}.py").is_file():
            raise BadFile(f"a function in {text}.py that returns the network is given as {text}.FUNCTION")
        from timm import is_model  # seconds, and torch: for the sake of a message

        if is_model(text):
            raise BadFile(f"no such file; the model of timm is written timm:{text}")
    raise BadFile(f"{'not a regular' if path.exists() else 'no such'} file (expected {FORMS})")


def _is_there(module: str) -> bool:
    """True if Python may find a module, in this folder or on its path."""
    return Path(f"{module}.py").is_file() or Path(module).is_dir() or find_spec(module) is not None


def _model_and_file(rest: str) -> tuple[str, str]:
    """`NAME` or `NAME,checkpoint=FILE`; the file is "" where none is named."""
    name, comma, option = rest.partition(",")
    key, _, file = option.partition("=")
    if not name or (comma and (key != "checkpoint" or not file)):
        raise BadFile("expected timm:NAME or timm:NAME,checkpoint=FILE")
    if file and not Path(file).is_file():
        raise BadFile(f"no such file {file}")
    return name, file


def _torchscript(path: Path) -> str:
    if path.suffix == ".py":
        raise BadFile(f"a function in it that returns the network is given as {path.stem}.FUNCTION")
    if path.suffix not in TORCHSCRIPT:
        raise BadFile(f"weights alone don't say of which network; timm:NAME,checkpoint={path} does")
    if not is_zipfile(path):
        raise BadFile(
            f"not TorchScript; a checkpoint of weights is given with its network, timm:NAME,checkpoint={path}"
        )
    return str(path)
