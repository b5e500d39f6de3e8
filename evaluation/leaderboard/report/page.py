"""The report: one folder with a page that works offline, from records and what runs left beside them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from disentangle_bench.evaluation.leaderboard import formats
from disentangle_bench.evaluation.leaderboard.budgets import tradeoff
from disentangle_bench.evaluation.leaderboard.compare import THRESHOLD, against
from disentangle_bench.evaluation.leaderboard.frame import (
    COST,
    LEAKAGE,
    PERCENT,
    Key,
    Record,
    budget_of,
    cautions,
    labels_of,
    method_labels,
    observations,
    score_of,
    settings_of,
    tuning_of,
)
from disentangle_bench.evaluation.leaderboard.ranking import RANKED_BY, overall
from disentangle_bench.evaluation.leaderboard.report import curves, gallery, plots
from disentangle_bench.evaluation.leaderboard.report.output import Output
from disentangle_bench.evaluation.leaderboard.summary import summarise
from disentangle_bench.evaluation.leaderboard.table import Grid, column_keys, grids, matrices
from disentangle_bench.evaluation.records import Problem, find_records, name_of
from disentangle_bench.files import write_file

if TYPE_CHECKING:
    import pandas as pd

BASELINES = ("simclr", "random_init", "pixels")
"""Of these the first that was run is what others are compared with, unless the caller names one."""
CARDS, RUNS, CURVES, POINTS, GALLERIES, MAPS, COMPARED = 200, 10, 24, 60, 40, 20, 400
"""Most that is shown on the page; the CSV files have all."""


def build(runs: Path, out: Path, baseline: str | None = None, title: str = "Leaderboard") -> Path:
    """Read all records under a folder and build `<out>/index.html` with its files in `<out>/report_files/`.

    Args:
        runs: folder of the runs.
        out: folder of the report; the page and `report_files` in it are replaced.
        baseline: method label to compare the others with; the first of `BASELINES` that was run if not given.
        title: of the page.

    Returns:
        The page.

    Raises:
        ValueError: the named baseline is not among the methods.
    """
    found, problems = find_records(runs)
    return build_from(found, out, problems, baseline, title)


def build_from(
    found: Mapping[Path, Record],
    out: Path,
    problems: Iterable[Problem] = (),
    baseline: str | None = None,
    title: str = "Leaderboard",
) -> Path:
    """As `build`, from records at hand, by their paths: without the folders around them, pictures are missing."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # many small problems: threads would only wait for each other
        return _build(found, out, problems, baseline, title)


def _build(
    found: Mapping[Path, Record], out: Path, problems: Iterable[Problem], baseline: str | None, title: str
) -> Path:
    labels = method_labels(found.values())
    seen = observations(found, labels)
    frame = summarise(seen)
    methods = sorted(set(seen["method"]))
    chosen = baseline or next((name for name in BASELINES if name in methods), None)
    compared = None if chosen is None else against(seen, chosen)
    files = Output(out)
    named = [(labels[_key(r)], r, path.parent if path.parent.is_dir() else None) for path, r in found.items()]
    cards = _cards(named, methods)
    ranking = overall(seen)
    told = {grid.dataset: grid for grid in matrices(frame)}
    page = formats.environment().get_template("report.html.j2")
    text = page.render(
        title=title,
        records=len(found),
        datasets=[_dataset(grid, told.get(grid.dataset), frame, named, files) for grid in grids(frame)],
        links={card["method"]: card["id"] for card in cards},
        cards=cards,
        cards_left_out=len(methods) - len(cards),
        ranked_by="{} {}".format(*RANKED_BY),
        ranking=ranking.to_dict("records"),
        ranking_left_out=ranking.attrs["left_out"],
        ranking_csv=files.add("overall ranking.csv", formats.csv(ranking)),
        baseline=chosen,
        threshold=THRESHOLD,
        compared=[] if compared is None else _compared(compared),
        compared_total=0 if compared is None else len(compared),
        compared_csv=None if compared is None else files.add("comparison with baseline.csv", formats.csv(compared)),
        galleries=_galleries(named, files),
        cautions=[*cautions(found.values()), *seen.attrs["problems"]],
        problems=[problem.reason for problem in problems],
        runs_csv=files.add("runs.csv", _runs_csv(named)),
        figures_csv=files.add("leaderboard.csv", formats.csv(frame)),
        left_out=files.left_out,
    )
    index = out / "index.html"
    write_file(index, text)
    return index


Named = tuple[str, Record, Path | None]


