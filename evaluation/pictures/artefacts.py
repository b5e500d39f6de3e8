"""Files that a run leaves for the report besides figures: a sample of each space, neighbours, views.

Everything is small (below 300 KB a run), drawn by a seed, and read back without pickle. None of it is a protocol's
figure: those stand in the record.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from disentangle_bench.evaluation.pictures import sheets
from disentangle_bench.files import read_bytes, write_file
from disentangle_bench.json_files import read_json, write_json

if TYPE_CHECKING:
    from torch import Tensor, nn

    from disentangle_bench.datamodules.targets import TargetSpec
    from disentangle_bench.evaluation.features import FeatureBank

FOLDER, INDEX, SAMPLE = "artefacts", "artefacts.json", "sample.npz"
NEIGHBOURS, VIEWS = "neighbours.png", "views.png"
SCHEMA = 2
LIMIT = 1000
"""Most test images that artefacts are made from."""
POINTS, DIMENSIONS, SPACES = 300, 24, 8
"""Most images, principal components and spaces of the stored sample."""
QUERIES, NEAREST = 6, 7
"""Images whose nearest others are shown, and how many of these."""
SATURATED = 0.5
"""Saturation of a target's mean images from which on the target is one of colour."""


def write(
    folder: Path,
    bank: FeatureBank,
    targets: Sequence[TargetSpec],
    batches: Iterable[dict[str, Tensor]],
    *,
    module: nn.Module | None = None,
    views: Callable[[dict[str, Tensor]], Sequence[Tensor]] | None = None,
    names: Mapping[str, Sequence[str]] | None = None,
) -> Path:
    """Write a run's artefacts to `<folder>/artefacts/`; the index is written last.

    Args:
        folder: of the run.
        bank: with the split `test`.
        targets: of the data set.
        batches: of the test split in the bank's order: `image` uint8 [B, C, H, W], and `target/<name>`.
        module: the method, whose `mean` and `std` undo the normalising of its views.
        views: a batch to normalised views [B, C, H, W] as the method trains on; for the sheet of augmented views, which
            is left out without it.
        names: of the values of targets, by target, where they have any.

    Returns:
        The folder of the artefacts.
    """
    from threadpoolctl import threadpool_limits

    out = folder / FOLDER
    out.mkdir(exist_ok=True)
    count = len(next(iter(bank.features.values()))["test"])
    chosen = np.sort(np.random.default_rng(0).permutation(count)[:LIMIT])
    images, first = _gather(batches, chosen)
    labels = {spec.name: np.asarray(bank.targets["test"][spec.name])[chosen] for spec in targets}
    shown = sorted(bank.features, key=lambda name: (name != "features", name))[:SPACES]
    spaces = {
        name: np.nan_to_num(bank.features[name]["test"][chosen].astype(np.float32), posinf=0, neginf=0)
        for name in shown
    }
    with threadpool_limits(1):  # small problems: threads would only wait for each other
        sample = {f"space/{name}": components(x)[:POINTS].astype(np.float16) for name, x in spaces.items()}
    content = next((spec for spec in targets if spec.role == "content" and spec.discrete), None)
    sample |= {f"target/{name}": values[:POINTS] for name, values in labels.items()}
    packed = io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **sample)  # type: ignore[arg-type]
    write_file(out / SAMPLE, packed.getvalue())
    index: dict[str, Any] = {
        "schema": SCHEMA,
        "images": len(chosen),
        "targets": [spec.as_dict() for spec in targets],
        "spaces": {name: int(x["test"].shape[1]) for name, x in bank.features.items()},
        "neighbours": [],
        "names": {name: list(values) for name, values in (names or {}).items()},
        "hues": {
            spec.name: found
            for spec in targets
            if spec.discrete and (found := hues(images, labels[spec.name], spec.size)) is not None
        },
    }
    if content is not None:
        picture, index["neighbours"] = _neighbours(spaces["features"], images, labels[content.name], chosen)
        write_file(out / NEIGHBOURS, picture)
    if views is not None:
        write_file(out / VIEWS, views_sheet(first, views, module))
    write_json(out / INDEX, index)
    return out


