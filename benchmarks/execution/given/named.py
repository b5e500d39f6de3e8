"""What `--encoder` may say."""

from __future__ import annotations

from pathlib import Path

from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.execution.given import downloads, sources


def find(text: str, untrained: bool) -> sources.Source:
    """The source that `--encoder` names. Raises RequestError for what is none, or isn't there."""
    kind, colon, rest = text.partition(":")
    if kind in ("timm", "hf") and colon:
        return downloads.of_timm(text, rest, untrained) if kind == "timm" else downloads.of_hub(text, rest)
    path = Path(text)
    if path.is_dir() or path.suffix == ".safetensors":
        return sources.of_file(text, path, untrained)
    if path.suffix in (".ts", ".pt") or (path.is_file() and path.suffix == ".jit"):
        return sources.of_torchscript(text, path)
    if path.is_file():
        raise RequestError(
            f"--encoder {text}: weights alone don't say of which network; --encoder timm:NAME,checkpoint={text} does"
        )
    if colon:
        return sources.of_function(text)
    raise RequestError(f"--encoder {text}: no such file (expected {sources.FORMS})")
