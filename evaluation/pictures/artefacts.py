"""What a run leaves for the report besides figures: a sample of each space, neighbours, a confusion matrix, views.

Everything is small (below 300 KB a run), drawn by a seed, and read back without pickle. None of it is a protocol's
figure: those stand in the record.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from disentangle_bench.evaluation.pictures import sheets
from disentangle_bench.evaluation.records import write_json

if TYPE_CHECKING:
    from torch import Tensor, nn

    from disentangle_bench.datamodules.targets import TargetSpec
    from disentangle_bench.evaluation.features import FeatureBank

FOLDER, INDEX, SAMPLE = "artefacts", "artefacts.json", "sample.npz"
NEIGHBOURS, VIEWS = "neighbours.png", "views.png"
SCHEMA = 1
LIMIT = 1000
"""Test images that are looked at."""
POINTS, DIMENSIONS, SPACES = 300, 24, 8
"""Of the stored sample: images, principal components, spaces."""
CLASSES = 50
"""Largest confusion matrix."""


def write(
    folder: Path,
    bank: FeatureBank,
    targets: Sequence[TargetSpec],
    batches: Iterable[dict[str, Tensor]],
    *,
    module: nn.Module | None = None,
    embed: Callable[[Tensor], dict[str, Tensor]] | None = None,
    views: Callable[[dict[str, Tensor]], Sequence[Tensor]] | None = None,
    rows: Iterable[dict[str, Any]] = (),
    seed: int = 0,
) -> Path:
    """Write a run's artefacts to `<folder>/artefacts/`; the index is written last.

    Args:
        folder: of the run.
        bank: with the splits `train` and `test`.
        targets: of the data set.
        batches: of the test split in the bank's order: `image` uint8 [B, C, H, W], and `target/<name>`.
        module: the network behind `embed`; in evaluation mode meanwhile.
        embed: uint8 images [B, C, H, W] to named spaces; for the invariance curves, which are left out without it.
        views: a batch to normalised views [B, C, H, W] as the method trains on; for the sheet of augmented views, which
            is left out without it. `module.mean` and `module.std` undo the normalising.
        rows: of the record; the heat map shows their `informativeness`, or a quick estimate where it was not measured.
        seed: of the sample.

    Returns:
        The folder of the artefacts.
    """
    from threadpoolctl import threadpool_limits

    out = folder / FOLDER
    out.mkdir(parents=True, exist_ok=True)
    count = len(next(iter(bank.features.values()))["test"])
    chosen = np.sort(np.random.default_rng(seed).permutation(count)[:LIMIT])
    images, first = _gather(batches, chosen)
    labels = {spec.name: np.asarray(bank.targets["test"][spec.name])[chosen] for spec in targets}
    names = sorted(bank.features, key=lambda name: (name != "features", name))[:SPACES]
    spaces = {name: np.array(bank.features[name]["test"][chosen], dtype=np.float32) for name in names}
    with threadpool_limits(1):  # small problems: threads would only wait for each other
        sample = {f"space/{name}": components(x)[:POINTS].astype(np.float16) for name, x in spaces.items()}
        decodables = measured(rows, targets) or [
            {"space": name, "target": spec.name, "role": spec.role, "score": score}
            for name, x in spaces.items()
            for spec in targets
            if (score := decodable(x, labels[spec.name], spec, seed)) is not None
        ]
        content = next((spec for spec in targets if spec.role == "content" and spec.discrete), None)
        confusion = None if content is None else _confusion(bank, content, seed)
    sample |= {f"target/{name}": values[:POINTS] for name, values in labels.items()}
    np.savez_compressed(out / SAMPLE, allow_pickle=False, **sample)  # type: ignore[arg-type]
    index: dict[str, Any] = {
        "schema": SCHEMA,
        "images": len(chosen),
        "targets": [spec.as_dict() for spec in targets],
        "spaces": {name: int(x["test"].shape[1]) for name, x in bank.features.items()},
        "decodable": decodables,
        "confusion": confusion,
        "neighbours": [],
        "invariance": [],
    }
    if content is not None:
        picture, index["neighbours"] = _neighbours(spaces["features"], images, labels[content.name], chosen)
        (out / NEIGHBOURS).write_bytes(picture)
    if views is not None:
        (out / VIEWS).write_bytes(views_sheet(first, views, module))
    if module is not None and embed is not None and len(images) > 1:
        index["invariance"] = _invariance(module, embed, images[:64])
    write_json(out / INDEX, index)
    return out


def read(folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
    """Index and sample (`space/<name>` [n, k], `target/<name>` [n]) of a run, or None where there are none to read."""
    try:
        index = json.loads((folder / FOLDER / INDEX).read_text(encoding="utf-8"))
        if index["schema"] != SCHEMA:
            return None
        with np.load(folder / FOLDER / SAMPLE, allow_pickle=False) as stored:
            return index, {name: stored[name] for name in stored.files}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def components(x: np.ndarray) -> np.ndarray:
    """Principal components [N, min(DIMENSIONS, d)] of rows [N, d], scaled so that the first has variance 1.

    A component's sign is that of its largest loading.
    """
    centred = (x - x.mean(axis=0)).astype(np.float64)
    u, s, vt = np.linalg.svd(centred, full_matrices=False)
    sign = np.sign(vt[np.arange(len(vt)), np.abs(vt).argmax(axis=1)])
    scores = (u * s * np.where(sign == 0, 1, sign))[:, :DIMENSIONS]
    return scores / max(float(scores[:, 0].std()), 1e-12)


def measured(rows: Iterable[dict[str, Any]], targets: Sequence[TargetSpec]) -> list[dict[str, Any]]:
    """Which space told which target, of a record's rows of `informativeness`; empty where it was not measured."""
    roles = {spec.name: spec.role for spec in targets}
    return [
        {"space": r["space"], "target": r["target"], "role": roles[r["target"]], "score": round(r["scores"]["told"], 4)}
        for r in rows
        if r["measure"].startswith("informativeness@") and r["scores"]
    ]


