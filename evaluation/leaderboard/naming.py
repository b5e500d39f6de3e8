"""Names of methods in tables: with the settings in which they differ, so that no two settings share a name."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from disentangle_bench.evaluation.records import Record, display_name
from disentangle_bench.files import file_name

CODE_OPTIONS = ("backbone", "own_views", "init")
"""Options of a method that may name code, or a file of weights, of the user's own."""
Group = tuple[str, str, str]
"""(data set, method, settings)."""
_SECTIONS = ("options", "budget", "data")
_NOT_OPTIONS = (
    "dataset",
    "method",
    "seed",
    "measures",
    "suite",
    "experiments",
    "tuned",
    "tuned_at",
    "by_hand",
    "names",
    "own_measures",
    "imports",
)

_HASH = 8
"""Digits of a hash in a name: of an encoder's weights, and of what a run is made by."""


def group_of(record: Record) -> Group:
    """The group of runs that differ in their seeds only, over which figures are averaged."""
    cell = record["cell"]
    return display_name(record, "dataset"), cell["method"], cell["settings"]


def method_labels(records: Iterable[Record]) -> dict[Group, str]:
    """Name of each (data set, method, settings).

    An experiment of a suite is called by its label; one that several suites call otherwise by all of them, `a = b`. A
    method that was run with one setting a data set keeps its plain name, also beside an encoder from elsewhere of the
    same name, which is told by its source, `simclr (my_network.make)`. Otherwise the name is extended by the
    options in which its settings differ within some data set, `simclr (temperature=0.1)`, the same options on every
    data set, so that a name means the same everywhere. Settings that still share a name (they differ in something
    that is no option) get the beginning of their hash.
    """
    options: dict[Group, dict[str, str]] = {}
    given: dict[Group, dict[str, None]] = {}
    plain: dict[Group, str] = {}
    judged: dict[Group, str] = {}
    for record in records:
        key = group_of(record)
        if source := _source_of(record):
            judged[key] = source
        plain[key] = display_name(record, "method")
        if key not in options:  # the same for all seeds
            options[key] = _options(record["config"])
        given.setdefault(key, {}).update(dict.fromkeys(str(one.get("label")) for one in experiments_of(record)))
    called = {key: " = ".join(labels) or plain[key] for key, labels in given.items()}
    trained = {name for key, name in called.items() if key not in judged}
    called |= {key: f"{called[key]} ({source})" for key, source in judged.items() if called[key] in trained}
    differing: dict[str, list[str]] = {}
    groups: dict[tuple[str, str], list[dict[str, str]]] = {}
    for key, values in options.items():
        groups.setdefault((key[0], called[key]), []).append(values)
    for (_, name), variants in groups.items():
        found = differing.setdefault(name, [])
        found += [n for n in _differing(variants) if n not in found]
    labels = {
        key: f"{called[key]} ({shown})" if (shown := _spelled(values, differing[called[key]])) else called[key]
        for key, values in options.items()
    }
    taken: dict[tuple[str, str], list[Group]] = {}
    for key, label in labels.items():
        taken.setdefault((key[0], label), []).append(key)
    for (_, label), keys in taken.items():
        for k, key in enumerate(keys if len(keys) > 1 else ()):
            beginning = key[2][:8]
            alone = [other[2][:8] for other in keys].count(beginning) == 1
            labels[key] = f"{label} [{beginning}{'' if alone else f' {k + 1}'}]"
    return labels


def told_apart(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The settings that differ between configurations, as text for each: `temperature=0.1, source=30570bdb`."""
    variants = [_options(config) for config in configs]
    return [_spelled(values, _differing(variants)) for values in variants]


def older_code(records: Collection[Record]) -> list[str]:
    """A line for each row that comes from other code or weights of the user's own than the newest run of that name.

    Whoever edits a file and runs it again has the rows of before in the same folder: they are told apart by `source`,
    but not which is of the file as it is.
    """
    labels = method_labels(records)
    rows: dict[tuple, dict[Group, list[Record]]] = {}
    for record in records:
        if record["config"].get("source"):
            options = record["config"].get("options") or {}
            classes = (*group_of(record)[:2], *(short(options.get(name)) for name in CODE_OPTIONS))
            rows.setdefault(classes, {}).setdefault(group_of(record), []).append(record)
    told = []
    for groups in rows.values():
        newest = max((record for runs in groups.values() for record in runs), key=_finished)
        for group, runs in groups.items():
            if runs[0]["config"]["source"] != newest["config"]["source"]:
                folders = ", ".join(sorted(map(_folder, runs)))
                told.append(
                    f"{group[0]}: {labels[group]} comes from another version of your own code or weights than the "
                    f"newest run, {labels[group_of(newest)]}; to drop its row remove the folders of its runs: {folders}"
                )
    return sorted(told)


def _folder(record: Record) -> str:
    """Path of a run's folder below the folder of all runs."""
    return "/".join(file_name(record["cell"][part]) for part in ("dataset", "method", "hash"))  # type: ignore[literal-required]


def _finished(record: Record) -> str:
    return str(record["provenance"].get("finished", ""))


def experiments_of(record: Record) -> list[dict[str, Any]]:
    """Experiments of suites that the run is one of, as `benchmarks.planning` writes them: label, published figures."""
    given = record["config"].get("experiments")
    return [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []


def _source_of(record: Record) -> str:
    """The `--encoder` or `--features` by which an encoder from elsewhere was given; "" if trained here."""
    options = record["config"].get("options") or {}
    return str(options.get("encoder") or options.get("features") or "") if "labels_from" in record["provenance"] else ""


def _options(config: Mapping[str, Any]) -> dict[str, str]:
    """Every setting but the seed, flat, as text: `options.temperature` -> `0.1`."""
    flat = {
        f"{section}.{key}": short(value)[: _HASH if key == "weights" else None]
        for section in _SECTIONS
        for key, value in (config.get(section) or {}).items()
        if key != "seed"
    }
    rest = {
        f"run.{key}": short(value)[: _HASH if key == "source" else None]
        for key, value in config.items()
        if key not in (*_SECTIONS, *_NOT_OPTIONS)
    }
    return flat | rest


def _differing(variants: Sequence[Mapping[str, str]]) -> list[str]:
    """Names of the settings, as of `_options`, that aren't the same in all variants."""
    names = dict.fromkeys(name for values in variants for name in values)
    return [name for name in names if len({values.get(name) for values in variants}) > 1]


def _spelled(values: Mapping[str, str], names: Iterable[str]) -> str:
    return ", ".join(f"{name.partition('.')[2]}={values[name]}" for name in sorted(names) if name in values)


def short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
