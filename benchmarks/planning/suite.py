"""Suites: which data sets, methods and seeds, under which settings; a YAML file each.

Reading one needs neither torch nor the methods, so that the command line answers at once.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from jsonargparse.typing import restricted_number_type

from disentangle_bench.benchmarks import plain_yaml
from disentangle_bench.benchmarks.errors import RequestError, unknown
from disentangle_bench.benchmarks.planning import options
from disentangle_bench.benchmarks.planning.command_line import (
    MOST_ENTRIES,
    assigned,
    holds,
    keys_of,
    merged,
    own_names_in,
    seeds_in,
    swept,
    texts_of,
)
from disentangle_bench.benchmarks.planning.suite_parts import (
    Budget,
    Experiment,
    ExperimentSettings,
    Resources,
    Seed,
    Tuning,
)
from disentangle_bench.evaluation.published import Published
from disentangle_bench.registry import dotted

FOLDER = Path(__file__).parents[1] / "suites"
LISTS = ("datasets", "measures", "methods", "seeds")

Threads = restricted_number_type("Threads", int, [(">", 0), ("<=", 4096)])
"""Whatever is beyond these bounds, and NaN, is a mistake and no wish."""


@dataclass
class Suite:
    """What a suite file says.

    Attributes:
        measures: `name@version`, see `bench list measures`. Example: `[linear@1, leakage@4]`
        budget: exactly one of `epochs`, `steps` and `minutes`.
        datasets: names or dotted paths; every method is run on each. Example: `[colored_digits, my_file.MyData]`
        experiments: further rows of the table, each one method on one data set under settings of its own.
        name: of the file.
        description: one sentence, for `bench list suites`. Example: `Every method on our data.`
        methods: names or dotted paths, or `all` that there are. On a data set without the labels that one of them
            trains with, it is left out. Example: `[simclr, my_file.MyMethod]`
        seeds: one run each of every method on every data set. Example: `[0, 1, 2]`
        precision: auto (bf16 where the device has it), fp32 or bf16. Example: `fp32`
        threads: of the processor, for each cell; None: all, or an equal share where --jobs asks for several cells
            at once. A trained network depends on it in its last digits.
            Example: `1`
        sweep: setting, such as `data.correlation`, -> values; each method has a row for each, as by `--sweep`, which
            comes before this, as `--set` does. Example: `{data.correlation: [0.5, 0.9]}`
        settings: options by addressee: `data` (every data set), `method` (every method that has the option), or the
            name of one data set or method; under a method, `data` says how its batches are composed (balance).
            Example: `{data: {batch_size: 64}, method: {backbone: convnet}, simclr: {temperature: 0.5}}`
        resources: what a job gets on a cluster.
        tune: how `bench tune` chooses.
        tuned: file of its choice, beside the suite's; methods are run with the options in it. `bench run --tuned`
            comes before it. Example: `mine.tuned.json`
    """

    measures: list[str]
    budget: Budget
    datasets: list[str] = field(default_factory=list)
    experiments: list[Experiment] = field(default_factory=list)
    name: str = ""
    description: str = ""
    methods: list[str] | Literal["all"] = "all"
    seeds: list[Seed] = field(default_factory=lambda: [0])  # type: ignore[valid-type]
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    threads: Threads | None = None  # type: ignore[valid-type]
    sweep: dict[str, list[Any]] = field(default_factory=dict)
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)
    tune: Tuning = field(default_factory=Tuning)
    tuned: str | None = None
    overrides: dict[str, dict[str, Any]] = field(init=False, default_factory=dict)
    """Settings from the command line, which hold for experiments too, whatever they say themselves."""
    sweeps: dict[str, list[tuple[str, Any]]] = field(init=False, default_factory=dict)
    """Setting -> texts and values that the suite or the command line wants a row of each for; see `sweep`."""
    named: bool = field(init=False, default=False)
    """Whether the command line names the methods: then each has to run on every data set."""

    def __post_init__(self) -> None:
        for name in ("measures", "methods", "seeds"):
            if not getattr(self, name):
                raise ValueError(f"`{name}` must not be empty")
        for name in LISTS:
            if isinstance(entries := getattr(self, name), list):
                setattr(self, name, list(dict.fromkeys(entries)))
        if not self.datasets and not self.experiments:
            raise ValueError("`datasets` or `experiments` must not be empty")
        if self.tune.seed in self.seeds:
            raise ValueError(f"seed {self.tune.seed} is the one that `tune` chooses with, it can't report")
        for path, values in self.sweep.items():
            if len(keys := keys_of(path)) < 2 or not all(keys) or not values:
                raise ValueError(f"sweep: {path!r}: {values}; expected NAME.OPTION with values, such as [0.1, 0.2]")
        self.sweeps = {path: texts_of(values) for path, values in self.sweep.items()}
        places = [(one.dataset, one.label) for one in self.experiments]
        if self.methods != "all":
            places += [(dataset, method) for dataset in self.datasets for method in self.methods]
        if twice := [label for k, (dataset, label) in enumerate(places) if (dataset, label) in places[:k]]:
            raise ValueError(f"experiments: two rows of one data set are called {twice[0]!r}")


def names() -> list[str]:
    """Suites that ship with the package; those of a subfolder as `paper/ip_irm`."""
    return sorted(path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.rglob("*.yaml"))


def read(name: str) -> Suite:
    """A suite by name, or from a YAML file.

    Raises:
        RequestError: there is none, it isn't readable, or a key or value is wrong.
    """
    return _typed(_content(name))


def description(name: str) -> str:
    """The description of a suite that ships with the package; nothing else of it is checked."""
    return str(_content(name).get("description", ""))


def choose(
    suite: str,
    method: str | None = None,
    dataset: str | None = None,
    seeds: str | None = None,
    assignments: list[str] | None = None,
    measures: str | None = None,
    sweeps: list[str] | None = None,
    tuned: str | None = None,
) -> Suite:
    """The suite with the command line's choices in place of its own. Raises RequestError for one that is wrong."""
    content = _content(suite)
    named = own_names_in(method) if method and method != "all" else []
    if named:
        _keep(content, "method", named)
    if dataset:
        _keep(content, "dataset", own_names_in(dataset))
    if seeds:
        content["seeds"] = seeds_in(seeds)
    if tuned:
        content["tuned"] = tuned
    if measures:
        from disentangle_bench.evaluation.protocol import newest

        content["measures"] = list(newest()) if measures == "all" else own_names_in(measures)
    overrides = assigned(assignments or [])
    for head, value in overrides.items():
        if head in ("precision", "threads"):
            content[head] = value
        elif not isinstance(value, dict):
            raise RequestError(
                f"--set {head}={value}: expected data.OPTION, method.OPTION, NAME.OPTION (of one data set or method), "
                "budget.UNIT, resources.NAME, tune.NAME, precision or threads"
            )
        elif head == "budget":
            content[head] = value
        else:
            content = merged(content, {head: value} if head in ("resources", "tune") else {"settings": {head: value}})
    chosen = _typed(content)
    set_there = {path for path in chosen.sweep if holds(overrides, keys_of(path))}
    chosen.sweeps = {p: v for p, v in chosen.sweeps.items() if p not in set_there} | swept(sweeps or [])
    chosen.named = bool(named)
    chosen.overrides = {
        head: value for head, value in overrides.items() if head in ("budget", "resources", *chosen.settings)
    }
    return chosen


