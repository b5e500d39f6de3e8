"""Records and outcomes to one tidy frame: a line a figure of a run, under a method label that no two settings share."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from disentangle_bench.evaluation.leaderboard.naming import Group, experiments_of, group_of, method_labels, short
from disentangle_bench.evaluation.published import Published
from disentangle_bench.evaluation.records import UNKNOWN, USER, Record, Row, digest_of_file
from disentangle_bench.json_files import from_dict

if TYPE_CHECKING:
    import pandas as pd

    from disentangle_bench.evaluation.measures.base import Score
    from disentangle_bench.evaluation.outcomes import Outcomes


Key = tuple[str, str, str]
"""(measure, score, target)."""

PLACE_OPTIONS = frozenset({"--out", "--jobs", "--launcher", "--logger"})
"""Options of `bench run` that say where runs lie and how many go at once; no figure depends on them."""
INVARIANCE = "domain"
"""Aspect of measures of what should not be there, where a method's invariant space speaks."""
LEAKAGE = "leakage"
"""Name of the measure that is shown beside the first one: either means little alone."""
PERCENT = "percent"
"""Unit of scores that are a share."""
COST = "cost"
"""Name in the column `measure` of figures that a run cost rather than reached; their space is empty."""
RUN = (
    *("dataset", "method", "settings", "labels", "budget", "tuning", "primary_space", "invariant_space"),
    *("seed", "run", "encoder", "ceiling"),
)
COLUMNS = (*RUN, "space", "measure", "score", "target", "value", "outcome", "published", "width", "reason")
"""Columns of an `observations` frame; those of `RUN` are the same for all figures of a run."""
GIVEN = "given"
"""Entry in the column `tuning` for an encoder, or features, that existed already."""
TRAINING = frozenset({"train_seconds", "images_seen", "forward_passes", "images_per_second"})
"""Costs that nobody has measured of what existed already."""
CEILING = "supervised"
"""The method that learns just what content measures ask for."""
SAID = " (says its user)"
"""After the labels that an encoder from elsewhere saw, where that is somebody's word."""
BY_HAND = "options set by hand"
"""Begins the entry in the column `tuning` where the command line set options."""
CHANCE = "chance"
"""Score that is what guessing gets, for the row of that name rather than a column."""
AGREES = 1e-5
"""Largest difference (relative above 1) between a figure and its outcomes, which are stored in single precision."""


def budget_of(record: Record) -> str:
    """`30 epochs`: what the run was allowed, in the unit that it was allowed in."""
    budget = record["config"].get("budget") or {}
    if not budget and is_pretrained(record):
        return "trained elsewhere"
    return _spelled(budget) or "not recorded"


def _spelled(budget: Mapping[str, float]) -> str:
    words = [f"{short(n)} {unit.removesuffix('s') if n == 1 else unit}" for unit, n in sorted(budget.items())]
    return ", ".join(words)


def is_pretrained(record: Record) -> bool:
    """Whether the record is of an encoder, or features, that existed already."""
    return "weights" in (record["config"].get("options") or {})


def score_of(measure: str, score: str) -> Score:
    """The `Score` of a figure; `NO_SCORE` for a cost, and for a measure unknown to this version of the protocol."""
    from disentangle_bench.evaluation.measures.base import NO_SCORE
    from disentangle_bench.evaluation.protocol import MEASURES

    return MEASURES[measure].scores.get(score, NO_SCORE) if measure in MEASURES else NO_SCORE


def of_figure(table: pd.DataFrame, key: Key) -> pd.DataFrame:
    """A table's lines of one figure."""
    measure, score, target = key
    return table[(table["measure"] == measure) & (table["score"] == score) & (table["target"] == target)]


def exceeded_width(measure: str, score: str, width: int) -> int | None:
    """The most codes up to which a score follows what it should, where a space of `width` codes has more; else None."""
    most = score_of(measure, score).most_codes
    return most if most is not None and width > most else None


def block_of(labels: str) -> str:
    """The block that a method competes in: `content` if it saw such labels, else `domain` if any, `none`, `unknown`."""
    roles = set(labels.removesuffix(SAID).split(", "))
    if UNKNOWN in roles:
        return UNKNOWN
    return "content" if "content" in roles else "none" if roles == {"none"} else "domain"