def decodable(x: np.ndarray, y: np.ndarray, spec: TargetSpec, seed: int = 0) -> float | None:
    """How well a ridge probe, cross-fitted in two halves, reads a target off rows [N, d].

    Returns:
        For a target with classes (accuracy - share of the most frequent) / (1 - that share), else R^2 (of cosine and
        sine for a circular one); at least 0. None where the sample is too small or of one value.
    """
    from sklearn.linear_model import Ridge, RidgeClassifier
    from sklearn.metrics import r2_score
    from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    values, counts = np.unique(y, return_counts=True)
    if len(values) < 2 or len(y) < 20:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes with a single image, and of spaces with idle features
        if spec.discrete:
            folds: Any = StratifiedKFold if counts.min() > 1 else KFold
            probe = make_pipeline(StandardScaler(), RidgeClassifier(alpha=len(y) / 10))
            guess = cross_val_predict(probe, x, y, cv=folds(2, shuffle=True, random_state=seed))
            floor = counts.max() / len(y)
            score = ((guess == y).mean() - floor) / (1 - floor)
        else:
            wanted = np.stack([np.cos(y), np.sin(y)], axis=1) if spec.kind == "circular" else y
            probe = make_pipeline(StandardScaler(), Ridge(alpha=len(y) / 10))
            score = r2_score(wanted, cross_val_predict(probe, x, wanted, cv=KFold(2, shuffle=True, random_state=seed)))
    return round(max(float(score), 0.0), 4)


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


def _confusion(bank: FeatureBank, spec: TargetSpec, seed: int) -> dict[str, Any] | None:
    """Counts [true][guessed] on test of a ridge probe of `features`, fitted on a sample of train."""
    from sklearn.linear_model import RidgeClassifier
    from sklearn.metrics import confusion_matrix
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if spec.size > CLASSES:
        return None
    rng = np.random.default_rng(seed)
    x, y = {}, {}
    for split in ("train", "test"):
        stored = bank.features["features"][split]
        rows = np.sort(rng.permutation(len(stored))[: 4 * LIMIT])
        x[split], y[split] = np.array(stored[rows]), np.asarray(bank.targets[split][spec.name])[rows]
    if len(np.unique(y["train"])) < 2:
        return None
    probe = make_pipeline(StandardScaler(), RidgeClassifier(alpha=len(x["train"]) / 100)).fit(x["train"], y["train"])
    counts = confusion_matrix(y["test"], probe.predict(x["test"]), labels=range(spec.size))
    return {"target": spec.name, "train": len(x["train"]), "counts": counts.tolist()}


def _neighbours(
    x: np.ndarray, images: np.ndarray, labels: np.ndarray, chosen: np.ndarray, queries: int = 6, count: int = 7
) -> tuple[bytes, list[dict[str, Any]]]:
    """A strip a query: the image, then its nearest others in the sample by cosine, framed by whether classes agree."""
    unit = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    rows, borders, lines = [], [], []
    for query in range(min(queries, len(x))):
        similarity = unit @ unit[query]
        similarity[query] = -np.inf
        near = np.argsort(-similarity, kind="stable")[: min(count, len(x) - 1)]
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

    device = next((p.device for p in module.parameters()), torch.device("cpu")) if module else torch.device("cpu")
    with torch.no_grad():
        made = [view for view in views({k: v.to(device) for k, v in batch.items()}) if view.ndim == 4][:6]
    mean, std = (getattr(module, name, None) for name in ("mean", "std"))
    columns = [batch["image"].cpu().numpy()]
    for view in made:
        scaled = view if mean is None or std is None else view * std + mean
        columns.append((scaled.float().clamp(0, 1) * 255).round().byte().cpu().numpy())
    return sheets.sheet(list(zip(*columns, strict=True)))


def _invariance(module: nn.Module, embed: Callable, images: np.ndarray) -> list[dict[str, Any]]:
    import torch

    from disentangle_bench.evaluation.features import inference_mode
    from disentangle_bench.evaluation.pictures.robustness import curves

    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    with inference_mode(module):
        return curves(embed, torch.from_numpy(images).to(device))
