"""Suites: which data sets, methods and seeds, under which settings; a YAML file each.

Reading one needs neither torch nor the methods, so that the command line answers at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import yaml

from disentangle_bench.benchmarks.errors import RequestError, unknown

FOLDER = Path(__file__).parents[1] / "suites"
BUDGETS = ("epochs", "steps", "minutes")
PRECISIONS = ("auto", "fp32", "bf16")
RESOURCES: dict[str, tuple[type | tuple[type, ...], str]] = {
    "partition": (str, "a name"),
    "account": (str, "a name"),
    "qos": (str, "a name"),
    "constraint": (str, "features of a machine, such as a100"),
    "timeout_min": (int, "minutes, whole and positive"),
    "mem_gb": ((int, float), "a positive number"),
    "cpus_per_task": (int, "a positive whole number"),
    "gpus_per_node": (int, "a positive whole number"),
    "max_parallel": (int, "a positive whole number of jobs"),
    "max_requeues": (int, "a positive whole number of time-outs"),
    "setup": (list, "lines of shell, such as [module load cuda]"),
}
"""What a job of a cluster gets: the kind of each value, and how to say it."""
USUAL_RESOURCES = {"timeout_min": 240, "max_parallel": 100, "max_requeues": 50}


@dataclass
class Suite:
    """What a suite file says.

    Attributes:
        name: of the file.
        description: one sentence.
        datasets: names or dotted paths.
        methods: names or dotted paths, or `all` that are built in.
        seeds: one run each.
        budget: exactly one of `epochs`, `steps` and `minutes`.
        precision: auto (bf16 where the device has it), fp32 or bf16.
        threads: of the processor, for each cell; None: all, one cell at a time.
        measures: `name@version`, see `bench list metrics`.
        settings: options by addressee: `data` (every data set), `method` (every method that has the option), or the
            name of one data set or method; under a method, `data` says how its batches are composed (balance).
        resources: what a job gets on a cluster, see RESOURCES; nothing here changes a result.
    """

    name: str
    description: str = ""
    datasets: list[str] = field(default_factory=list)
    methods: list[str] | Literal["all"] = "all"
    seeds: list[int] = field(default_factory=lambda: [0])
    budget: dict[str, float] = field(default_factory=dict)
    precision: str = "auto"
    threads: int | None = None
    measures: list[str] = field(default_factory=list)
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    resources: dict[str, Any] = field(default_factory=dict)

    def check(self) -> Suite:
        """Return self if every value is of the right kind, else raise RequestError."""
        where = f"suite {self.name}"
        for key in ("datasets", "measures"):
            value = getattr(self, key)
            if not (isinstance(value, list) and value and all(isinstance(v, str) for v in value)):
                raise RequestError(f"{where}: `{key}` must be a list of names, got {value!r}")
        if self.methods != "all" and not (self.methods and all(isinstance(m, str) for m in self.methods)):
            raise RequestError(f"{where}: `methods` must be `all` or a list of names, got {self.methods!r}")
        if not (isinstance(self.seeds, list) and self.seeds and all(type(s) is int and s >= 0 for s in self.seeds)):
            raise RequestError(f"{where}: `seeds` must be whole numbers >= 0, such as 0,1,2; got {self.seeds!r}")
        if not isinstance(self.budget, dict) or len(self.budget) != 1 or not self.budget.keys() <= set(BUDGETS):
            raise RequestError(
                f"{where}: `budget` must be one of {', '.join(BUDGETS)}, such as epochs: 30; got {self.budget!r}"
            )
        ((unit, amount),) = self.budget.items()
        number = isinstance(amount, int | float) if unit == "minutes" else type(amount) is int
        if not number or isinstance(amount, bool) or amount <= 0:
            raise RequestError(f"{where}: `budget.{unit}` must be a positive number, got {amount!r}")
        if self.precision not in PRECISIONS:
            raise RequestError(f"{where}: `precision` must be one of {', '.join(PRECISIONS)}, got {self.precision!r}")
        if self.threads is not None and not (type(self.threads) is int and self.threads > 0):
            raise RequestError(f"{where}: `threads` must be a positive whole number, got {self.threads!r}")
        if not isinstance(self.settings, dict) or not all(isinstance(v, dict) for v in self.settings.values()):
            raise RequestError(f"{where}: `settings` must hold options by addressee, such as method: {{lr: 0.001}}")
        self._check_resources(where)
        return self

    def _check_resources(self, where: str) -> None:
        if not isinstance(self.resources, dict):
            raise RequestError(f"{where}: `resources` must be a mapping, such as {{timeout_min: 60}}")
        for name, value in self.resources.items():
            if name not in RESOURCES:
                raise RequestError(f"{where}: resources: {unknown('key', str(name), RESOURCES)}")
            kind, words = RESOURCES[name]
            positive = value > 0 if isinstance(value, int | float) else bool(value)
            if not isinstance(value, kind) or isinstance(value, bool) or not positive:
                raise RequestError(f"{where}: `resources.{name}` must be {words}; got {value!r}")


def names() -> list[str]:
    """Suites that ship with the package; those of a subfolder as `paper/ip_irm`."""
    return sorted(path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.rglob("*.yaml"))


def read(name: str) -> Suite:
    """Read a suite by name, or from a YAML file.

    Raises:
        RequestError: there is none, it isn't readable, or a key or value is wrong.
    """
    path = FOLDER / f"{name}.yaml" if name in names() else Path(name)
    if name not in names() and path.suffix not in (".yaml", ".yml"):
        raise unknown("suite", name, names())
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RequestError(f"suite file {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RequestError(f"suite file {path}: not readable as YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise RequestError(f"suite file {path}: a mapping was expected, see benchmarks/suites/quick.yaml")
    known = {f.name for f in fields(Suite)} - {"name"}
    for key in content:
        if key not in known:
            raise RequestError(f"suite file {path}: {unknown('key', str(key), known)}")
    return Suite(name=name if name in names() else path.stem, **content)


def override(suite: Suite, assignments: list[str]) -> None:
    """Apply `--set` assignments such as `method.temperature=0.2`, `budget.epochs=3` or `precision=bf16` in place."""
    for head, value in assigned(assignments).items():
        if head in ("precision", "threads"):
            setattr(suite, head, value)
        elif not isinstance(value, dict):
            raise RequestError(
                f"--set {head}={value}: expected data.OPTION, method.OPTION, NAME.OPTION (of one data set or method), "
                "budget.UNIT, resources.NAME, precision or threads"
            )
        elif head == "resources":
            suite.resources = suite.resources | value
        elif head == "budget":
            suite.budget = value
        else:
            _merge(suite.settings.setdefault(head, {}), value)


def assigned(assignments: list[str]) -> dict[str, Any]:
    """`a.b=1` and `a.c=[2, 3]` as `{"a": {"b": 1, "c": [2, 3]}}`; values are YAML.

    Raises:
        RequestError: no `KEY=VALUE`, or a value that YAML can't read.
    """
    tree: dict[str, Any] = {}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not path.strip():
            raise RequestError(f"--set {assignment}: expected KEY=VALUE, such as method.temperature=0.2")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise RequestError(f"--set {assignment}: the value is not readable") from error
        for key in reversed(_split(path.strip())):
            value = {key: value}
        _merge(tree, value)
    return tree


def _split(path: str) -> list[str]:
    """At the dots; a dotted path that names a class (`my_file.MyMethod`) stays in one piece."""
    words = path.split(".")
    ends = [number for number, word in enumerate(words) if number and word[:1].isupper()]
    return [".".join(words[: ends[0] + 1]), *words[ends[0] + 1 :]] if ends else words


def _merge(into: dict[str, Any], tree: dict[str, Any]) -> None:
    for key, value in tree.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def choose(
    suite: str,
    method: str | None,
    dataset: str | None,
    seeds: str | None,
    assignments: list[str],
    measures: str | None = None,
) -> Suite:
    """The suite with the command line's choices in place of its own."""
    chosen = read(suite)
    if method:
        chosen.methods = "all" if method == "all" else names_in(method)
    if dataset:
        chosen.datasets = names_in(dataset)
    if seeds:
        try:
            chosen.seeds = [int(seed) for seed in seeds.split(",")]
        except ValueError:
            raise RequestError(f"--seeds must be whole numbers, such as 0,1,2; got {seeds!r}") from None
    if measures:
        from disentangle_bench.evaluation.protocol import newest

        chosen.measures = list(newest()) if measures == "all" else names_in(measures)
    override(chosen, assignments)
    return chosen.check()


def names_in(text: str) -> list[str]:
    """Comma-separated names, each once."""
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
