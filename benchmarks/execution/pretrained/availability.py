"""Whether weights can be had at all, and what they are: asked before anything heavy is imported, so that a wrong
request is told at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path

from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.datamodules.storage.locate import OFFLINE, unreachable
from disentangle_bench.methods.pretrained.names import Named
from disentangle_bench.methods.pretrained.note import BadFile, Note, read_note

REACH_SECONDS = 1.5
"""How long to wait for an answer of the Hub; what is on disk is used without one."""


@contextmanager
def as_request_error(text: str, file: Path | str = "") -> Iterator[None]:
    """Turn a BadFile into a RequestError on `--encoder`; `file:` is taken off the beginning of its message."""
    try:
        yield
    except BadFile as bad:
        raise RequestError(f"--encoder {text}: {str(bad).removeprefix(f'{file}: ')}") from bad


def unanswered() -> str | None:
    """The reason not to ask the Hub: downloads are forbidden, or it doesn't answer. None if it answers."""
    from huggingface_hub import constants

    if os.environ.get(OFFLINE):
        return f"${OFFLINE} forbids downloads"
    return unreachable(constants.ENDPOINT, REACH_SECONDS)


def require(encoder: str, named: Named) -> None:
    """Raise RequestError if the weights of `timm:NAME` or `hf:OWNER/NAME` are not on disk and can't be downloaded."""
    if named.kind not in ("timm", "hf") or named.file or _may_be_on_disk(named.kind, named.name):
        return
    if why := unanswered():
        if named.kind == "timm":  # seconds, but a wrong name is the likelier mistake
            check_timm(encoder, named.name)
        otherwise = "; --untrained judges it with random ones" if named.kind == "timm" else ""
        raise RequestError(
            f"--encoder {encoder}: its weights are not on disk and can't be downloaded ({why}){otherwise}"
        )


def check_timm(encoder: str, name: str) -> None:
    """Raise RequestError for what is no model of timm."""
    from disentangle_bench.methods.pretrained.networks import check_timm

    with as_request_error(encoder):
        check_timm(name)


def note_of(text: str, path: Path, untrained: bool) -> Note:
    """The note in an encoder's file of this suite, or in the one in a run's folder."""
    file = path / "encoder.safetensors" if path.is_dir() else path
    if path.is_dir() and not file.exists():
        raise RequestError(f"--encoder {text}: there is no {file.name} in this folder (a run's is DATASET/METHOD/HASH)")
    with as_request_error(text, file):
        note = read_note(file)
    if note.step == 0 and not untrained:
        raise RequestError(f"--encoder {text}: this encoder has not been trained; --untrained judges it all the same")
    return note


def _may_be_on_disk(kind: str, name: str) -> bool:
    """Whether something by that name was downloaded before; timm's old way keeps files under names of their own."""
    from huggingface_hub import constants

    repo = f"timm--{escape(name)}*" if kind == "timm" else escape(name.replace("/", "--"))
    old = Path(os.environ.get("TORCH_HOME", "~/.cache/torch")).expanduser() / "hub" / "checkpoints"
    return any(Path(constants.HF_HUB_CACHE).glob(f"models--{repo}")) or (kind == "timm" and any(old.glob("*")))
