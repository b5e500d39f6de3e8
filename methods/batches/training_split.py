"""All images that a method trains on, encoded between its steps: for partitions and cluster centres."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from disentangle_bench.methods.batches.streams import stream_seed
from disentangle_bench.methods.networks.batch_statistics import own_batch_statistics
from disentangle_bench.methods.objectives.inputs import upcast


@torch.no_grad()
def encoded(
    method: Any, encode: Callable[[Tensor, torch.Generator], Tensor], stream: str, batch_statistics: bool = False
) -> Tensor:
    """Codes [N, d] of all N training images in order, encoded in eval mode; alike on all processes.

    Each process encodes a part of the batches; images encoded count as cost. Each batch comes with a generator that
    depends on the seed, `stream` and the batch's number only.

    Args:
        method: a `Method` that is being trained.
        encode: function of uint8 images [B, C, H, W] on the method's device and a generator, to codes [B, d].
        stream: name of the random stream.
        batch_statistics: draw batches at random, and let batch norms use their batch's statistics: for an encoder that
            was trained too little for running statistics.

    Raises:
        RuntimeError: what is trained on can't be taken by position, or isn't the N images that `data` announced.
    """
    images, loaded_by = _trained_on(method)
    size, ranks, rank = len(images), method.world_size, method.global_rank
    # Batches, and with them the draws, are the same for one process as for sixteen; none is without a batch.
    batches: Sequence[Tensor] = torch.arange(size).split(max(1, min(512, size // max(16, ranks))))
    if batch_statistics:
        order = torch.randperm(size, generator=_generator(method, stream))
        batches = order.tensor_split(len(batches))  # of two images or more, from 32 on: one has no statistics
    loader: Iterable[dict[str, Tensor]] = DataLoader(
        images,
        sampler=batches[rank::ranks],  # type: ignore[arg-type]  # any iterable of positions will do: batch_size is None
        batch_size=None,
        num_workers=loaded_by.num_workers,
        generator=torch.Generator(),  # its own: looking at the data must not move torch's global stream
    )
    reduce = method.trainer.strategy.reduce
    training = [module for module in method.modules() if module.training]
    method.eval()
    passes: list[int] = []
    counting = method.backbone.register_forward_pre_hook(lambda _, inputs: passes.append(len(inputs[0])))
    written, codes = torch.zeros(size, device=method.device), None
    with own_batch_statistics(method) if batch_statistics else nullcontext():
        for number, batch in enumerate(loader):
            generator = _generator(method, f"{stream}/{rank + number * ranks}")
            with method.trainer.precision_plugin.forward_context():
                part = upcast(encode(batch["image"].to(method.device), generator))
            rows = batch["index"].to(method.device)
            codes = part.new_zeros(size, part.shape[1]) if codes is None else codes
            codes[rows] = part
            written.index_add_(0, rows, written.new_ones(len(rows)))  # also where a row comes twice
    counting.remove()
    method.forward_passes += int(reduce(torch.tensor(sum(passes), device=method.device), reduce_op="sum"))
    for module in training:
        module.training = True
    written = reduce(written, reduce_op="sum")
    if not (written == 1).all():
        raise RuntimeError(f"{stream}: {int((written != 1).sum())} of {size} training images came not once")
    return reduce(codes, reduce_op="sum")


def _generator(method: Any, stream: str) -> torch.Generator:
    return torch.Generator().manual_seed(stream_seed(method.seed, stream))


def _trained_on(method: Any) -> tuple[Any, Any]:
    """The data set and the loader of the trainer's batches. Raises RuntimeError, see `encoded`."""
    trainer, name, size = method.trainer, type(method).__name__, method.data["num_train"]
    loader: Any = trainer.train_dataloader
    dataset = getattr(loader, "dataset", None)
    if getattr(trainer, "datamodule", None) is None or dataset is None or size is None:
        raise RuntimeError(
            f"{name} needs all training images between its steps: "
            "call trainer.fit(method, datamodule=...), not with a loader of batches"
        )
    if len(dataset) != size:
        raise RuntimeError(f"{name} was told of {size} training images but trains on {len(dataset)}")
    return dataset, loader