def tuning_of(record: Record) -> str:
    """Where a run's hyper-parameters come from.

    `tuned, 12 draws`, with ` of 400 steps` where the run has another budget; `untuned defaults`; or `options set by
    hand: method.lr=0.1`, with `tuned, 12 draws; ` before it where the others were tuned.
    """
    if is_pretrained(record):
        return GIVEN
    draws, given = record["config"].get("tuned"), record["config"].get("by_hand") or {}
    at = _spelled(record["config"].get("tuned_at") or {})
    texts = [f"tuned, {draws} draws{f' of {at}' if at else ''}"] if draws else []
    if given:
        texts.append(f"{BY_HAND}: " + ", ".join(f"method.{name}={short(given[name])}" for name in sorted(given)))
    return "; ".join(texts) or "untuned defaults"


def _tunings(records: Iterable[Record]) -> dict[Group, str]:
    """`tuning_of` for each (data set, method, settings); where its seeds differ, their texts joined by `or`."""
    found: dict[Group, set[str]] = {}
    for record in records:
        found.setdefault(group_of(record), set()).add(tuning_of(record))
    return {group: " or ".join(sorted(texts)) for group, texts in found.items()}


def labels_of(record: Record) -> str:
    """Roles of the targets that the method saw while it trained, `none` or `unknown`; `content (says its user)`."""
    said_by = record["provenance"].get("labels_from")
    if said_by is None and is_pretrained(record) and not record["labels"]:
        return UNKNOWN  # by a version that didn't ask
    return (", ".join(sorted(map(str, record["labels"]))) or "none") + (SAID if said_by == USER else "")


def _published(record: Record) -> dict[tuple[str, str], list[Published]]:
    """Figures that others have published of what a run is of, by measure and score."""
    found: dict[tuple[str, str], list[Published]] = {}
    for experiment in experiments_of(record):
        for one in experiment.get("published", ()):
            figure = from_dict(Published, one, "published")
            found.setdefault((figure.measure, figure.score), []).append(figure)
    return found


def observations(found: Mapping[Path, Record], labels: Mapping[Group, str] | None = None) -> pd.DataFrame:
    """One line a figure of a run: the columns are `COLUMNS`, methods are named by `method_labels` unless `labels` says.

    `value` is NaN where a measurement was undefined; `reason` then says why, and `score` is empty because nobody knows
    which figures there would have been. `outcome` is the figure's `Outcome` by test image, from the file beside the
    record, or None; `published` are figures of others to compare with; `width` is the number
    of codes of the space, 0 where the record doesn't tell; `encoder` the digest of what was judged. Costs stand under
    measure `cost`, with an empty space. The order of the records makes no difference.

    Args:
        found: path -> record, as `find_records` gives them. Paths need not exist: then there are no outcomes.
        labels: (data set, method, settings) -> label.

    Returns:
        The frame; `attrs["problems"]`: lines about outcomes that were not used.
    """
    import pandas as pd

    from disentangle_bench.evaluation.measures.clusters import terms_of
    from disentangle_bench.evaluation.outcomes import Key as Stored

    def place(path: Path) -> tuple:
        return (*(str(found[path]["cell"][k]) for k in ("dataset", "method", "seed", "hash")), path)  # type: ignore[literal-required]

    labels = method_labels(found.values()) if labels is None else labels
    ways = _tunings(found.values())
    lines: list[tuple] = []
    problems: list[str] = []
    for path in sorted(found, key=place):
        record = found[path]
        cell, group = record["cell"], group_of(record)
        dataset, _, settings = group
        allowed = (labels_of(record), budget_of(record), ways[group])
        spaces = (record["primary_space"], record["invariant_space"])
        encoder = str(record["provenance"].get("encoder", ""))
        which = (cell["seed"], cell["hash"], encoder, cell["method"] == CEILING)
        run = (dataset, labels[group], settings, *allowed, *spaces, *which)
        stored, published = _outcomes(path, record, problems), _published(record)
        for row in record["metrics"]:
            key, width = (row["measure"], row["space"], row["target"]), row.get("width", 0)
            if row["scores"] is None:
                reason = row.get("reason") or "no reason recorded"
                figure = (row["space"], row["measure"], "", row["target"], float("nan"))
                lines.append((*run, *figure, None, (), width, reason))
            by_clusters = terms_of(key, row["scores"] or {}, stored)
            for score, value in _with_chance(row, stored).items():
                outcome = stored.outcomes.get(Stored(*key, score), by_clusters.get(score))
                if outcome is not None and not abs(outcome.figure - value) <= AGREES * max(1.0, abs(value)):
                    problems.append(
                        f"{path}: outcomes of {' '.join(key)} {score} give {outcome.figure:g}, not {value:g}"
                    )
                    outcome = None
                others = tuple(
                    one for one in published.get((row["measure"], score), ()) if one.target in (None, row["target"])
                )
                figure = (row["space"], row["measure"], score, row["target"], float(value))
                lines.append((*run, *figure, outcome, others, width, ""))
        lines += [
            (*run, "", COST, key, "", float(value), None, (), 0, "")
            for key, value in record["cost"].items()
            if isinstance(value, int | float) and not (key in TRAINING and is_pretrained(record))
        ]
    frame = pd.DataFrame.from_records(lines, columns=list(COLUMNS))
    frame.attrs["problems"] = problems
    return frame


