"""Parts of a suite: budget, experiments, resources of a cluster's jobs, how options are chosen."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from jsonargparse.typing import restricted_number_type

from disentangle_bench.evaluation.published import Published

Steps = restricted_number_type("Steps", int, [(">", 0), ("<=", 1_000_000_000)])
Minutes = restricted_number_type("Minutes", float, [(">=", 0.001), ("<=", 1_000_000)])
Count = restricted_number_type("Count", int, [(">", 0), ("<=", 1_000_000)])
Seed = restricted_number_type("Seed", int, [(">=", 0), ("<", 2**32)])
Gigabytes = restricted_number_type("Gigabytes", float, [(">", 0), ("<=", 1_000_000)])
Gpus = restricted_number_type("Gpus", int, [(">=", 0), ("<=", 4096)])
"""Whatever is beyond these bounds, and NaN, is a mistake and no wish."""


@dataclass
class Budget:
    """How long a cell trains: exactly one of them.

    Attributes:
        epochs: passes over the training images. Example: `30`
        steps: of the optimiser, so many batches. Example: `400`
        minutes: of training; not the same figures on every machine. Example: `5`
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
class ExperimentSettings:
    """What an experiment has otherwise than the suite's settings.

    Attributes:
        method: options of the method. Example: `{temperature: 0.5}`
        data: options of the data set. Example: `{train_images: 300}`
        budget: instead of the suite's. Example: `{epochs: 1000}`
    """

    method: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    budget: Budget | None = None


@dataclass
class Experiment:
    """A row of the table.

    Attributes:
        label: name of the row. Example: `simclr at the same temperature`
        method: name or dotted path. Example: `simclr`
        dataset: name or dotted path. Example: `digits`
        settings: over those of the suite.
        published: figures to compare with.
    """

    label: str
    method: str
    dataset: str
    settings: ExperimentSettings = field(default_factory=ExperimentSettings)
    published: list[Published] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.label.strip() or not self.label.isprintable() or "," in self.label:
            raise ValueError(f"experiments: a label is printable text without commas, got {self.label!r}")

    def entry(self, suite: str) -> dict[str, Any]:
        """The experiment in a record: plain values for JSON."""
        return {"suite": suite, "label": self.label, "published": [asdict(one) for one in self.published]}


@dataclass
class Resources:
    """What a job of a cluster gets; nothing here changes a result.

    Attributes:
        partition: of the cluster; its own default if not given. Example: `gpu`
        account: that the jobs are charged to. Example: `my_lab`
        qos: quality of service, by the site's name for it. Example: `long`
        constraint: features of a machine, by the site's names. Example: `a100`
        timeout_min: minutes after which the job is queued again, and goes on from its checkpoint. Example: `60`
        mem_gb: memory of a job on each machine; the site's own default if not given. Example: `32`
        cpus_per_task: cores for each process; by default what `threads` says, or 4, or one and one for each process
            that makes batches (`num_workers`), whichever is more. Example: `8`
        gpus_per_node: GPUs on each machine, as many as `--devices`, which is also the default; 0: none, a job computes
            on processors. Example: `1`
        max_parallel: jobs that run at once. Example: `16`
        max_requeues: time-outs after which a cell is given up. Example: `10`
        setup: lines of shell before a job's command. Example: `[module load cuda]`
        sbatch: further options of sbatch as they are called there; one that stands here too comes before the others.
            Example: `{exclude: node7, mail-type: END}`
    """

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    timeout_min: Count = 240  # type: ignore[valid-type]
    mem_gb: Gigabytes | None = None  # type: ignore[valid-type]
    cpus_per_task: Count | None = None  # type: ignore[valid-type]
    gpus_per_node: Gpus | None = None  # type: ignore[valid-type]
    max_parallel: Count = 100  # type: ignore[valid-type]
    max_requeues: Count = 50  # type: ignore[valid-type]
    setup: list[str] = field(default_factory=list)
    sbatch: dict[str, str | int | bool] = field(default_factory=dict)


@dataclass
class Tuning:
    """How `bench tune` chooses every method's options, on validation images alone.

    Attributes:
        measure: title of what it chooses by; one that doesn't touch test images. Example: `validation@1`
        score: of the measure, higher being better. Example: `top1`
        seed: of its runs, none of the suite's. Example: `1000`
        draws: settings that are tried of every method; the first are the suite's own. Example: `12`
    """

    measure: str = "validation@1"
    score: str = "top1"
    seed: Seed = 1000  # type: ignore[valid-type]
    draws: Count = 12  # type: ignore[valid-type]
