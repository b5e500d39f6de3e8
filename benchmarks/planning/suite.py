"""Suites: which data sets, methods and seeds, under which settings; a YAML file each.

Reading one needs neither torch nor the methods, so that the command line answers at once.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from jsonargparse.typing import restricted_number_type

from disentangle_bench.benchmarks import plain_yaml
from disentangle_bench.benchmarks.errors import RequestError, unknown
from disentangle_bench.benchmarks.planning import options

FOLDER = Path(__file__).parents[1] / "suites"
ABSENT, MOST_KEYS = object(), 8
"""No value; the most names with dots between that a setting may have."""
LISTS = ("datasets", "measures", "methods", "seeds")
MOST_ENTRIES = 1000
"""Of a list: of seeds, data sets, methods or measures."""

Seed = restricted_number_type("Seed", int, [(">=", 0), ("<", 2**32)])
Steps = restricted_number_type("Steps", int, [(">", 0), ("<=", 1_000_000_000)])
Minutes = restricted_number_type("Minutes", float, [(">=", 0.001), ("<=", 1_000_000)])
Gigabytes = restricted_number_type("Gigabytes", float, [(">", 0), ("<=", 1_000_000)])
Count = restricted_number_type("Count", int, [(">", 0), ("<=", 1_000_000)])
Threads = restricted_number_type("Threads", int, [(">", 0), ("<=", 4096)])
"""Whatever is beyond these bounds, and NaN, is a mistake and no wish."""


@dataclass
class Budget:
    """How long a cell trains: exactly one of them.

    Attributes:
        epochs: passes over the training images.
        steps: of the optimiser.
        minutes: of training.
    """

    epochs: Count | None = None  # type: ignore[valid-type]
    steps: Steps | None = None  # type: ignore[valid-type]
    minutes: Minutes | None = None  # type: ignore[valid-type]

    def __post_init__(self) -> None:
        if len(self.given) != 1:
            raise ValueError(f"budget: exactly one of epochs, steps, minutes is expected, got {self.given or 'none'}")

    @property
    def given(self) -> dict[str, float]:
        """The one that is given, by its name."""
        return {unit: amount for unit, amount in asdict(self).items() if amount is not None}


@dataclass
class Resources:
    """What a job of a cluster gets; nothing here changes a result.

    Attributes:
        partition: name.
        account: name.
        qos: name.
        constraint: features of a machine, such as a100.
        timeout_min: minutes after which the job is queued again.
        mem_gb: memory.
        cpus_per_task: cores for each process.
        gpus_per_node: GPUs on each machine; as many as `--devices`.
        max_parallel: jobs that run at once.
        max_requeues: time-outs after which a cell is given up.
        setup: lines of shell, such as [module load cuda].
    """

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    timeout_min: Count = 240  # type: ignore[valid-type]
    mem_gb: Gigabytes | None = None  # type: ignore[valid-type]
    cpus_per_task: Count | None = None  # type: ignore[valid-type]
    gpus_per_node: Count | None = None  # type: ignore[valid-type]
    max_parallel: Count = 100  # type: ignore[valid-type]
    max_requeues: Count = 50  # type: ignore[valid-type]
    setup: list[str] = field(default_factory=list)


@dataclass
class Suite:
    """What a suite file says.

    Attributes:
        datasets: names or dotted paths.
        measures: `name@version`, see `bench list metrics`.
        budget: exactly one of `epochs`, `steps` and `minutes`.
        name: of the file.
        description: one sentence.
        methods: names or dotted paths, or `all` that are built in.
        seeds: one run each.
        precision: auto (bf16 where the device has it), fp32 or bf16.
        threads: of the processor, for each cell; None: all, one cell at a time.
        settings: options by addressee: `data` (every data set), `method` (every method that has the option), or the
            name of one data set or method; under a method, `data` says how its batches are composed (balance).
        resources: what a job gets on a cluster.
        assigned: what the command line set; no key of a file.
    """

    datasets: list[str]
    measures: list[str]
    budget: Budget
    name: str = ""
    description: str = ""
    methods: list[str] | Literal["all"] = "all"
    seeds: list[Seed] = field(default_factory=lambda: [0])  # type: ignore[valid-type]
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    threads: Threads | None = None  # type: ignore[valid-type]
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)
    assigned: dict[str, Any] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for name in LISTS:
            if not (entries := getattr(self, name)):
                raise ValueError(f"`{name}` must not be empty")
            if isinstance(entries, list):
                setattr(self, name, list(dict.fromkeys(entries)))


def names() -> list[str]:
    """Suites that ship with the package; those of a subfolder as `paper/ip_irm`."""
    return sorted(path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.rglob("*.yaml"))


def read(name: str) -> Suite:
    """A suite by name, or from a YAML file.

    Raises:
        RequestError: there is none, it isn't readable, or a key or value is wrong.
    """
    return _typed(_content(name))


def choose(
    suite: str,
    method: str | None = None,
    dataset: str | None = None,
    seeds: str | None = None,
    assignments: list[str] | None = None,
    measures: str | None = None,
) -> Suite:
    """The suite with the command line's choices in place of its own. Raises RequestError for one that is wrong."""
    content = _content(suite)
    if method:
        content["methods"] = "all" if method == "all" else names_in(method)
    if dataset:
        content["datasets"] = names_in(dataset)
    if seeds:
        try:
            content["seeds"] = [int(seed) for seed in seeds.split(",")]
        except ValueError:
            raise RequestError(f"--seeds must be whole numbers, such as 0,1,2; got {seeds!r}") from None
    if measures:
        from disentangle_bench.evaluation.protocol import newest

        content["measures"] = list(newest()) if measures == "all" else names_in(measures)
    given = assigned(assignments or [])
    for head, value in given.items():
        if head in ("precision", "threads"):
            content[head] = value
        elif not isinstance(value, dict):
            raise RequestError(
                f"--set {head}={value}: expected data.OPTION, method.OPTION, NAME.OPTION (of one data set or method), "
                "budget.UNIT, resources.NAME, precision or threads"
            )
        elif head == "budget":
            content[head] = value
        else:
            _merge(content, {head: value} if head == "resources" else {"settings": {head: value}})
    request = _typed(content)
    request.assigned = given
    return request


