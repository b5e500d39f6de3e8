"""The report: one folder with a page that works offline, from records and what runs left beside them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_limits

from disentangle_bench.evaluation.leaderboard import dial
from disentangle_bench.evaluation.leaderboard.claims import NOT_RUN, Claim, judge
from disentangle_bench.evaluation.leaderboard.claims.verdicts import LEGEND
from disentangle_bench.evaluation.leaderboard.claims.verdicts import table as table_of
from disentangle_bench.evaluation.leaderboard.compare import THRESHOLD, against
from disentangle_bench.evaluation.leaderboard.foot import cautions
from disentangle_bench.evaluation.leaderboard.frame import PERCENT, Record, observations, score_of
from disentangle_bench.evaluation.leaderboard.naming import group_of, method_labels, older_code
from disentangle_bench.evaluation.leaderboard.ranking import RANKED_BY, overall
from disentangle_bench.evaluation.leaderboard.report import cards, datasets, gallery, headline
from disentangle_bench.evaluation.leaderboard.report.cards import Named
from disentangle_bench.evaluation.leaderboard.report.output import Output
from disentangle_bench.evaluation.leaderboard.summary import summarise
from disentangle_bench.evaluation.leaderboard.table import grids, space_grids
from disentangle_bench.evaluation.leaderboard.writers import formats
from disentangle_bench.evaluation.records import Problem, display_name, find_records
from disentangle_bench.files import replacing

if TYPE_CHECKING:
    import pandas as pd

BASELINES = ("simclr", "random_init", "pixels")
"""Default baselines: the other methods are compared with the first of these that was run."""
GALLERIES, MAPS, COMPARED = 40, 20, 400
"""Most that is shown on the page; the CSV files have all."""


def build(
    runs: Path,
    out: Path,
    baseline: str | None = None,
    title: str = "Leaderboard",
    claims: Sequence[Claim] = (),
) -> Path:
    """Read all records under a folder and build `<out>/index.html` with its files in `<out>/report_files/`.

    Args:
        runs: folder of the runs.
        out: folder of the report; the page and `report_files` in it are replaced.
        baseline: method label to compare the others with; the first of `BASELINES` that was run if not given.
        title: of the page.
        claims: of papers, to be tried on these runs.

    Returns:
        The page.

    Raises:
        NothingToCompare: the named baseline is not among the methods.
    """
    found, problems = find_records(runs)
    return build_from(found, out, problems, baseline, title, claims)


@threadpool_limits.wrap(limits=1)  # many small problems: threads would only wait for each other
def build_from(
    found: Mapping[Path, Record],
    out: Path,
    problems: Iterable[Problem] = (),
    baseline: str | None = None,
    title: str = "Leaderboard",
    claims: Sequence[Claim] = (),
) -> Path:
    """The same as `build`, from records that are already read; pictures are missing where a path has no folder."""
    labels = method_labels(found.values())
    seen = observations(found, labels)
    frame = summarise(seen)
    curves = dial.curves(found)
    methods = sorted(set(seen["method"]))
    chosen = baseline or next((name for name in BASELINES if name in methods), None)
    compared = None if chosen is None else against(seen, chosen)
    with Output(out) as files:
        named = [(labels[group_of(r)], r, path.parent if path.parent.is_dir() else None) for path, r in found.items()]
        made = cards.build(named, methods)
        judged = [one for one in judge(claims, found) if one.verdict != NOT_RUN]
        ranking = overall(seen)
        by_space = {grid.dataset: grid for grid in space_grids(frame)}
        page = formats.environment().get_template("report.html.j2")
        text = page.render(
            title=title,
            records=len(found),
            datasets=[
                datasets.build(grid, by_space.get(grid.dataset), frame, named, curves, files) for grid in grids(frame)
            ],
            links={card["method"]: card["id"] for card in made},
            cards=made,
            cards_left_out=len(methods) - len(made),
            claims=table_of(judged).to_dict("records") if judged else [],
            claims_legend=LEGEND,
            claims_not_run=len(claims) - len(judged),
            who=headline.WHO,
            ranked_by="{} {}".format(*RANKED_BY),
            ranking=ranking.to_dict("records"),
            ranking_left_out=ranking.attrs["left_out"],
            ranking_csv=files.add("overall ranking.csv", formats.csv(ranking)),
            baseline=chosen,
            threshold=f"{THRESHOLD:g} (in percent: {100 * THRESHOLD:g} point)",
            compared=[] if compared is None else _compared(compared),
            compared_total=0 if compared is None else len(compared),
            compared_csv=None if compared is None else files.add("comparison with baseline.csv", formats.csv(compared)),
            galleries=_galleries(named, files),
            cautions=[*cautions(found.values()), *older_code(list(found.values())), *seen.attrs["problems"]],
            problems=[problem.reason for problem in problems],
            runs_csv=files.add("runs.csv", cards.runs_csv(named)),
            figures_csv=files.add("leaderboard.csv", formats.csv(frame)),
            left_out=files.left_out,
        )
        index = out / "index.html"
        with replacing(index) as beside:
            beside.write_text(text, encoding="utf-8")
            files.exchange()
    return index


def _galleries(named: list[Named], files: Output) -> list[gallery.Gallery]:
    """A gallery for each method and data set: of the first seed with pictures, else of the first seed."""
    chosen: dict[tuple[str, str], Named] = {}
    for entry in named:
        label, record, folder = entry
        place = (display_name(record, "dataset"), label)
        if folder is not None and (place not in chosen or (not _has(chosen[place]) and _has(entry))):
            chosen[place] = entry
    ordered = sorted(chosen.items(), key=lambda item: (not _has(item[1]), item[0]))[:GALLERIES]
    return [
        gallery.build(folder, dataset, label, record["cell"]["seed"], files, tsne=k < MAPS)
        for k, ((dataset, label), (_, record, folder)) in enumerate(ordered)
        if folder is not None
    ]


def _has(entry: Named) -> bool:
    folder = entry[2]
    return folder is not None and any((folder / name).is_dir() for name in ("artefacts", "images"))


def _compared(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Lines of the comparison for the page: the first column of each data set before the others."""
    from disentangle_bench.evaluation.protocol import MEASURES

    if not len(table):
        return []
    order = {title: k for k, title in enumerate(MEASURES)}
    names = ["order", "dataset", "target", "score", "method"]
    table = table.assign(order=table["measure"].map(order)).sort_values(names, kind="stable")
    return [_compared_line(line) for line in table.head(COMPARED).to_dict("records")]


def _compared_line(line: dict[Any, Any]) -> dict[str, Any]:
    """A line of the comparison with texts for its gain and interval, in the unit of the table."""
    percent = score_of(line["measure"], line["score"]).unit == PERCENT
    scale, form = (100, "+.1f") if percent else (1, "+.3f")
    gain, low, high = (None if v is None or math.isnan(v) else v for v in (line[k] for k in ("gain", "low", "high")))
    return line | {
        "gain": gain,
        "text": "\N{EN DASH}" if gain is None else f"{scale * gain:{form}}{' points' if percent else ''}",
        "interval": "\N{EN DASH}" if low is None or high is None else f"{scale * low:{form}} to {scale * high:{form}}",
    }
