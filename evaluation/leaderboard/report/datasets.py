"""The report's section on one data set: the answer, criteria by method, the table, and its pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from disentangle_bench.evaluation.leaderboard import dial
from disentangle_bench.evaluation.leaderboard.budgets import tradeoff
from disentangle_bench.evaluation.leaderboard.frame import COST, PERCENT, Key, of_figure, score_of
from disentangle_bench.evaluation.leaderboard.grid import Grid, TableCell, column_keys
from disentangle_bench.evaluation.leaderboard.report import charts, curves, gallery, headline
from disentangle_bench.evaluation.leaderboard.report.cards import Named
from disentangle_bench.evaluation.leaderboard.report.gallery import Picture
from disentangle_bench.evaluation.leaderboard.report.output import Output
from disentangle_bench.evaluation.leaderboard.writers import formats
from disentangle_bench.evaluation.measures.base import NO_SCORE
from disentangle_bench.evaluation.records import display_name

if TYPE_CHECKING:
    import pandas as pd

CURVES, POINTS, PANELS = 24, 60, 7
"""Most methods with learning curves and with points, and criteria with rank sets, that are drawn."""
TRADED = {"forward_passes": "forward passes (training)", "train_seconds": "training seconds"}
"""Costs that the Pareto plot shows -> titles of their axes."""


def build(
    grid: Grid,
    by_space: Grid | None,
    frame: pd.DataFrame,
    named: list[Named],
    dials: Sequence[dial.Curve],
    files: Output,
) -> dict[str, Any]:
    """The section on one data set, as the template takes it.

    Args:
        grid: the main table.
        by_space: which space tells what, if there is such a table.
        frame: the leaderboard, of all data sets.
        named: all runs.
        dials: curves over the correlation of the data, of all data sets.
        files: where pictures go.
    """
    part = frame[frame["dataset"] == grid.dataset]
    keys = column_keys(part)
    turned = [curve for curve in dials if curve.dataset == grid.dataset]
    pictures = _dial(turned, frame, files) if turned else []
    missing: list[str] = []
    if keys:
        pictures += _pairs(grid.dataset, part, keys, files)
        tables = [(name, _tradeoff(part, keys[0], cost)) for cost, name in TRADED.items()]
        if tables := [(name, table) for name, table in tables if len(table)]:
            pictures += _pareto(grid.dataset, keys[0], tables, files)
        else:
            missing.append("Pareto plot: no run recorded its training seconds or forward passes.")
        pictures += [*_ranks(grid, part, files), *_points(grid, part, keys[0], files)]
    drawn = _curves(
        grid.dataset, [entry for entry in named if display_name(entry[1], "dataset") == grid.dataset], files
    )
    if not drawn:
        missing.append(
            "Learning curves: no logs beside the records. A run that trains leaves them in its folder, under "
            "logs/attempt_<k>/metrics.csv; build the report from the folder of the runs."
        )
    return {
        "answer": headline.sentences(part),
        "winners": headline.winners(part),
        "blocks": [block for block in headline.WHO if block in grid.blocks],
        "heat": heat(grid, headline.criteria(part)),
        "dial": dial.grids(turned, frame)[0] if turned else None,
        "grid": formats.without_constant(grid),
        "by_space": by_space,
        "pictures": (found := [*pictures, *drawn]),
        "first": 1 + next((k for k, picture in enumerate(found) if picture.broad), -1),
        "missing": missing,
    }


def heat(grid: Grid, keys: Sequence[Key]) -> Grid | None:
    """Methods by criteria, each cell with its share of the way from the worst to the best that a figure can be.

    Where a figure has no bounds, from the worst to the best of the column.
    """
    columns = [k for k, column in enumerate(grid.columns) if column.kind == "figure" and column.key in keys]
    columns = [k for k in columns if any(row[k].value is not None for row in grid.rows)]
    if len(columns) < 2:
        return None
    rows = [[row[0], *(_share(grid, row[k], k) for k in columns)] for row in grid.rows]
    return Grid(grid.dataset, "", [grid.columns[k] for k in (0, *columns)], rows, list(grid.blocks))


def _share(grid: Grid, cell: TableCell, k: int) -> TableCell:
    key = grid.columns[k].key
    known = score_of(key[0], key[1]) if key else NO_SCORE
    if known is NO_SCORE or not isinstance(cell.value, int | float):
        return cell
    seen = [value for row in grid.rows if isinstance(value := row[k].value, int | float)]
    low, high = known.low, known.high
    if not (math.isfinite(low) and math.isfinite(high)):
        low, high = min(seen), max(seen)
    share = (cell.value - low) / (high - low) if high > low else 0.5
    share = min(max(1 - share if known.direction == "down" else share, 0.0), 1.0)
    return replace(cell, half=math.nan, ranks=None, n=None, notes=(), share=share)


def _scale(key: Key) -> float:
    return 100.0 if score_of(key[0], key[1]).unit == PERCENT else 1.0


def _axis(key: Key) -> str:
    """Title of an axis, in the unit of the table."""
    return f"{key[0]} {key[1]} ({key[2]})" + (", %" if _scale(key) == 100 else "")


def lines(part: pd.DataFrame, key: Key, main: bool = True) -> pd.DataFrame:
    """Lines with one figure, in the unit of the table."""
    found = of_figure(part, key)
    found = found[(found["n"] > 0) & ((found["row"] != "") == main)].copy()
    for name in ("mean", "low", "high"):
        found[name] *= _scale(key)
    found["values"] = [tuple(value * _scale(key) for value in values) for values in found["values"]]
    return found


def pair(part: pd.DataFrame, content: Key, leak: Key) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The two frames that `charts.pair` draws: methods with both figures, and their further spaces."""
    columns = ["method", "mean", "low", "high"]
    table = lines(part, content)[["block", *columns]].merge(
        lines(part, leak)[columns], on="method", suffixes=("", "_leak")
    )
    others = lines(part, content, main=False)[["method", "space", "mean"]].merge(
        lines(part, leak, main=False)[["method", "space", "mean"]], on=["method", "space"], suffixes=("", "_leak")
    )
    return table, others


