"""Pictures of one run: maps of its spaces, neighbours, views, the linear probe's confusion matrix, reconstructions."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from disentangle_bench.evaluation.leaderboard.ranking import RANKED_BY
from disentangle_bench.evaluation.leaderboard.report import plots
from disentangle_bench.evaluation.leaderboard.report.output import Output
from disentangle_bench.evaluation.leaderboard.writers.formats import csv_text
from disentangle_bench.evaluation.pictures import artefacts

PNG = b"\x89PNG\r\n\x1a\n"
PICTURES, PICTURE_BYTES = 8, 2**20
"""Most pictures left by a method that are shown, and the largest size of one in bytes."""
DRAWN = {
    "swaps": "Top row: images; second: their reconstructions; below: their content under other domains, one a row.",
    "traversals": "Top row: images; second: their reconstructions; below: the first image, one dimension of its code a "
    "row from -2 to 2, all others as they are.",
}
"""First word of a picture's name -> what it shows."""
SPACES, TARGETS = 6, 4
"""Most spaces of a run that are mapped, and targets that colour each map."""
CLASSES = 50
"""Largest confusion matrix."""


@dataclass(frozen=True)
class Picture:
    """One picture: title, text that says what is seen, addresses of it and its figures, whether it needs the width."""

    title: str
    caption: str
    href: str
    csv: str | None = None
    broad: bool = False


@dataclass
class Gallery:
    """One run's pictures, and what is missing."""

    dataset: str
    method: str
    seed: int
    pictures: list[Picture] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def build(run: Path, dataset: str, method: str, seed: int, out: Output, tsne: bool = True) -> Gallery:
    """A run's gallery; what the run left no artefacts for is listed under `missing`.

    Args:
        run: folder of the run.
        dataset: name of the data set.
        method: label of the method.
        seed: of the run.
        out: where pictures go.
        tsne: whether to make t-SNE maps (about a second each).
    """
    gallery = Gallery(dataset, method, seed)
    name = f"{dataset} {method}"
    found = artefacts.read(run)
    if found is None:
        gallery.missing.append(
            "Maps, neighbours and views: the run left no artefacts. They are written after the evaluation "
            "(evaluation.pictures.artefacts.write); run the cell again to get them."
        )
    else:
        index, sample = found
        _maps(gallery, name, index, sample, out, tsne)
        _stored(gallery, name, run, index, out)
    _confusion(gallery, name, run, out)
    _swaps(gallery, name, run, out)
    return gallery


def as_csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows as CSV."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerows([[csv_text(v) if isinstance(v, str) else v for v in row] for row in (header, *rows)])
    return file.getvalue()


def layouts(x: np.ndarray, tsne: bool = True) -> dict[str, np.ndarray]:
    """Principal components [N, k] in the plane [N, 2]: the first two, and t-SNE (van der Maaten & Hinton 2008)."""
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    x = x.astype(np.float32)
    plane = x[:, :2] if x.shape[1] > 1 else np.column_stack([x[:, 0], np.zeros(len(x))])
    found = {"PCA": plane}
    if tsne and len(x) > 10 and x.shape[1] > 2 and np.isfinite(x).all() and x.std() > 0:
        learner = TSNE(2, init="pca", random_state=0, perplexity=min(30.0, (len(x) - 1) / 3))
        with threadpool_limits(1):
            found["t-SNE"] = learner.fit_transform(x)
    return found


def added(
    out: Output, file: str, picture: bytes, title: str, caption: str, table: str | None = None, broad: bool = False
) -> list[Picture]:
    """A picture, with its figures under the same name, among the report's files; none where there is no room for it."""
    href = out.add(file, picture)
    if href is None:
        return []
    return [Picture(title, caption, href, table and out.add(f"{file.rpartition('.')[0]}.csv", table), broad)]


def _maps(gallery: Gallery, name: str, index: dict, sample: dict[str, np.ndarray], out: Output, tsne: bool) -> None:
    targets = [spec for spec in index["targets"] if f"target/{spec['name']}" in sample][:TARGETS]
    spaces = [key.removeprefix("space/") for key in sample if key.startswith("space/")]
    for space in sorted(spaces, key=lambda s: (s != "features", s != "content", s))[:SPACES]:
        x = sample[f"space/{space}"]
        if len(x) < 3 or not targets:
            continue
        drawn = layouts(x, tsne=tsne)
        shades = [_shade(spec, sample[f"target/{spec['name']}"], index) for spec in targets]
        header = [f"{layout} {axis}" for layout in drawn for axis in "xy"] + [shade.name for shade in shades]
        rows = np.column_stack([*drawn.values(), *[shade.values for shade in shades]])
        caption = f"{len(x)} test images in {space}, by {' and '.join(drawn)}, coloured by " + ", ".join(
            f"{spec['name']} ({spec['role']})" for spec in targets
        )
        table = as_csv(header, [[float(f"{value:.5g}") for value in row] for row in rows.astype(float)])
        picture = plots.maps(drawn, shades)
        gallery.pictures += added(out, f"{name} map {space}.png", picture, f"Map of {space}", caption, table)


