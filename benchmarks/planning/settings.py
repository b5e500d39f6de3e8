"""Options of a request's methods and data sets, from all places that may say something about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

from disentangle_bench.benchmarks.errors import RequestError, unknown
from disentangle_bench.benchmarks.planning import options
from disentangle_bench.benchmarks.planning.command_line import merged
from disentangle_bench.benchmarks.planning.suite import Suite
from disentangle_bench.benchmarks.planning.tuning import Choice
from disentangle_bench.datamodules.base import ImageDataModule
from disentangle_bench.registry import dotted

BATCH_OPTIONS = set(signature(ImageDataModule.check_batches).parameters) - {"self", "roles"}
"""Options of a data set that a method may have of its own."""


@dataclass(frozen=True)
class Settings:
    """Options from several places: later places win, and the defaults of the class fill in the rest.

    Attributes:
        suite: its `settings`, and the `overrides` of the command line.
        method_classes: methods of the request, by name.
        data_classes: data sets of the request, by name.
        choice: what `bench tune` chose, where the request runs with that.
    """

    suite: Suite
    method_classes: dict[str, Any]
    data_classes: dict[str, Any]
    choice: Choice | None

    def of_data(
        self, dataset: str, method: str, own: dict[str, Any], over: dict[str, Any], where: str
    ) -> dict[str, Any]:
        """Every option of a data set for a method's rows.

        From the suite's settings of `data`, of the data set, of the method's batches; from the experiment (`own`); from
        the command line or a sweep (`over`), in the same order.

        Raises:
            RequestError: there is no such option, or it can't have that value.
        """
        settings = self.suite.settings
        of_method = (places.get(method, {}).get("data", {}) for places in (settings, over))
        batches, over_batches = (_batch_options(given, method) for given in of_method)
        chosen = _layered(
            [settings.get("data", {}), settings.get(dataset, {}), batches, own],
            [over.get("data", {}), over.get(dataset, {}), over_batches],
        )
        return options.resolve(self.data_classes[dataset], chosen, f"{where}data set {dataset}")

    def of_method(self, method: str, own: dict[str, Any], over: dict[str, Any], where: str) -> dict[str, Any]:
        """Every option of a method.

        From the suite's settings of `method`, as far as it has them, and of the method by name; from what `bench tune`
        chose; from the experiment (`own`); from the command line or a sweep (`over`), in the same order.

        Raises:
            RequestError: there is no such option, or it can't have that value.
        """
        tuned = self.choice.options_of(method) if self.choice else {}
        chosen = _layered([*self._about(method, self.suite.settings), tuned, own], self._about(method, over))
        for part in ("backbone", "own_views"):
            if isinstance(chosen.get(part), str):
                chosen[part] = dotted(chosen[part])
        return options.resolve(self.method_classes[method], chosen, f"{where}method {method}")

    def by_hand(self, method: str, resolved: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
        """The options of a method that the command line set, by their paths (`augmentation.grey_p`)."""

        def leaves(tree: Any, values: Any, path: str) -> dict[str, Any]:
            if not isinstance(tree, dict) or not tree or not isinstance(values, dict):
                return {path: values}
            return {key: v for name in tree for key, v in leaves(tree[name], values[name], f"{path}.{name}").items()}

        given = self._about(method, over)
        found = {key: v for one in given for name in one for key, v in leaves(one[name], resolved[name], name).items()}
        return dict(sorted(found.items()))

    def _about(self, method: str, places: dict[str, Any]) -> list[dict[str, Any]]:
        """Settings of all methods, as far as this one has such options, and settings of this one by name.

        How its batches are composed is an option of the data.
        """
        known = options.known_options(self.method_classes[method])
        everyones, own = places.get("method", {}), places.get(method, {})
        return [{k: v for k, v in everyones.items() if k in known}, {k: v for k, v in own.items() if k != "data"}]

    def check(self) -> None:
        """Raise RequestError for settings that nothing in the request has, and for some that change nothing."""
        known = {name: options.known_options(cls) for name, cls in self.method_classes.items()}
        everyones = set().union(*known.values())
        settings = self.suite.settings
        for key in settings.get("method", {}):
            if key not in everyones:
                raise RequestError(f"settings of every method: {unknown('option', key, everyones)}")
        here = {"data", "method", *self.data_classes, *self.method_classes}
        for addressee, given in self.suite.overrides.items():
            if addressee in settings and addressee not in here:
                raise RequestError(f"--set {addressee}: changes nothing, {addressee} is not part of this request")
            if addressee not in ("data", "method") or self.suite.experiments:  # where what is assigned comes first
                continue
            names = self.suite.datasets if addressee == "data" else self.method_classes
            for key in given:
                own = [name for name in names if key in settings.get(name, {})]
                takers = [name for name in names if addressee == "data" or key in known[name]]
                if takers and set(takers) <= set(own):
                    raise RequestError(f"--set {addressee}.{key}: changes nothing, {own[0]}.{key} is set, too")


def _layered(settings: Sequence[dict[str, Any]], overrides: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Options of several places, the later ones winning; overrides also reach into mappings."""
    found: dict[str, Any] = {}
    for chosen in settings:
        found |= chosen
    for chosen in overrides:
        found = merged(found, chosen)
    return found


def _batch_options(given: Any, method: str) -> dict[str, Any]:
    """Options of the data that a method may set: how its batches are composed; images are the same for all methods."""
    if not isinstance(given, dict) or not given.keys() <= BATCH_OPTIONS:
        raise RequestError(
            f"method {method}: `data` may hold {' and '.join(sorted(BATCH_OPTIONS))}, got {given!r}; "
            "the data themselves are the same for all methods"
        )
    return given