def _pairs(dataset: str, part: pd.DataFrame, keys: list[Key], files: Output) -> list[Picture]:
    """A picture for each domain of content against leakage, a point a method."""
    content = keys[0]
    pictures: list[Picture] = []
    for leak in headline.leaks(keys):
        table, others = pair(part, content, leak)
        if not len(table):
            continue
        drawn = charts.pair(table, others, _axis(leak), _axis(content))
        caption = (
            f"Content against {leak[2]}: top left is what an invariant representation should reach; a constant one "
            "lies at the bottom left, since it holds nothing to leak. Bars are 95 % intervals; small crosses: the "
            "methods' further spaces."
        )
        file, title = f"{dataset} {leak[2]} leakage.svg", f"Content against leakage of {leak[2]}"
        pictures += gallery.added(files, file, drawn, title, caption, formats.csv(table))
    return pictures


def draw_dial(table: pd.DataFrame) -> bytes:
    """The first curves of `dial.figures` of one data set, a line a method."""
    heights = table[table["score"] == dial.SCORE].sort_values(["method", "space", "correlation"], kind="stable")
    drawn = []
    for name, part in heights.groupby(["method", "space"], sort=False):
        mean, low, high = (100 * part[key].to_numpy(float) for key in ("mean", "low", "high"))
        drawn.append((str(name[0]), str(part["block"].iloc[0]), part["correlation"].to_numpy(float), mean, low, high))
    return charts.over(drawn[:CURVES], "correlation of class and domain in training", "accuracy of the worst group, %")


def _dial(found: list[dial.Curve], frame: pd.DataFrame, files: Output) -> list[Picture]:
    """Worst groups over the correlation of the training images, a line a method."""
    table = dial.figures(found, frame)
    caption = (
        "Accuracy of the worst group of test images, as class and domain go together more and more in training: a "
        "method that takes the shortcut falls. Bars: 95 % intervals over seeds, where there are several."
    )
    if (count := len(table[["method", "space"]].drop_duplicates())) > CURVES:
        caption += f" The first {CURVES} of {count}; the csv has all."
    file, title = f"{found[0].dataset} dial.svg", "Worst group by correlation"
    return gallery.added(files, file, draw_dial(table), title, caption, formats.csv(table))


def rank_sets(part: pd.DataFrame) -> dict[str, dict[str, tuple[float, float]]]:
    """Heading of each criterion -> method -> first and last rank, where it has any."""
    return {
        won.title: {
            r["method"]: (r["rank_low"], r["rank_high"])
            for r in headline.rows_of(part, won.key)
            if not math.isnan(r["rank_low"])
        }
        for won in headline.winners(part)
    }


def draw_ranks(found: dict[str, dict[str, tuple[float, float]]], grid: Grid) -> bytes:
    """The first `rank_sets` of a table's methods; one alone would be the best and the worst."""
    panels = [("\n".join(title.split(" ")), ranks) for title, ranks in found.items() if len(ranks) > 1]
    rows = [(str(row[0].value), block) for row, block in zip(grid.rows, grid.blocks, strict=True)]
    return charts.rank_sets(panels[:PANELS], rows[:POINTS])