def read(folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
    """Index and sample (`space/<name>` [n, k], `target/<name>` [n]) of a run, or None where there are none to read."""
    try:
        index = read_json(folder / FOLDER / INDEX)
        with np.load(io.BytesIO(read_bytes(folder / FOLDER / SAMPLE)), allow_pickle=False) as stored:
            sample = {name: stored[name] for name in stored.files}
        return (index, sample) if index["schema"] == SCHEMA and _is_whole(index, sample) else None
    except Exception:  # whatever a damaged or hostile file makes the readers raise
        return None


def _is_whole(index: dict[str, Any], sample: dict[str, np.ndarray]) -> bool:
    """Whether the parts that the report needs are of the right types and shapes; names and hues it can do without."""
    texts = [spec[key] for spec in index["targets"] for key in ("name", "kind", "role")]
    shapes = {name: values.shape for name, values in sample.items()}
    return (
        all(isinstance(text, str) for text in texts)
        and isinstance(index["neighbours"], list)
        and all(isinstance(line, dict) for line in index["neighbours"])
        and all(values.dtype.kind in "fiub" for values in sample.values())
        and all(len(shape) == (2 if name.startswith("space/") else 1) and all(shape) for name, shape in shapes.items())
        and len({shape[0] for shape in shapes.values()}) == 1
    )


def hues(images: np.ndarray, labels: np.ndarray, size: int) -> list[list[int]] | None:
    """The colour of each value of a target that is painted: of its images' mean, at full brightness.

    Args:
        images: uint8 [N, C, H, W].
        labels: int [N].
        size: number of values.

    Returns:
        [size, 3], 0 to 255 (grey where a value has no image); None if most values' images are grey on average.
    """
    if images.shape[1] != 3:
        return None
    by_image = images.mean(axis=(2, 3))
    mean = np.full((size, 3), 127.5)
    for value in np.unique(labels):
        mean[int(value)] = by_image[labels == value].mean(axis=0)
    brightest = np.maximum(mean.max(axis=1, keepdims=True), 1)
    saturation = 1 - mean.min(axis=1) / brightest[:, 0]
    return np.rint(230 * mean / brightest).astype(int).tolist() if np.median(saturation) > SATURATED else None


def components(x: np.ndarray) -> np.ndarray:
    """Principal components [N, min(DIMENSIONS, d)] of rows [N, d], scaled so that the first has variance 1.

    A component's sign is that of its largest loading.
    """
    x = x.astype(np.float64)
    u, s, vt = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    sign = np.sign(vt[np.arange(len(vt)), np.abs(vt).argmax(axis=1)])
    scores = (u * s * np.where(sign == 0, 1, sign))[:, :DIMENSIONS]
    return scores / max(float(scores[:, 0].std()), 1e-12)


def _gather(batches: Iterable[dict[str, Tensor]], chosen: np.ndarray) -> tuple[np.ndarray, dict[str, Tensor]]:
    """The chosen images of a split, uint8 [N, C, H, W], and the beginning of the first batch; stops after the last."""
    parts, first, start = [], None, 0
    for batch in batches:
        first = {key: value[:6] for key, value in batch.items()} if first is None else first
        size = len(batch["image"])
        here = chosen[(chosen >= start) & (chosen < start + size)] - start
        parts.append(batch["image"][here].cpu().numpy())
        start += size
        if start > chosen[-1]:
            break
    if first is None or start <= chosen[-1]:
        raise ValueError(f"the bank has a test image {chosen[-1]}, but the batches end after {start}")
    return np.concatenate(parts), first


def _neighbours(
    x: np.ndarray, images: np.ndarray, labels: np.ndarray, chosen: np.ndarray
) -> tuple[bytes, list[dict[str, Any]]]:
    """A strip a query: the image, then its nearest others in the sample by cosine, framed by whether classes agree."""
    from disentangle_bench.evaluation.metrics.arrays import unit_rows

    unit = unit_rows(x, "features")
    rows, borders, lines = [], [], []
    for query in range(min(QUERIES, len(x))):
        similarity = unit @ unit[query]
        similarity[query] = -np.inf
        near = np.argsort(-similarity, kind="stable")[: min(NEAREST, len(x) - 1)]
        rows.append([images[query], *images[near]])
        borders.append([sheets.PAPER] + [sheets.SAME if labels[i] == labels[query] else sheets.OTHER for i in near])
        lines += [
            {
                "query": int(chosen[query]),
                "rank": rank,
                "neighbour": int(chosen[i]),
                "cosine": round(float(similarity[i]), 4),
                "query_class": int(labels[query]),
                "neighbour_class": int(labels[i]),
            }
            for rank, i in enumerate(near, 1)
        ]
    return sheets.sheet(rows, borders), lines


def views_sheet(batch: dict[str, Tensor], views: Callable, module: nn.Module | None) -> bytes:
    """A row an image: as it is, then the views that the method would train on."""
    import torch

    from disentangle_bench.evaluation.features import device_of

    device = device_of(module) if module else torch.device("cpu")
    with torch.no_grad():
        made = [view for view in views({k: v.to(device) for k, v in batch.items()}) if view.ndim == 4][:6]
    mean, std = (getattr(module, name, None) for name in ("mean", "std"))
    columns = [batch["image"].cpu().numpy()]
    for view in made:
        scaled = view if mean is None or std is None else view * std + mean
        columns.append((scaled.float().clamp(0, 1) * 255).round().byte().cpu().numpy())
    return sheets.sheet(list(zip(*columns, strict=True)))
