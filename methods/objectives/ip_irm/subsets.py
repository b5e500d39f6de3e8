"""Which rows of a batch make up each subset: worked out on the processor, which needs to know how many there are."""

from collections.abc import Sequence

import torch
from torch import Tensor

from disentangle_bench.methods.objectives.gather import Gather
from disentangle_bench.methods.objectives.inputs import upload


def pooled_on_host(columns: Sequence[Tensor], device: torch.device, gather: Gather | None) -> Tensor:
    """Integers [B] of each batch row, as [C, B] on the processor; with `gather` those of all ranks.

    Where they are on the processor already, and there is one rank, the device isn't waited for.
    """
    table = torch.stack(list(columns), 1)
    if gather is not None:
        table = gather(table.to(device))
    return table.cpu().T


def subset_rows(assignment: Tensor, num_subsets: int) -> tuple[Tensor, list[int]]:
    """Rows ordered by subset, int64 [B], increasing within each, and the number of rows in each subset.

    assignment: int64 [B] on the processor, values in [0, num_subsets).

    Raises:
        ValueError: values out of range.
    """
    if assignment.min() < 0 or assignment.max() >= num_subsets:
        raise ValueError(f"an assignment has values outside [0, {num_subsets})")
    return assignment.argsort(stable=True), assignment.bincount(minlength=num_subsets).tolist()


def split_by_subset(assignments: Tensor, num_subsets: int, device: torch.device) -> list[list[Tensor]]:
    """For each partition of [P, B] on the processor the rows of its subsets with any, on `device`, by one copy."""
    orders, sizes = zip(*(subset_rows(assignment, num_subsets) for assignment in assignments), strict=True)
    rows = upload(torch.stack(orders), device)
    return [[part for part in row.split(size) if len(part)] for row, size in zip(rows, sizes, strict=True)]