def _ranks(grid: Grid, part: pd.DataFrame, files: Output) -> list[Picture]:
    import pandas as pd

    found = rank_sets(part)
    if len(grid.rows) < 2 or all(len(ranks) < 2 for ranks in found.values()):
        return []
    ranked = [(title, method, *ranks) for title, sets in found.items() for method, ranks in sets.items()]
    table = pd.DataFrame(ranked, columns=["figure", "method", "rank_low", "rank_high"])
    caption = (
        "A bar reaches over all ranks that the runs can't exclude, at 95 % for all methods of a criterion at once. "
        "Bars that overlap may belong to equally good methods; colours tell which labels a method saw."
    )
    file, drawn = f"{grid.dataset} ranks.svg", draw_ranks(found, grid)
    return gallery.added(files, file, drawn, "Rank sets", caption, formats.csv(table), broad=True)


def _points(grid: Grid, part: pd.DataFrame, key: Key, files: Output) -> list[Picture]:
    order = {row[0].value: k for k, row in enumerate(grid.rows)}
    found = lines(part, key).sort_values("method", key=lambda names: names.map(order), kind="stable")
    if not len(found):
        return []
    columns = ["method", "space", "labels", "n", "mean", "low", "high", "rank_low", "rank_high", "seeds", "values"]
    more = f" The first {POINTS} of {len(found)}; the csv has all." if len(found) > POINTS else ""
    caption = f"{_axis(key)}: each dot is a seed, the bar is the 95 % interval of the mean over seeds and test images."
    file, drawn = f"{grid.dataset} seeds.svg", charts.seed_points(found.head(POINTS), _axis(key))
    return gallery.added(files, file, drawn, "Seeds and intervals", caption + more, formats.csv(found[columns]))


def _tradeoff(part: pd.DataFrame, key: Key, cost: str) -> pd.DataFrame:
    main = part[(part["row"] != "") | (part["measure"] == COST)]
    table = tradeoff(main, key, cost)
    table["score"] *= _scale(key)
    return table.assign(block=table["method"].map(dict(zip(main["method"], main["block"], strict=True))))


def _pareto(dataset: str, key: Key, tables: list[tuple[str, pd.DataFrame]], files: Output) -> list[Picture]:
    import pandas as pd

    together = pd.concat([table.assign(kind=name) for name, table in tables])
    caption = "Content against cost: top left is best."
    if any((table["front"] & (table["cost"] > 0)).sum() > 1 for _, table in tables):
        caption += " On the purple line stands what no other method beats in both."
    if any((table["cost"] <= 0).any() for _, table in tables):
        caption += " Dotted: not trained."
    file, drawn = f"{dataset} pareto.svg", charts.pareto(tables, _axis(key))
    return gallery.added(files, file, drawn, "What it costs", caption, formats.csv(together))


def _curves(dataset: str, named: list[Named], files: Output) -> list[Picture]:
    """Learning curves of each method's first seed with logs: losses in one panel, and logged values by method."""
    found: dict[str, pd.DataFrame] = {}
    for label, _, folder in named:
        if len(found) >= CURVES:
            break
        if label not in found and folder is not None:
            curve = curves.thin(curves.read(folder))
            if len(curve):
                found[label] = curve
    if not found:
        return []
    panels, losses = [], []
    for label, curve in found.items():
        names = [n for n in sorted(set(curve["name"])) if "loss" in n and not n.endswith("_epoch")]
        lines = []
        for name in (names or sorted(set(curve["name"])))[:4]:
            own = curve[curve["name"] == name]
            lines.append((name, own["step"].to_numpy(float), own["value"].to_numpy(float)))
        panels.append((label, lines))
        losses += [(label, at, values) for name, at, values in lines if name == "loss" and len(at) > 1]
    rows = [(label, *row) for label, curve in found.items() for row in curve.itertuples(index=False)]
    address = files.add(f"{dataset} curves.csv", gallery.as_csv(["method", "step", "name", "value"], rows))
    drawn = [
        (
            "Learning curves",
            "The loss of one seed a method, smoothed, from where it began (1) to its least (0): who has settled? "
            "Objectives differ, so heights say nothing about quality.",
            files.add(f"{dataset} losses.svg", charts.overlaid(losses, "step", "loss, scaled")) if losses else None,
        ),
        (
            "Learning curves, as logged",
            "What was logged while training, one seed a method. Compare shapes, not heights.",
            files.add(f"{dataset} curves.svg", charts.small_multiples(panels, "step", "logged value")),
        ),
    ]
    return [Picture(title, caption, href, address) for title, caption, href in drawn if href is not None]
