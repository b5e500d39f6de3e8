"""Rows of a batch in each subset of a partition, computed on the CPU, since their number decides tensors' shapes."""

from collections.abc import Sequence

import torch
from torch import Tensor

from disentangle_bench.methods.objectives.gather import Gather
from disentangle_bench.methods.objectives.inputs import upload


def pooled_on_host(columns: Sequence[Tensor], device: torch.device, gather: Gather | None) -> Tensor:
    """C columns of integers [B] as one tensor [C, B] on the CPU; with `gather` those of all ranks, [C, world B].

    With one rank and columns that are on the CPU already, the device isn't waited for.
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
    """For each of P partitions [P, B] on the CPU: the rows of each non-empty subset, on `device`, in one copy."""
    orders, sizes = zip(*(subset_rows(assignment, num_subsets) for assignment in assignments), strict=True)
    rows = upload(torch.stack(orders), device)
    return [[part for part in row.split(size) if len(part)] for row, size in zip(rows, sizes, strict=True)]