def _key(record: Record) -> tuple[str, str, str]:
    return name_of(record, "dataset"), record["cell"]["method"], settings_of(record)


def _dataset(grid: Grid, told: Grid | None, frame: pd.DataFrame, named: list[Named], files: Output) -> dict[str, Any]:
    """Table and pictures of one data set."""
    part = frame[frame["dataset"] == grid.dataset]
    keys = column_keys(part)
    pictures, missing = [], []
    if keys:
        axis = _axis(keys[0])
        main = part[(part["row"] != "") | (part["measure"] == COST)]
        order = {(row[0].value, row[1].value): k for k, row in enumerate(grid.rows)}
        figures = _of(main, keys[0])
        ranks = [order.get((r["method"], r["row"]), len(order)) for r in figures.to_dict("records")]
        figures = figures.assign(rank=ranks).sort_values("rank", kind="stable").drop(columns="rank")
        if len(figures):
            pictures.append(_points(grid.dataset, axis, figures, files))
        pictures += [_pair(grid.dataset, keys[0], key, main, files) for key in _leaks(keys)]
        tables = [(name, tradeoff(main, keys[0], key)) for key, name in _TRADED.items()]
        tables = [(name, table) for name, table in tables if len(table)]
        if tables:
            pictures.append(_pareto(grid.dataset, axis, tables, files))
        else:
            missing.append("Pareto plot: no run recorded its training seconds or forward passes.")
    curve = _curves(grid.dataset, [entry for entry in named if name_of(entry[1], "dataset") == grid.dataset], files)
    if curve is None:
        missing.append(
            "Learning curves: no logs beside the records. A run that trains leaves them in its folder, under "
            "logs/attempt_<k>/metrics.csv; build the report from the folder of the runs."
        )
    else:
        pictures.append(curve)
    pictures = [picture for picture in pictures if picture]
    return {"grid": grid, "told": told, "pictures": pictures, "missing": missing}


def _of(part: pd.DataFrame, key: Key) -> pd.DataFrame:
    """Lines with one figure."""
    here = (part["measure"] == key[0]) & (part["score"] == key[1]) & (part["target"] == key[2])
    return part[here & (part["n"] > 0)]


def _axis(key: Key) -> str:
    known = score_of(key[0], key[1])
    return f"{key[0]} {key[1]} ({key[2]})" + (", as a share" if known is not None and known.unit == PERCENT else "")


def _leaks(keys: list[Key]) -> list[Key]:
    """Columns of leakage."""
    from disentangle_bench.evaluation.protocol import MEASURES

    return [k for k in keys if MEASURES[k[0]].name == LEAKAGE and MEASURES[k[0]].scores[k[1]].direction]


def _pair(dataset: str, content: Key, leak: Key, main: pd.DataFrame, files: Output) -> gallery.Picture | None:
    """What should be there against what should not, a point a method."""
    columns = ["method", "mean", "low", "high"]
    table = _of(main, content)[["labels", *columns]].merge(
        _of(main, leak)[columns], on="method", suffixes=("", "_leak")
    )
    if not len(table):
        return None
    href = files.add(f"{dataset} {leak[2]} leakage.svg", plots.pair(table, _axis(leak), _axis(content)))
    address = files.add(f"{dataset} {leak[2]} leakage.csv", formats.csv(table))
    caption = (
        f"Content against {leak[2]}: top left is what an invariant representation should reach; a constant one lies at "
        "the bottom left. Bars are 95 % intervals."
    )
    return None if href is None else gallery.Picture(f"Content against leakage of {leak[2]}", caption, href, address)


_TRADED = {"forward_passes": "forward passes (training)", "train_seconds": "training seconds"}


def _points(dataset: str, axis: str, figures: pd.DataFrame, files: Output) -> gallery.Picture | None:
    columns = ["method", "space", "labels", "n", "mean", "low", "high", "rank_low", "rank_high", "seeds", "values"]
    href = files.add(f"{dataset} seeds.svg", plots.seed_points(figures.head(POINTS), axis))
    address = files.add(f"{dataset} seeds.csv", formats.csv(figures[columns]))
    more = f" The first {POINTS} of {len(figures)}; the csv has all." if len(figures) > POINTS else ""
    caption = f"{axis}: each dot is a seed, the bar is the 95 % interval of the mean over seeds and test images."
    return None if href is None else gallery.Picture("Seeds and intervals", caption + more, href, address)


