"""Parameters of views as they are drawn: plain tensors, one value an image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from disentangle_bench.methods.objectives.inputs import upload

Params = dict[str, dict[str, Tensor]]
"""Group -> parameter -> [B]."""


def on_device(params: Params, device: torch.device) -> Params:
    """Drawn parameters moved to `device`, all in one copy."""
    drawn = [value for group in params.values() for value in group.values()]
    if all(value.device == device for value in drawn):
        return params
    packed = upload(torch.stack([value.to(torch.get_default_dtype()) for value in drawn]), device)
    numbers, coins = iter(packed.unbind()), iter((packed != 0).unbind())

    def moved(value: Tensor) -> Tensor:
        number, coin = next(numbers), next(coins)
        return coin if value.dtype == torch.bool else number

    return {group: {key: moved(value) for key, value in values.items()} for group, values in params.items()}


def together(views: Sequence[Params]) -> Params:
    """The parameters of several views of a batch [B] as those of one batch of all views' images [views B]."""
    first, *_ = views
    return {
        group: {key: torch.cat([params[group][key] for params in views]) for key in values}
        for group, values in first.items()
    }


def own_rows(params: Params, rank: int, batch_size: int) -> Params:
    """The part of parameters drawn for the batch of all processes [world * batch_size] that is of process `rank`."""
    own = slice(rank * batch_size, (rank + 1) * batch_size)
    return {group: {key: value[own] for key, value in values.items()} for group, values in params.items()}


def with_shared(key: Params, query: Params, shared: Sequence[str]) -> Params:
    """The key's parameters, those in `shared` replaced by the query's: groups (`appearance`) or single ones (`hue`)."""
    return {
        group: params | {k: v for k, v in query[group].items() if group in shared or k in shared}
        for group, params in key.items()
    }
