"""Records to one tidy frame: a line a figure, under a method label that no two settings share."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from disentangle_bench.evaluation.records import Record

if TYPE_CHECKING:
    import pandas as pd


Key = tuple[str, str, str]
"""(data set, method, settings)."""

COST = "cost"
"""Name in the column `measure` of figures that a run cost rather than reached; their space is empty."""
RUN = ("dataset", "method", "settings", "labels", "budget", "seed", "run")
COLUMNS = (*RUN, "space", "measure", "score", "target", "value", "reason")
_SECTIONS = ("options", "budget", "data")
_NOT_OPTIONS = ("dataset", "method", "seed", "measures", "suite")


def settings_of(record: Record) -> str:
    """Hash of everything but the seed; runs that share it are repetitions of each other."""
    return str(record["cell"]["settings"])


def budget_of(record: Record) -> str:
    """`30 epochs`: what the run was allowed, in the unit that it was allowed in."""
    budget = record["config"].get("budget") or {}
    return ", ".join(f"{_short(amount)} {unit}" for unit, amount in sorted(budget.items())) or "not recorded"


def labels_of(record: Record) -> str:
    """Roles of the targets that the method saw while it trained, or `none`."""
    return ", ".join(sorted(map(str, record["labels"]))) or "none"


def cautions(records: Iterable[Record]) -> list[str]:
    """What makes runs less comparable than their settings say: other data, other versions, uncommitted code."""
    seen: dict[tuple[str, str], set[str]] = {}
    for record in records:
        dataset, provenance = record["cell"]["dataset"], record["provenance"]
        data, versions = provenance.get("data") or {}, provenance.get("versions") or {}
        options = _short(record["config"].get("data") or {})
        seen.setdefault((f"{dataset}: data with the same options", options), set()).add(_short(data.get("fingerprint")))
        for package, version in versions.items():
            seen.setdefault((f"{dataset}: {package}", ""), set()).add(str(version))
        if (provenance.get("git") or {}).get("dirty"):
            seen.setdefault((f"{dataset}: code that was not committed, in", ""), set()).add(record["cell"]["method"])
    return sorted(
        f"{what} {'differ between runs' if 'in' not in what.split() else 'runs of'}: {', '.join(sorted(values))}"
        for (what, _), values in seen.items()
        if len(values) > 1 or what.endswith(" in")
    )


def method_labels(records: Iterable[Record]) -> dict[Key, str]:
    """Name of each (data set, method, settings).

    A method that was run with one setting a data set keeps its plain name. Otherwise the name is extended by the
    options in which its settings differ within some data set, `simclr (temperature=0.1)`, the same options on every
    data set, so that a name means the same everywhere. Settings that still share a name (they differ in something
    that is no option) get the beginning of their hash.
    """
    options: dict[Key, dict[str, str]] = {}
    for record in records:
        cell = record["cell"]
        options.setdefault((cell["dataset"], cell["method"], settings_of(record)), _options(record["config"]))
    differing: dict[str, list[str]] = {}
    groups: dict[tuple[str, str], list[dict[str, str]]] = {}
    for (dataset, method, _), values in options.items():
        groups.setdefault((dataset, method), []).append(values)
    for (_, method), variants in groups.items():
        names = dict.fromkeys(name for values in variants for name in values)
        found = differing.setdefault(method, [])
        found += [n for n in names if n not in found and len({values.get(n) for values in variants}) > 1]
    labels = {
        key: f"{key[1]} ({', '.join(shown)})"
        if (shown := [f"{_leaf(n)}={values[n]}" for n in sorted(differing[key[1]]) if n in values])
        else key[1]
        for key, values in options.items()
    }
    taken: dict[tuple[str, str], list[Key]] = {}
    for key, label in labels.items():
        taken.setdefault((key[0], label), []).append(key)
    for (_, label), keys in taken.items():
        for key in keys if len(keys) > 1 else ():
            labels[key] = f"{label} [{key[2][:8]}]"
    return labels


def observations(records: Iterable[Record], labels: Mapping[Key, str] | None = None) -> pd.DataFrame:
    """One line a figure of a run: the columns are `COLUMNS`, methods are named by `method_labels` unless `labels` says.

    `value` is NaN where a measurement was undefined; `reason` then says why, and `score` is empty because nobody knows
    which figures there would have been. The order of the records makes no difference.
    """
    import pandas as pd

    ordered = sorted(records, key=lambda r: tuple(str(r["cell"][k]) for k in ("dataset", "method", "seed", "hash")))
    labels = method_labels(ordered) if labels is None else labels
    lines: list[tuple] = []
    for record in ordered:
        cell, settings = record["cell"], settings_of(record)
        label = labels[cell["dataset"], cell["method"], settings]
        run = (cell["dataset"], label, settings, labels_of(record), budget_of(record), cell["seed"], cell["hash"])
        for row in record["metrics"]:
            place = (row["space"], row["measure"])
            if row["scores"] is None:
                reason = row.get("reason") or "no reason recorded"
                lines.append((*run, *place, "", row["target"], float("nan"), reason))
            lines += [(*run, *place, key, row["target"], float(v), "") for key, v in (row["scores"] or {}).items()]
        lines += [
            (*run, "", COST, key, "", float(value), "")
            for key, value in record["cost"].items()
            if isinstance(value, int | float)
        ]
    return pd.DataFrame.from_records(lines, columns=list(COLUMNS))


def _options(config: Mapping[str, Any]) -> dict[str, str]:
    """Every setting but the seed, flat, as text: `options.temperature` -> `0.1`."""
    flat = {
        f"{section}.{key}": _short(value)
        for section in _SECTIONS
        for key, value in (config.get(section) or {}).items()
        if key != "seed"
    }
    rest = {f"run.{key}": _short(value) for key, value in config.items() if key not in (*_SECTIONS, *_NOT_OPTIONS)}
    return flat | rest


def _leaf(name: str) -> str:
    return name.split(".", 1)[1]


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def provenance(records: Iterable[Record]) -> str:
    """Markdown lines: the commands, commits, hardware and versions behind the records, each once."""
    seen = [record["provenance"] for record in records]
    facts = {
        "Command": [f"`{p['command']}`" for p in seen],
        "Commit": [f"{p['git']['commit']}{' with changes' if p['git']['dirty'] else ''}" for p in seen],
        "Hardware": [
            f"{h['cpu']}, {h['cores']} cores, {h['memory_gb']:g} GB, {h['gpu'] or 'no GPU'}"
            for h in (p["hardware"] for p in seen)
        ],
        "Versions": [", ".join(f"{name} {number}" for name, number in sorted(p["versions"].items())) for p in seen],
        "Dates": [p["finished"][:10] for p in seen],
    }
    return "".join(f"- {name}: {'; '.join(sorted(set(values)))}\n" for name, values in facts.items())