def _pareto(dataset: str, axis: str, tables: list[tuple[str, pd.DataFrame]], files: Output) -> gallery.Picture | None:
    import pandas as pd

    href = files.add(f"{dataset} pareto.svg", plots.pareto(tables, axis))
    together = pd.concat([table.assign(kind=name) for name, table in tables])
    address = files.add(f"{dataset} pareto.csv", formats.csv(together))
    caption = "Accuracy against cost. Green: what no other point beats in both. Dotted: methods that don't train."
    return None if href is None else gallery.Picture("Pareto plot", caption, href, address)


def _curves(dataset: str, named: list[Named], files: Output) -> gallery.Picture | None:
    """One panel a method: what it logged, of its first seed that left logs."""
    found: dict[str, pd.DataFrame] = {}
    for label, _, folder in named:
        if len(found) >= CURVES:
            break
        if label not in found and folder is not None:
            curve = curves.thin(curves.read(folder))
            if len(curve):
                found[label] = curve
    if not found:
        return None
    panels = []
    for label, curve in found.items():
        names = [n for n in sorted(set(curve["name"])) if "loss" in n and not n.endswith("_epoch")]
        lines = []
        for name in (names or sorted(set(curve["name"])))[:4]:
            own = curve[curve["name"] == name]
            lines.append((name, own["step"].to_numpy(float), own["value"].to_numpy(float)))
        panels.append((label, lines))
    rows = [(label, *row) for label, curve in found.items() for row in curve.itertuples(index=False)]
    href = files.add(f"{dataset} curves.svg", plots.small_multiples(panels, "step", "logged value"))
    header = ["method", "step", "name", "value"]
    address = files.add(f"{dataset} curves.csv", gallery.as_csv(header, rows))
    caption = "What was logged while training, one seed a method. Objectives differ: compare shapes, not heights."
    return None if href is None else gallery.Picture("Learning curves", caption, href, address)


def _galleries(named: list[Named], files: Output) -> list[gallery.Gallery]:
    """Of each method on each data set the first seed that left pictures; else the first, to say what is missing."""
    chosen: dict[tuple[str, str], Named] = {}
    for entry in named:
        label, record, folder = entry
        place = (name_of(record, "dataset"), label)
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


def _cards(named: list[Named], methods: list[str]) -> list[dict[str, Any]]:
    """What a reader should know of each method, and its runs."""
    by_method: dict[str, list[tuple[Record, Path | None]]] = {}
    for label, record, folder in named:
        by_method.setdefault(label, []).append((record, folder))
    cards = []
    for k, label in enumerate(methods[:CARDS]):
        runs = by_method[label]
        first = runs[0][0]
        provenance = first["provenance"]
        cards.append(
            {
                "id": f"method-{k}",
                "method": label,
                "labels": labels_of(first),
                "source": str(provenance.get("source") or "not recorded"),
                "texts": {str(key): _text(value) for key, value in (provenance.get("card") or {}).items() if value},
                "options": {str(key): _text(value) for key, value in (first["config"].get("options") or {}).items()},
                "budgets": sorted({f"{budget_of(record)}, {tuning_of(record)}" for record, _ in runs}),
                "runs": [_run(record, folder) for record, folder in runs[:RUNS]],
                "more": max(0, len(runs) - RUNS),
            }
        )
    return cards


def _run(record: Record, folder: Path | None) -> dict[str, str]:
    provenance, cell = record["provenance"], record["cell"]
    git = provenance.get("git") or {}
    return {
        "dataset": name_of(record, "dataset"),
        "seed": str(cell["seed"]),
        "command": str(provenance.get("command") or ""),
        "commit": str(git.get("commit") or "unknown")[:12] + (" + changes" if git.get("dirty") else ""),
        "record": "/".join((cell["dataset"], cell["method"], cell["hash"])),
        "finished": str(provenance.get("finished") or ""),
    }


def _runs_csv(named: list[Named]) -> str:
    header = ["method", "dataset", "seed", "record", "commit", "finished", "command"]
    rows = ({"method": label} | _run(record, folder) for label, record, folder in named)
    return gallery.as_csv(header, [[row[key] for key in header] for row in rows])


def _compared(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Lines of the comparison for the page: the first column of each data set before the others."""
    from disentangle_bench.evaluation.protocol import MEASURES

    if not len(table):
        return []
    order = {title: k for k, title in enumerate(MEASURES)}
    names = ["order", "dataset", "target", "score", "method"]
    table = table.assign(order=table["measure"].map(order)).sort_values(names, kind="stable")
    lines = table.head(COMPARED).to_dict("records")
    return [
        {str(key): None if isinstance(v, float) and math.isnan(v) else v for key, v in line.items()} for line in lines
    ]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
