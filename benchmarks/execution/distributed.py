"""Several processes at one cell: the rank of this one, who starts them, and values that they agree on."""

from __future__ import annotations

import os
import platform
from typing import Any

import torch
import torch.distributed as dist
from lightning.fabric.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)

from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.runs.folder import CellLaunch


def rank() -> int:
    """Number of this process among those that train together, as torchrun, Lightning or SLURM tell it; 0: the first."""
    given = os.environ
    if "RANK" in given:
        return int(given["RANK"])
    if "LOCAL_RANK" in given or "NODE_RANK" in given:  # Lightning's own children, also inside of a SLURM job
        return int(given.get("NODE_RANK", 0)) * int(given.get("LOCAL_WORLD_SIZE", 1)) + int(given.get("LOCAL_RANK", 0))
    return int(given.get("SLURM_PROCID", 0))


def processes(launch: CellLaunch) -> tuple[list[int] | int, int, ClusterEnvironment]:
    """(Devices on a machine, machines, who starts the processes): torchrun or srun if they have, else Lightning."""
    devices, nodes = launch.devices, launch.nodes
    if TorchElasticEnvironment.detect():  # then it says how many, whatever was planned
        here = int(os.environ["LOCAL_WORLD_SIZE"])
        return here, int(os.environ["WORLD_SIZE"]) // here, TorchElasticEnvironment()
    if devices * nodes > 1 and int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) == devices * nodes:
        return devices, nodes, SLURMEnvironment(auto_requeue=False)  # whoever gave the job in starts it again
    return list(launch.device_ids) or devices, nodes, LightningEnvironment()


def device_of(launch: CellLaunch) -> torch.device:
    """Device that this process trains and judges on, of those that its cell gets on this machine."""
    if launch.accelerator == "cpu":
        return torch.device("cpu")
    local = int(os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID", 0)))
    return torch.device("cuda", launch.device_ids[local] if launch.device_ids else local)


def require_gpus(launch: CellLaunch) -> None:
    """Raise RequestError if a cell shall compute on GPUs and this machine, of a cluster as a rule, has too few."""
    found = torch.cuda.device_count() if launch.accelerator == "gpu" and torch.cuda.is_available() else 0
    if launch.accelerator != "gpu" or found >= launch.devices:
        return
    raise RequestError(
        f"the run computes on {launch.devices} GPU{'s' * (launch.devices > 1)}, and torch finds {found or 'none'} on "
        f"{platform.node()}: on a cluster name a partition that has them, --set resources.partition=NAME, and whatever "
        f"stands in resources.sbatch has to show {launch.devices} to each task; or ask for none, --set "
        "resources.gpus_per_node=0"
    )


def place() -> tuple[int, int]:
    """(This process's rank, number of processes) of the process group; (0, 1) without one."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def agree(value: int, group: Any = None) -> int:
    """The highest value of all processes; `group` is one that speaks gloo, None if all processes do anyhow."""
    if place()[1] == 1:
        return value
    highest = torch.tensor(int(value))
    dist.all_reduce(highest, dist.ReduceOp.MAX, group=group)
    return int(highest)


def gather(value: Any) -> list[Any]:
    """The value of each process, in the order of their ranks."""
    processes = place()[1]
    if processes == 1:
        return [value]
    values: list[Any] = [None] * processes
    dist.all_gather_object(values, value)
    return values