def _keep(content: dict[str, Any], key: Literal["method", "dataset"], names: list[str]) -> None:
    """Put names in place of the suite's methods or data sets; experiments that they don't name are left out.

    An experiment is named by its label too. Raises RequestError if nothing is left.
    """
    given = content.get("experiments") or []
    experiments = [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
    labels = {str(one.get("label")) for one in experiments} if key == "method" else set()
    kept = [one for one in experiments if one.get(key) in names or one.get("label") in labels & set(names)]
    if experiments:
        content["experiments"] = kept
    if content.get("datasets") or not experiments:
        content[f"{key}s"] = [name for name in names if name not in labels]
        if not content[f"{key}s"]:
            content["datasets"], content["methods"] = [], "all"
    elif not kept:
        known = labels | {str(one.get(key)) for one in experiments}
        raise unknown(f"{key} of suite {content['name']}", names[0], known)


def _content(name: str) -> dict[str, Any]:
    """A suite's file as plain values, with its name."""
    shipped = name in names()
    path = FOLDER / f"{name}.yaml" if shipped else Path(name)
    if not shipped and path.suffix not in (".yaml", ".yml"):
        if there := next((file for file in (f"{name}.yaml", f"{name}.yml") if Path(file).is_file()), None):
            raise RequestError(f"unknown suite {name!r}: a file is named with its ending, --suite {there}")
        raise unknown("suite", name, names())
    content = content_of(path, f"suite file {path}")
    beside = {"tuned": str(path.parent / content["tuned"])} if isinstance(content.get("tuned"), str) else {}
    return _with_dots(content) | beside | {"name": name if shipped else path.stem}


def _with_dots(content: dict[str, Any]) -> dict[str, Any]:
    """The content with paths of somebody's own in one form, `my_file.MyMethod`, so that none counts as two rows."""

    def one(name: Any) -> Any:
        return dotted(name) if isinstance(name, str) else name

    found = {
        key: [one(name) for name in value] if key in LISTS and isinstance(value, list) else value
        for key, value in content.items()
    }
    if isinstance(given := content.get("settings"), dict):
        found["settings"] = {one(addressee): value for addressee, value in given.items()}
    if isinstance(rows := content.get("experiments"), list):
        found["experiments"] = [
            {key: one(value) if key in ("method", "dataset") else value for key, value in row.items()}
            if isinstance(row, dict)
            else row
            for row in rows
        ]
    return found


def content_of(path: Path, where: str) -> dict[str, Any]:
    """A YAML file with a mapping, as plain values. Raises RequestError that begins with `where`."""
    content = plain_yaml.read(path, where)
    if not isinstance(content, dict):
        raise RequestError(f"{where}: a mapping was expected")
    return content


def _typed(content: dict[str, Any]) -> Suite:
    """The suite of plain values, every key and value checked."""
    where = f"suite {content['name']}"
    parts = [("suite", Suite, content), *((name, cls, content.get(name, {})) for name, cls in _PARTS.items())]
    given = content.get("experiments", [])
    for k, one in enumerate(given if isinstance(given, list) else [], 1):
        name = f"experiment {one['label']!r}" if isinstance(one, dict) and "label" in one else f"experiment {k}"
        if isinstance(one, dict):
            parts.append((f"{name}: settings", ExperimentSettings, one.get("settings", {})))
            if isinstance(figures := one.get("published", []), list):
                parts += [(f"{name}: published", Published, figure) for figure in figures]
        parts.append((name, Experiment, one))
    rows: list[tuple[type, dict[str, Any], str]] = []
    for name, cls, part in parts:
        keys = {field.name for field in fields(cls) if field.init}
        if not isinstance(part, dict):
            raise RequestError(f"{where}: {name} must hold {', '.join(sorted(keys))}, got {part!r}")
        at = f"{where}, {name}" if name.startswith("experiment") else where
        if wrong := [key for key in part if key not in keys]:
            raise _unknown_key(at, str(wrong[0]), keys)
        if cls in (Experiment, Published):
            needed = [f.name for f in fields(cls) if f.default is f.default_factory is MISSING]
            if missing := [name for name in needed if name not in part]:
                raise RequestError(f"{at}: `{missing[0]}` is missing")
            options.refuse_nulls(cls, part, at)
            rows.append((cls, part, at))
    for name in (*LISTS, "experiments"):
        if isinstance(content.get(name), list) and len(content[name]) > MOST_ENTRIES:
            raise RequestError(f"{where}: `{name}` has {len(content[name]):,} entries, at most {MOST_ENTRIES:,} may be")
    try:
        return Suite(**options.instantiate(Suite, options.resolve(Suite, content, where)))
    except ValueError as error:
        for row in rows:  # one by one only now: which of them is wrong
            options.resolve(*row)
        raise error if isinstance(error, RequestError) else RequestError(f"{where}: {error}") from error


def _unknown_key(where: str, key: str, keys: set[str]) -> RequestError:
    """The error for an unknown key: with similar keys, all known ones, and the part that has a key of this name."""
    elsewhere = [name for name, cls in _PARTS.items() if key in {field.name for field in fields(cls)}]
    told = f"{unknown('key', key, keys)}"
    if elsewhere and key not in keys:
        told = f"unknown key {key!r:.200}: it belongs under `{elsewhere[0]}`, {elsewhere[0]}: {{{key}: VALUE}}."
    if "known are" not in told:
        told += f" Known are {', '.join(sorted(keys))}"
    return RequestError(f"{where}: {told}; `bench list keys` explains them")


_PARTS: dict[str, Any] = {"budget": Budget, "resources": Resources, "tune": Tuning}