def _with_chance(row: Row, stored: Outcomes) -> dict[str, float]:
    """A row's figures; beside the accuracy of a classifier what the best constant guess gets of the same images."""
    import numpy as np

    from disentangle_bench.evaluation.measures.base import MOST_FREQUENT
    from disentangle_bench.evaluation.outcomes import Key as Stored

    scores = dict(row["scores"] or {})
    truth = stored.ids.get(Stored(row["measure"], row["space"], row["target"], "labels"))
    if truth is not None and any(score_of(row["measure"], score).chance == MOST_FREQUENT for score in scores):
        scores.setdefault(CHANCE, float(np.unique(truth, return_counts=True)[1].max() / truth.size))
    return scores


def _outcomes(path: Path, record: Record, problems: list[str]) -> Outcomes:
    """A run's outcomes by image; empty, with a line in `problems`, if they aren't those of its record."""
    from disentangle_bench.evaluation.outcomes import FILE, BadOutcomes, Outcomes, read_outcomes

    if record.get("outcomes") is None:
        return Outcomes()
    beside = path.with_name(FILE)
    try:
        if digest_of_file(beside) == record["outcomes"]:
            return read_outcomes(beside)
        reason = f"{beside}: missing, or not the outcomes that the record was made with"
    except (OSError, BadOutcomes) as error:
        reason = str(error)
    problems.append(f"{reason}; its figures have no image part")
    return Outcomes()


def provenance(records: Iterable[Record]) -> str:
    """Markdown lines: the commands, commits, hardware and versions behind the records, each once."""
    facts: dict[str, set[str]] = {name: set() for name in ("Command", "Commit", "Hardware", "Versions", "Dates")}
    for record in records:
        p, devices = record["provenance"], record["cost"].get("devices") or 1
        git, machine = p.get("git") or {}, p.get("hardware") or {}
        facts["Command"].add(f"`{_what_it_asked(p.get('command', ''))}`")
        facts["Commit"].add(f"{git.get('commit')}{' with changes' if git.get('dirty') else ''}")
        facts["Hardware"].add(
            f"{machine.get('cpu')}, {machine.get('cores')} cores, {machine.get('memory_gb')} GB, "
            f"{machine.get('gpu') or 'no GPU'}{f', {devices} devices a run' if devices > 1 else ''}"
        )
        facts["Versions"].add(
            ", ".join(f"{name} {number}" for name, number in sorted((p.get("versions") or {}).items()))
        )
        facts["Dates"].add(str(p.get("finished", ""))[:10])
    return "".join(f"- {name}: {'; '.join(sorted(values))}\n" for name, values in facts.items() if values)


def _what_it_asked(command: str) -> str:
    """A command without `PLACE_OPTIONS`; as it is if no shell could read it."""
    try:
        words = iter(shlex.split(command))
    except ValueError:
        return command
    kept = []
    for word in words:
        name, _, value = word.partition("=")
        if name not in PLACE_OPTIONS:
            kept.append(word)
        elif not value:
            next(words, None)
    return shlex.join(kept)
