"""The optimisers that methods are trained with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from timm.optim import create_optimizer_v2
from torch import Tensor
from torch.optim import Optimizer


def make_optimizer(
    groups: list[dict[str, Any]], name: str, lr: float, momentum: float, resting: Iterable[Tensor] = ()
) -> Optimizer:
    """`sgd` (with plain momentum), `adam`, `adamw` or `lars`.

    Args:
        groups: of parameters, with what each has of its own.
        name: of the optimiser.
        lr: of groups that have none of their own.
        momentum: of sgd and lars; the first beta of adam and adamw.
        resting: parameters that get groups of their own, which say `rests`; if there are any, so do all groups.
    """
    given: dict[str, Any] = {"betas": (momentum, 0.999)} if "adam" in name else {}
    given |= {"fused": True} if name != "lars" else {}  # one pass over the weights
    if name == "lars":  # which would adapt the rate of what decays only: none without weight decay
        groups = _split(groups, "always_adapt", lambda parameter: parameter.ndim > 1)
    if rest := {id(parameter) for parameter in resting}:
        groups = _split(groups, "rests", lambda parameter: id(parameter) in rest)
    opt = {"sgd": "momentum"}.get(name, name)  # timm's "sgd" is Nesterov's
    return create_optimizer_v2(groups, opt=opt, lr=lr, momentum=momentum, weight_decay=0.0, **given)


def _split(groups: list[dict[str, Any]], name: str, chosen: Callable[[Tensor], bool]) -> list[dict[str, Any]]:
    """Each group of parameters as two, which say under `name` whether theirs are chosen; none is empty."""
    parts = [
        group | {"params": [p for p in group["params"] if chosen(p) == value], name: value}
        for group in groups
        for value in (True, False)
    ]
    return [part for part in parts if part["params"]]
