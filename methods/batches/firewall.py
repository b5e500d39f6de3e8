"""The label firewall: a method sees only targets of the roles that its class declares.

Three places enforce it: the class (`Firewalled` refuses subclasses that would change the firewall), the batch
(`FirewalledBatch`), and the data that a run trains on, which lack all other targets (`ImageDataModule.training_view`).
"""

from __future__ import annotations

from abc import ABCMeta
from typing import Any

from torch import Tensor


class LabelFirewallError(KeyError):
    """A method asked for a target whose role it did not declare in `uses_targets`."""

    def __str__(self) -> str:
        return str(self.args[0])


class FirewalledBatch(dict[str, Tensor]):
    """A training batch without the targets that the method did not declare; asking for one is an error.

    Attributes:
        positions: `index`, int64 [B] on the CPU, kept from before the transfer so that the device isn't awaited.
    """

    def __init__(self, batch: dict[str, Tensor], removed: dict[str, str], method: str, positions: Tensor | None = None):
        super().__init__({key: value for key, value in batch.items() if key not in removed})
        self.removed, self.method, self.positions = removed, method, positions

    def __missing__(self, key: str) -> Tensor:
        if key in self.removed:
            raise LabelFirewallError(
                f"the label firewall has removed {key!r} from the training batches of {self.method}: to train with "
                f"it, declare its role on the class, uses_targets = frozenset({{{self.removed[key]!r}}})"
            )
        raise KeyError(f"no {key!r} in a batch, which holds {', '.join(self)}")

    def get(self, key: str, default: Any = None) -> Any:
        """As `dict.get`, but asking for a removed target raises LabelFirewallError instead of giving the default."""
        return self[key] if key in self.removed else super().get(key, default)


class FirewallBreachError(TypeError):
    """A method class touches the label firewall itself, or declares something else than roles."""


class Firewalled(ABCMeta):
    """Metaclass of the methods: refuses a class that overrides or changes the label firewall.

    Roles are declared by the class, once, and never by an instance: training batches and the leaderboard read the same
    declaration. No base class, mix-ins included, may override one of `HOOKS`.
    """

    ROLES = frozenset({"content", "style", "domain"})
    HOOKS = ("on_before_batch_transfer", "on_after_batch_transfer", "hidden_targets", "__setattr__")

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **kwargs: Any):
        super().__init__(name, bases, namespace, **kwargs)
        root = next(base for base in reversed(cls.__mro__) if isinstance(base, Firewalled))
        for hook in cls.HOOKS:
            if getattr(cls, hook) is not getattr(root, hook):
                raise FirewallBreachError(f"{name} overrides {hook}, which belongs to the label firewall: leave it out")
        declared = cls.uses_targets  # type: ignore[attr-defined]
        roles = ", ".join(sorted(cls.ROLES))
        if type(declared) is not frozenset:
            raise FirewallBreachError(f"{name}: uses_targets must be a frozenset of roles ({roles}), got {declared!r}")
        if unknown := declared - cls.ROLES:
            raise FirewallBreachError(f"{name}: uses_targets names {', '.join(map(repr, unknown))}; roles are {roles}")

    def __setattr__(cls, name: str, value: Any) -> None:
        cls.refuse(name)
        super().__setattr__(name, value)

    def refuse(cls, name: str) -> None:
        """Raise FirewallBreachError if `name` is part of the firewall, which can't change once the class is made."""
        if name == "uses_targets" or name in Firewalled.HOOKS:
            raise FirewallBreachError(f"{cls.__name__} changes {name}, which the class declares once and for all")
