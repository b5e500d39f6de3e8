"""Small files of random images, in the layouts in which data sets are published, and all of one read back."""

import gzip
import hashlib
import itertools
import math
import pickle
import struct
from pathlib import Path

import h5py
import numpy as np
from scipy.io import savemat

from disentangle_bench import datamodules
from disentangle_bench.datamodules.base import SPLITS
from disentangle_bench.datamodules.datasets.factors import dsprites, shapes3d, smallnorb


def encode(values):
    header = bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape)
    return header + values.astype(np.uint8).tobytes()


def write_mnist(folder: Path, packed=True, train=200, test=50):
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    made = {}
    for prefix, count in (("train", train), ("t10k", test)):
        images = generator.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        made[prefix] = images, labels
        for kind, values in (("images-idx3", images), ("labels-idx1", labels)):
            data = encode(values)
            name = f"{prefix}-{kind}-ubyte"
            (folder / (name + ".gz" if packed else name)).write_bytes(gzip.compress(data) if packed else data)
    return made


def dump(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(values))
    return hashlib.md5(path.read_bytes()).hexdigest()


def write_cifar(root, monkeypatch, cls, keys, names, count=100):
    """Batch files of `count` images, whose MD5 becomes the published one."""
    generator, made = np.random.default_rng(0), {}
    folder = root / cls.base_folder
    for part in ("train_list", "test_list"):
        listed = []
        for file, _ in getattr(cls, part):
            batch = {"data": generator.integers(0, 256, (count, 3072), dtype=np.uint8)}
            batch |= {
                key: generator.permutation(np.arange(count) % len(names[i])).tolist() for i, key in enumerate(keys)
            }
            made[file] = batch
            listed.append([file, dump(folder / file, batch)])
        monkeypatch.setattr(cls, part, listed)
    meta = {f"{key.removesuffix('s')}_names": values for key, values in zip(keys, names, strict=True)}
    monkeypatch.setattr(cls, "meta", cls.meta | {"md5": dump(folder / cls.meta["filename"], meta)})
    return root, made


def write_stl10(root, counts=(40, 20, 30)):
    home, generator, made = root / "stl10_binary", np.random.default_rng(0), {}
    home.mkdir(parents=True)
    for part, count in zip(("train", "test", "unlabeled"), counts, strict=True):
        made[part] = generator.integers(0, 256, (count, 3, 96, 96), dtype=np.uint8)
        made[part].transpose(0, 1, 3, 2).tofile(home / f"{part}_X.bin")  # column after column
        if part != "unlabeled":
            (np.arange(count) % 10 + 1).astype(np.uint8).tofile(home / f"{part}_y.bin")
    return made


def write_dsprites(root, scales=2):
    root.mkdir()
    values = np.array(
        list(
            itertools.product(
                [1.0], [1.0, 2.0, 3.0], np.linspace(0.5, 1, scales), np.linspace(0, 2 * math.pi, 3), [0, 0.5, 1], [0, 1]
            )
        )
    )
    images = np.random.default_rng(0).integers(0, 2, (len(values), 64, 64), dtype=np.uint8)
    np.savez_compressed(
        root / dsprites.FILE,
        metadata=np.array({"title": "a pickle"}, dtype=object),
        imgs=images,
        latents_values=values,
        latents_classes=values.astype(np.int64),
    )
    return images, values


def write_shapes3d(root):
    root.mkdir()
    hues = [0.0, 0.1, 0.2]
    labels = np.array(list(itertools.product(hues, hues[:2], hues[:2], [0.75, 1.25], [0, 1, 2, 3], [-30.0, 0.0, 30.0])))
    images = np.random.default_rng(0).integers(0, 256, (len(labels), 64, 64, 3), dtype=np.uint8)
    with h5py.File(root / shapes3d.FILE, "w") as file:
        file.create_dataset("images", data=images, chunks=(1, 64, 64, 3), compression="gzip")
        file.create_dataset("labels", data=labels)
    return images, labels


def norb(values, magic):
    sizes = [*values.shape, *[1] * (3 - values.ndim)]
    return np.array([magic, values.ndim, *sizes], "<i4").tobytes() + values.tobytes()


def write_norb(root, packed=False, count=60):
    root.mkdir()
    generator, made = np.random.default_rng(0), []
    for part in smallnorb.PARTS:
        images = generator.integers(0, 256, (count, 2, 96, 96), dtype=np.uint8)
        category = (np.arange(count) % 5).astype("<i4")
        info = np.stack([np.arange(count) % n * step for n, step in ((10, 1), (9, 1), (18, 2), (6, 1))], 1).astype(
            "<i4"
        )
        made.append((images, category, info))
        for kind, values, magic in (
            ("dat", images, 0x1E3D4C55),
            ("cat", category, 0x1E3D4C54),
            ("info", info, 0x1E3D4C54),
        ):
            data = norb(values, magic)
            path = root / f"smallnorb-{part}-{kind}.mat"
            if packed:
                path.with_suffix(".mat.gz").write_bytes(gzip.compress(data))
            else:
                path.write_bytes(data)
    return [np.concatenate(parts) for parts in zip(*made, strict=True)]


def write_cars(root, count=2):
    (root / "cars").mkdir(parents=True)
    made = []
    for number in range(count):
        views = np.random.default_rng(number).integers(0, 256, (128, 128, 3, 24, 4), dtype=np.uint8)
        savemat(root / "cars" / f"car_{number:03}_mesh.mat", {"im": views})
        made.append(views)
    return made


NAMES = ["5_o_Clock_Shadow", "Male", "Smiling"]


def write_celeba(root, draw, count=24, each=4):
    files = [f"{i + 1:06}.jpg" for i in range(count)]
    for i, file in enumerate(files):
        draw(root / "img_align_celeba" / file, i, (18, 22))
    attributes = np.where(np.random.default_rng(0).integers(0, 2, (count, 3)), 1, -1)
    identity = 1000 + np.arange(count) // each * 7
    identity[-1] = 5
    partition = np.repeat([0, 1, 2], [count - 8, 4, 4])
    (root / "identity_CelebA.txt").write_text("".join(f"{f} {i}\n" for f, i in zip(files, identity, strict=True)))
    (root / "list_eval_partition.txt").write_text("".join(f"{f} {p}\n" for f, p in zip(files, partition, strict=True)))
    lines = [f"{f} {' '.join(f'{v:2}' for v in row)}\n" for f, row in zip(files, attributes, strict=True)]
    (root / "list_attr_celeba.txt").write_text(f"{count}\n{' '.join(NAMES)}\n" + "".join(lines))
    return attributes, identity


PLACES = [f"{part}_{axis}" for part in ("lefteye", "righteye", "nose", "leftmouth", "rightmouth") for axis in "xy"]


def write_landmarks(root, count=24):
    places = np.random.default_rng(5).integers(60, 130, (count, 10))
    lines = [f"{i + 1:06}.jpg  {' '.join(map(str, row))}\n" for i, row in enumerate(places)]
    (root / "list_landmarks_align_celeba.txt").write_text(f"{count}\n{' '.join(PLACES)}\n" + "".join(lines))
    return places


def build(name, root, **options):
    return datamodules.build(name, root=str(root), batch_size=4, **options)


def every(module):
    """All images and targets in the published order."""
    splits = [module.splits[s] for s in SPLITS]
    order = np.argsort(np.concatenate([split.rows for split in splits]))
    images = np.concatenate([split.take(np.arange(len(split))) for split in splits])[order]
    return images, {k: np.concatenate([split.targets[k] for split in splits])[order] for k in splits[0].targets}
