"""The hash of the data that a run used."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from disentangle_bench.datamodules.batches.split import Split
from disentangle_bench.datamodules.splits import probe
from disentangle_bench.datamodules.targets import TargetSpec


def fingerprint_of(parts: Mapping[str, Split], targets: Sequence[TargetSpec], made: probe.ProbeProvenance) -> str:
    """Hash of all pixels, labels and split positions, 32 hexadecimal digits.

    Args:
        parts: name -> split, for all splits from which the others follow; `train` among them.
        targets: specifications of the splits' targets.
        made: provenance of the probe splits.
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"probe {probe.VERSION}".encode())  # made of what follows, in the way of this version
    if made.held_out:  # they were in the probe splits once, under the same version
        digest.update(b"without what the shift holds out")
    shape = tuple(parts["train"].images.shape[1:])
    for name, split in parts.items():
        digest.update(f"{name} {len(split)} {shape}".encode())
        images_digest = split.images_digest()
        if images_digest is not None:
            digest.update(images_digest.encode())
            rows = np.arange(len(split)) if split.rows is None else split.rows
            digest.update(np.ascontiguousarray(rows, np.int64).data)
        else:
            for start in range(0, len(split), 4096):
                positions = np.arange(start, min(start + 4096, len(split)))
                digest.update(np.ascontiguousarray(split.take(positions)).data)
        for spec in targets:
            digest.update(repr(spec).encode())
            digest.update(np.ascontiguousarray(split.targets[spec.name]).data)
    return digest.hexdigest()