def _shade(spec: dict[str, Any], values: np.ndarray, index: dict[str, Any]) -> plots.Shade:
    """The colouring by one target; names and colours of its values are used where the run's index has valid ones."""

    def listed(key: str) -> list[Any]:
        given = index.get(key)
        values_ = given.get(spec["name"]) if isinstance(given, dict) else None
        return values_ if isinstance(values_, list) else []

    hues = listed("hues")
    plain = all(isinstance(hue, list) and len(hue) == 3 and all(c in range(256) for c in hue) for hue in hues)
    enough = len(hues) > values.max()
    return plots.Shade(
        spec["name"], spec["kind"], values, list(map(str, listed("names"))), hues if plain and enough else ()
    )


def _stored(gallery: Gallery, name: str, run: Path, index: dict, out: Output) -> None:
    """Pictures that were made when the run ended."""
    folder = run / artefacts.FOLDER
    near = index["neighbours"]
    header = list(near[0]) if near else []
    for file, title, caption, table in (
        (
            artefacts.NEIGHBOURS,
            "Nearest neighbours",
            "Left, framed grey: a test image; then its nearest others in features by cosine. Blue frame: the "
            "same class; orange: another one.",
            as_csv(header, [list(row.values()) for row in near]) if near else None,
        ),
        (
            artefacts.VIEWS,
            "Augmented views",
            "Left: a test image; then the views of it that the method would train on.",
            None,
        ),
    ):
        picture = _picture(folder / file)
        if picture is None:
            gallery.missing.append(f"{title}: not among the run's artefacts.")
        else:
            gallery.pictures += added(out, f"{name} {file}", picture, title, caption, table)


def _confusion(gallery: Gallery, name: str, run: Path, out: Output) -> None:
    """The confusion matrix of the first column's probe, from the run's outcomes."""
    from disentangle_bench.evaluation.outcomes import FILE, BadOutcomes, read_outcomes

    try:
        ids = read_outcomes(run / FILE).ids
    except BadOutcomes as bad:
        gallery.missing.append(f"Confusion matrix: {bad}")
        return
    for key in sorted(ids):
        measure, space, target, kind = key
        labels, predicted = ids.get(key._replace(score="labels")), ids[key]
        if measure != RANKED_BY[0] or kind != "predicted" or labels is None or predicted.ndim != 1:
            continue
        size = int(max(labels.max(), predicted.max())) + 1
        if size > CLASSES or labels.shape != predicted.shape or min(labels.min(), predicted.min()) < 0:
            continue
        counts = np.bincount(labels.astype(int) * size + predicted.astype(int), minlength=size**2).reshape(size, size)
        title = f"Confusions of {target} in {space}"
        table = as_csv(["true", *range(size)], [[k, *row] for k, row in enumerate(counts.tolist())])
        caption = f"Test images by true and guessed {target}: {measure} of {space}."
        file = f"{name} confusion {space} {target}.png"
        gallery.pictures += added(out, file, plots.confusion(counts), title, caption, table)
        return
    gallery.missing.append(f"Confusion matrix: no outcomes of {RANKED_BY[0]}, or more than {CLASSES} classes.")


def _swaps(gallery: Gallery, name: str, run: Path, out: Output) -> None:
    """Pictures that the method left itself."""
    files = sorted(path for path in (run / "images").glob("*.png") if path.is_file())
    for path in files[:PICTURES]:
        picture = _picture(path)
        if picture is not None:
            caption = DRAWN.get(path.stem.partition(" ")[0], "Saved by the method.")
            gallery.pictures += added(out, f"{name} {path.name}", picture, path.stem, caption)
    if not files:
        gallery.missing.append("Reconstructions: the method saved no pictures under images/ of its run.")
    if len(files) > PICTURES:
        gallery.missing.append(f"{len(files) - PICTURES} further pictures that the method saved.")


def _picture(path: Path) -> bytes | None:
    """A PNG of a bearable size, or None."""
    try:
        if path.stat().st_size > PICTURE_BYTES:
            return None
        data = path.read_bytes()
    except OSError:
        return None
    return data if data.startswith(PNG) else None
