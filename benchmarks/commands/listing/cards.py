"""Cards: all that is known of one method, data set, suite, measure, claim or backbone, as its own declarations say."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from disentangle_bench.benchmarks.commands.listing import suite_card
from disentangle_bench.benchmarks.errors import RequestError, unknown
from disentangle_bench.benchmarks.layout import about, entries, facts, paragraph, table

if TYPE_CHECKING:
    from disentangle_bench.benchmarks.planning.options import Option


def option_tables(cls: Any, base: type, addressee: str, everyones: str) -> list[str]:
    """Options of a class: its own, then those that all of its kind have."""
    from disentangle_bench.benchmarks.planning.options import described

    common = {one.name for one in described(base)}
    parts = [(addressee, True), (everyones, False)]
    known = [(to, [one for one in described(cls) if (one.name in common) != own]) for to, own in parts]
    return [options(to, of_it) for to, of_it in known if of_it]


def options(addressee: str, described: Sequence[Option]) -> str:
    """Options with what they are called in `--set`, their types and defaults."""
    null = "; None is written null" if any(one.default == "None" for one in described) else ""
    pairs = [
        (f"{one.name}  ({one.type}{f'; default: {one.default}' if one.default else ''})", one.help) for one in described
    ]
    return f"{paragraph(f'options, set by --set {addressee}.OPTION=VALUE{null}')}\n\n{entries(pairs)}"


def method(name: str) -> str:
    """The card of a method."""
    from disentangle_bench import methods
    from disentangle_bench.benchmarks.planning import claims
    from disentangle_bench.benchmarks.planning.lookup import find_class
    from disentangle_bench.methods.base import Method

    cls = find_class(methods, "method", name)
    tried = "; ".join(f"{option}: {', '.join(map(str, values))}" for option, values in cls.search.items())
    known = [
        ("what it is", about(cls.__doc__)),
        ("paper", cls.source),
        ("labels seen", ", ".join(sorted(cls.uses_targets)) or "none"),
        ("spaces", about(cls.embed.__doc__).removeprefix("Spaces ")),
        ("judged by", f"its space {cls.primary_space}"),
        ("invariance", f"claimed of {cls.invariant_space}" if cls.invariant_space != cls.primary_space else ""),
        ("bench tune", f"tries {tried}" if cls.trains else "it doesn't train"),
        ("claims", f"bench list claims {name}" if name in claims.names() else ""),
    ]
    return "\n\n".join([facts(name, known), *option_tables(cls, Method, name, "method")])


def dataset(name: str) -> str:
    """The card of a data set, with splits and targets if its files are there. Downloads nothing."""
    from disentangle_bench import datamodules
    from disentangle_bench.benchmarks.planning.lookup import find_class
    from disentangle_bench.benchmarks.planning.options import resolve
    from disentangle_bench.benchmarks.planning.trial import opened_data
    from disentangle_bench.datamodules.base import DataNotFound, ImageDataModule
    from disentangle_bench.datamodules.families.stored import StoredDataModule

    cls = find_class(datamodules, "dataset", name)
    known = [
        ("what it is", about(cls.__doc__)),
        ("source", cls.source),
        ("licence", cls.licence),
        ("files", cls.layout),
        ("mirror image", "means the same" if cls.mirror_symmetric else "means something else: views aren't mirrored"),
    ]
    parts: list[str] = []
    try:
        with opened_data(cls, resolve(cls, {}, f"data set {name}"), name) as data:
            if isinstance(data, StoredDataModule):
                data.locate()  # setup would download what isn't there
            data.setup()
    except RequestError as error:
        lack = error.__cause__
        why = f"{lack.missing}; data.root names another folder" if isinstance(lack, DataNotFound) else str(error)
        known.append(("splits, targets", f"known once its files are there ({why})"))
    else:
        sizes = ", ".join(f"{split} {len(images)}" for split, images in data.splits.items())
        known += [("images", " x ".join(map(str, data.image_shape))), ("splits", sizes)]
        rows = [[one.name, one.role, one.kind, str(one.size) if one.discrete else ""] for one in data.targets]
        parts.append(table(["target", "role", "kind", "values"], rows))
    return "\n\n".join([facts(name, known), *parts, *option_tables(cls, ImageDataModule, name, "data")])


def measure(name: str) -> str:
    """The card of a measure."""
    from disentangle_bench.benchmarks.planning.lookup import resolve_measures
    from disentangle_bench.evaluation.protocol import MEASURES

    (title,) = resolve_measures([name])
    found = MEASURES[title]
    better = {"up": "higher", "down": "lower", None: "neither"}
    known = [
        ("what it is", found.summary),
        ("asks about", found.aspect),
        ("targets", found.targets.text),
        ("spaces", ", ".join(found.spaces) if found.spaces else "all"),
        ("splits", found.splits),
        ("settings", ", ".join(f"{option}={value!r}" for option, value in found.parameters.items())),
        ("source", found.source),
    ]
    for score, reading in found.scores.items():
        told = f"better: {better[reading.direction]}; range: {reading.low:g} .. {reading.high:g}; "
        known.append((score, told + f"chance: {reading.chance}"))
    return facts(title, known)


def claim(name: str) -> str:
    """The card of a claim, or the cards of all claims of a paper."""
    from disentangle_bench.benchmarks.planning import claims

    files = claims.shipped()
    known = {one.name: one for found in files.values() for one in found}
    if name not in files and name not in known:
        raise unknown("claim", name, [*files, *known])
    cards = []
    for one in files.get(name) or [known[name]]:
        than = f"{one.a.row} {'above' if one.direction == 'up' else 'below'} {one.b.row or one.b.value}"
        pairs = [
            ("in words", one.statement),
            ("paper", one.paper),
            ("where", one.source),
            ("published", one.published),
            ("compares", f"{than}, in {one.measure} {one.score} of {one.target or 'the runs'} on {one.dataset}"),
            ("at least", f"{one.at_least:g}"),
            ("runs", f"suite {one.suite}, seeds {', '.join(map(str, one.seeds))}"),
            ("note", one.note),
        ]
        cards.append(facts(one.name, pairs))
    return "\n\n".join(cards)


def backbone(name: str) -> str:
    """The card of a backbone, made for colour images of 224 pixels."""
    import timm

    from disentangle_bench.methods.networks.backbones import backbone as make

    try:
        made: Any = make(name, (3, 224, 224))
    except ValueError as error:
        raise RequestError(str(error)) from error
    weights = timm.models.get_pretrained_cfg(name) if timm.is_model(name) else None
    millions = sum(parameter.numel() for parameter in made.parameters()) / 1e6
    what = f"{type(made).__module__}.{type(made).__qualname__}"
    known = [
        ("what it is", about(made.__doc__) if name == "convnet" else what),
        ("features", str(made.num_features)),
        ("parameters", f"{millions:.2f} M"),
        ("weights", f"--set method.init=timm: {weights.tag or 'timm'}, {weights.license or ''}" if weights else ""),
    ]
    return facts(name, [(key, re.sub(r",\s*$", "", text)) for key, text in known])


def views(name: str) -> str:
    """The card of views: the augmentation of all methods, or somebody's own."""
    from disentangle_bench.benchmarks.planning.options import described
    from disentangle_bench.methods.views import Augmentation, views_of

    if name in ("method.augmentation", "augmentation"):
        return f"{paragraph(about(Augmentation.__doc__))}\n\n{options('method.augmentation', described(Augmentation))}"
    try:
        return facts(
            name, [("what they are", about(type(views_of(name)).__doc__)), ("use", f"--set method.own_views={name}")]
        )
    except ValueError as error:
        raise RequestError(str(error)) from error


def key(name: str) -> str:
    """The card of a key of a suite's file, or the cards of all keys below it."""
    from disentangle_bench.benchmarks.planning.keys import find

    cards = []
    for one in find(name):
        pairs = [("what it says", one.help), ("type", one.type), ("default", one.default), ("example", one.example)]
        cards.append(facts(one.name, pairs))
    return "\n\n".join(cards)


CARDS: dict[str, Callable[[str], str]] = {
    "methods": method,
    "datasets": dataset,
    "suites": suite_card.card,
    "measures": measure,
    "claims": claim,
    "backbones": backbone,
    "views": views,
    "keys": key,
}
