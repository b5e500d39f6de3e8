"""A page for every measure, from its declaration and docstring."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from disentangle_bench.evaluation.measures.base import Measure, Score
from disentangle_bench.evaluation.protocol import MEASURES
from tools.docs.words import about, code, facts, table

ASPECTS = {
    "content": "Is the content there?",
    "domain": "Is gone what should not matter?",
    "factors": "Does a code stand for a factor?",
    "descriptive": "What is the space like? (Neither is better: nothing is ranked.)",
}


def measure_pages() -> Iterator[tuple[str, str]]:
    """(path in the docs, markdown) of the list of measures and of each one's page."""
    parts = [
        "# Measures",
        "A measure is a metric with its splits, targets and settings, under a name and a version: `linear@1`. What "
        "could change its figures raises its version, and figures of two versions never share a column "
        "([protocol](../concepts.md#protocol)). `--measures linear,knn` chooses some, `--measures all` takes all.",
    ]
    for aspect, question in ASPECTS.items():
        rows = [
            (f"[{title}]({measure.name}.md)", measure.targets.text, measure.splits, ", ".join(measure.scores))
            for title, measure in MEASURES.items()
            if measure.aspect == aspect
        ]
        parts += [f"## {question}", table(("measure", "targets", "splits", "figures"), rows)]
    yield "measures/index.md", "\n\n".join(parts) + "\n"
    for title, measure in MEASURES.items():
        yield f"measures/{measure.name}.md", page(title, measure)


def page(title: str, measure: Measure) -> str:
    """The page of a measure, as markdown, from its declaration and docstring."""
    function: Callable[..., Any] = measure.run.func if isinstance(measure.run, partial) else measure.run
    file = f"{function.__module__.removeprefix('disentangle_bench.').replace('.', '/')}.py"
    known = [
        ("asks", ASPECTS[measure.aspect]),
        ("taken on", measure.targets.text),
        ("in the spaces", ", ".join(map(code, measure.spaces)) if measure.spaces else "all but `assignment`"),
        ("splits", measure.splits),
        ("source", measure.source),
        ("file", code(file)),
    ]
    settings = [(code(name), code(repr(value))) for name, value in measure.parameters.items()]
    parts = [f"# {title}", about(function), facts(known)]
    parts += ["## Figures", table(FIGURES, (figure(name, score) for name, score in measure.scores.items()))]
    if settings:
        parts += ["## Settings", "They stand in every record.", table(("setting", "value"), settings)]
    parts += ["## Take it", f"```bash\nbench run --suite smoke --measures {measure.name}\n```"]
    return "\n\n".join(parts) + "\n"


FIGURES = ("figure", "better", "range", "by chance", "shown")


def figure(name: str, score: Score) -> tuple[str, ...]:
    """A row of the table of figures."""
    better = {"up": "higher", "down": "lower", None: "neither"}[score.direction]
    shown = "in percent" if score.unit == "percent" else "as it is"
    return code(name), better, f"{score.low:g} to {score.high:g}", score.chance or "none", shown