def assigned(assignments: list[str]) -> dict[str, Any]:
    """`a.b=1` and `a.c=[2, 3]` as `{"a": {"b": 1, "c": [2, 3]}}`; values are YAML.

    Raises:
        RequestError: no `KEY=VALUE`, or a value that YAML can't read.
    """
    tree: dict[str, Any] = {}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        keys = _split(path.strip())
        if not equals or not all(keys) or len(keys) > MOST_KEYS:
            raise RequestError(f"--set {assignment:.80}: expected KEY=VALUE, such as method.temperature=0.2")
        value = plain_yaml.parse(text, f"--set {assignment:.80}")
        place: Any = tree
        for key in keys:
            place = place.get(key, ABSENT) if isinstance(place, dict) else place
        if place is not ABSENT:
            raise RequestError(f"--set {assignment:.80}: {path.strip()} is set twice")
        for key in reversed(keys):
            value = {key: value}
        _merge(tree, value)
    return tree


def names_in(text: str) -> list[str]:
    """Comma-separated names, each once."""
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _content(name: str) -> dict[str, Any]:
    """A suite's file as plain values, with its name."""
    shipped = name in names()
    path = FOLDER / f"{name}.yaml" if shipped else Path(name)
    if not shipped and path.suffix not in (".yaml", ".yml"):
        raise unknown("suite", name, names())
    where = f"suite file {path}"
    content = plain_yaml.read(path, where)
    if not isinstance(content, dict):
        raise RequestError(f"{where}: a mapping was expected, see benchmarks/suites/quick.yaml")
    return content | {"name": name if shipped else path.stem}


def _typed(content: dict[str, Any]) -> Suite:
    """The suite of plain values, every key and value checked."""
    where = f"suite {content['name']}"
    for name, cls in {"suite": Suite, "budget": Budget, "resources": Resources}.items():
        part, keys = content if cls is Suite else content.get(name, {}), options.known_options(cls)
        if not isinstance(part, dict):
            raise RequestError(f"{where}: {name} must hold {', '.join(sorted(keys))}, got {part!r}")
        if wrong := [key for key in part if key not in keys]:
            raise RequestError(f"{where}: {unknown('key', str(wrong[0]), keys)}")
    for name in LISTS:
        if isinstance(content.get(name), list) and len(content[name]) > MOST_ENTRIES:
            raise RequestError(f"{where}: `{name}` has {len(content[name]):,} entries, at most {MOST_ENTRIES:,} may be")
    try:
        return Suite(**options.instantiate(Suite, options.resolve(Suite, content, where)))
    except ValueError as error:
        raise error if isinstance(error, RequestError) else RequestError(f"{where}: {error}") from error


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
