"""Encoders that may have to be downloaded: timm's, and those of the Hugging Face Hub. Where none can be, it is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import timm
from huggingface_hub import constants
from torch import nn

from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.execution.pretrained import availability
from disentangle_bench.benchmarks.execution.pretrained.sources import Source, of_file
from disentangle_bench.methods.networks.backbones import backbone
from disentangle_bench.methods.pretrained import hub, networks


def of_timm(text: str, name: str, file: str, untrained: bool) -> Source:
    """`timm:NAME`, with somebody else's weights where there is a file."""
    availability.check_timm(text, name)
    cfg = timm.get_pretrained_cfg(name)
    size, fixed, statistics = networks.wishes_of(cfg.to_dict() if cfg else None)

    def load(channels: int, shape: tuple[int, int]) -> nn.Module:
        if untrained:
            return _create(name, channels, shape, fixed and shape != size)
        if file:
            with availability.as_request_error(text):
                return networks.timm_with_weights(name, file, (3, *shape))
        with _downloading(text, "; --untrained judges it with random ones"):
            return _create(name, channels, shape, fixed and shape != size, pretrained=True)

    source = Source(text, load, size, fixed, statistics)
    return replace(source, label=f"{text} (untrained)", step=0, budget={"epochs": 0}) if untrained else source


def of_hub(text: str, repo: str) -> Source:
    """`hf:OWNER/NAME`: a file that `push_to_hub` has put there, or one of timm's models."""
    with _downloading(text):
        try:
            path = hub.download(repo, offline=constants.HF_HUB_OFFLINE)
        except OSError:
            path = None  # one of timm's may be on disk all the same
    if path is not None:
        return of_file(text, path, availability.note_of(text, path, untrained=True), label=text)
    with _downloading(text):
        network = timm.create_model(f"hf-hub:{repo}", pretrained=True, num_classes=0)
    size, fixed, statistics = networks.wishes_of(network.pretrained_cfg)  # type: ignore[arg-type]
    return Source(text, lambda channels, shape: network, size, fixed, statistics)


def _create(name: str, channels: int, shape: tuple[int, int], resized: bool, pretrained: bool = False) -> nn.Module:
    """A model of timm for images of this size; a transformer's positions are interpolated where it is another."""
    if resized:
        return timm.create_model(name, pretrained=pretrained, in_chans=channels, num_classes=0, img_size=shape)
    return backbone(name, (channels, *shape), pretrained=pretrained)


@contextmanager
def _downloading(text: str, otherwise: str = "") -> Iterator[None]:
    """Ask the Hub within the block only if it answers; raise RequestError for weights that can't be had."""
    before = constants.HF_HUB_OFFLINE
    if availability.unanswered():
        constants.HF_HUB_OFFLINE = True  # else it tries for half a minute
    try:
        yield
    except RequestError:
        raise
    except Exception as error:  # whatever the download raises
        why: Any = " ".join(str(error).split())
        raise RequestError(
            f"--encoder {text}: its weights are not on disk and can't be downloaded ({type(error).__name__}: "
            f"{why:.300}){otherwise}"
        ) from error
    finally:
        constants.HF_HUB_OFFLINE = before
