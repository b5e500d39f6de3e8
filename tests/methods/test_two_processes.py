"""Two processes learn what one does with the whole batch: the same loss, gradients, weights, partitions and centres."""

import os
import socket
from pathlib import Path
from typing import Any

import lightning as L
import torch
import torch.distributed as dist
from lightning.fabric.plugins.environments import LightningEnvironment

from disentangle_bench import methods
from disentangle_bench.methods.networks.sync_batch_norm import synchronize
from tests.methods.conftest import SmallDigits

STEPS = {"64-true": 3, "32-true": 1}  # in float32 a ReLU that flips by rounding grows from step to step
TOLERANCE = {"64-true": (1e-10, 1e-8), "32-true": (1e-5, 1e-5)}
"""Of the first step's loss and gradients, and of what was learnt at the end, as a share of a tensor's largest value."""
FLOOR = {"64-true": 1e-6, "32-true": 1.0}
"""Every tensor's largest value counts as this share of the largest of them all, at least: some gradients are nought but
rounding (a bias before VICReg), and float32 leaves few digits of small ones, sums that cancel. Float64 shows them."""
RECONSTRUCTION = {"reconstruction": True, "perceptual": "none", "generator_channels": 8}
CASES: dict[str, dict[str, Any]] = {
    "simclr": {},
    "vicreg": {},
    "barlow_twins": {},
    "supervised": {},
    "ip_irm": {"partition_every": 1, "partition_epochs": 3},
    "ip_irm-mixup": {"partition_every": 1, "partition_epochs": 3, "mixup": True, "num_subsets": 3},
    "style_blocks": {"weights_lr": 1.0, "weights_warmup": 0.0},
    "style_blocks-vicreg": {"form": "vicreg", "weights_lr": 1.0, "weights_warmup": 0.0, "trim": 0.1},
    "domain_contrastive": RECONSTRUCTION,
    "contrastive_clustering": {"start": 0.0},
}
FIELD: dict[str, dict[str, Any]] = {  # in float64, which shows more: float32's rounding is no other for these
    # timm's batch norm and activation in one module; some of its gradients are rounding, which Adam would magnify
    "simclr-norm_act": {"backbone": "test_efficientnet", "optimizer": "sgd"},
    "byol": {"tau": 0.9},
    "simsiam": {},
    "moco": {"key_momentum": 0.9, "queue_size": 48},
    "swav": {"num_prototypes": 16},
    "dino": {"num_prototypes": 16, "tau": 0.9},
    "looc": {},
    "looc-queue": {"form": "queue", "key_momentum": 0.9, "queue_size": 48},
    "augself": {"tasks": {"crop": 1.0, "color": 1.0, "flip": 0.5, "blur": 0.2, "sol": 0.5}},
    "cc": {},
    "odr": {},
    "beta_vae": {},
    "factor_vae": {"discriminator_dim": 32},
}


class Recorder(L.Callback):
    """Loss and gradients of the first step, all that was learnt after the last."""

    def __init__(self):
        self.losses: list[float] = []
        self.gradients: dict[str, torch.Tensor] = {}

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        if trainer.global_step == 0:
            self.gradients = {k: value.grad.clone() for k, value in pl_module.named_parameters() if value.requires_grad}

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        loss = outputs["loss"].detach().double()
        if trainer.world_size > 1:  # of losses that pool over the batch all hold the same, of others their part
            dist.all_reduce(loss)
        self.losses.append(float(loss) / trainer.world_size)

    def on_train_end(self, trainer, pl_module):
        learnt = {key: value.detach().clone() for key, value in pl_module.state_dict().items()}
        learnt |= {f"partition {i}": logits for i, logits in enumerate(getattr(pl_module, "partitions", []))}
        self.learnt = learnt | {"views": pl_module.views_generator.get_state()}


def learn(case: str, precision: str) -> dict[str, Any]:
    """Three steps of a method, in this process or in all those of its group."""
    several = dist.is_initialized() or "WORLD_SIZE" in os.environ
    domains = {"balance": "color", "domains_per_batch": 4} if case == "domain_contrastive" else {}
    data = SmallDigits(batch_size=32, keep=160, **domains)
    data.setup()
    # Adam divides each gradient by its own size: in float32, where that is nought but rounding, steps would differ
    options = {"optimizer": "sgd" if precision == "32-true" else "adamw"} | (CASES | FIELD)[case]
    method = methods.build(case.partition("-")[0], image_shape=data.image_shape, data=data.describe(), **options)
    if several:
        synchronize(method)
    recorder = Recorder()
    L.Trainer(
        accelerator="cpu",
        devices=2 if several else 1,
        strategy="ddp" if several else "auto",
        plugins=[LightningEnvironment()],
        precision=precision,
        max_steps=STEPS[precision],
        callbacks=[recorder],
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(method, datamodule=data)
    return {"losses": recorder.losses, "gradients": recorder.gradients, "learnt": recorder.learnt}


RUNS = [(case, precision) for precision in STEPS for case in CASES] + [(case, "64-true") for case in FIELD]


def worker(rank: int, port: int, folder: Path) -> None:
    torch.set_num_threads(1)
    os.environ |= {"WORLD_SIZE": "2", "LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.save([learn(*run) for run in RUNS], folder / f"{rank}.pt")


def differing(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor], tolerance: float, floor: float) -> list[str]:
    """Names of the tensors that differ by more than they may, each with the share by which it does."""
    assert one.keys() == two.keys()
    largest = {key: float(value.double().abs().max()) for key, value in one.items()}
    lowest = floor * max(value for key, value in largest.items() if one[key].is_floating_point())
    shares = {k: float((one[k].double() - two[k].double()).abs().max()) / max(largest[k], lowest) for k in one}
    return [f"{key}: {share:.1e}" for key, share in shares.items() if not share <= tolerance]


def test_two_processes_learn_what_one_does(tmp_path):
    """One group of processes for all methods and precisions: starting one takes longer than three steps."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    group = torch.multiprocessing.start_processes(worker, (port, tmp_path), nprocs=2, join=False, start_method="fork")
    alone = [learn(*run) for run in RUNS]
    while not group.join():
        pass
    ranks = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    wrong = {}
    for run, one, first, second in zip(RUNS, alone, *ranks, strict=True):
        (first_step, end), floor = TOLERANCE[run[1]], FLOOR[run[1]]
        losses = [{"loss": torch.tensor(side["losses"][0], dtype=torch.float64)} for side in (one, first)]
        found = differing(*losses, first_step, floor)
        found += differing(one["gradients"], first["gradients"], first_step, floor)
        found += differing(one["learnt"], first["learnt"], end, floor)
        found += [
            f"{k}: other on rank 1" for k, value in first["learnt"].items() if not value.equal(second["learnt"][k])
        ]
        if found:
            wrong[run] = found
    assert wrong == {}
