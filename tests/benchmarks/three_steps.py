"""A cell after three steps of training, and what became of its settings there."""

from dataclasses import replace
from functools import cache
from typing import NamedTuple

import lightning as L
import torch

from disentangle_bench.benchmarks.execution.build import build_method
from disentangle_bench.benchmarks.planning.cell import Cell
from disentangle_bench.benchmarks.planning.options import instantiate
from disentangle_bench.datamodules import find
from disentangle_bench.datamodules.base import ImageDataModule
from disentangle_bench.methods.base import Method
from disentangle_bench.methods.networks.backbones import backbone


class Run(NamedTuple):
    """A cell, its data set as planned, and the method after three steps on smaller views and batches."""

    cell: Cell
    data: ImageDataModule
    method: Method
    trainer: L.Trainer


TINY = {
    **{"backbone": "convnet", "stem": "auto", "init": None, "hidden_dim": 16, "projection_dim": 8},
    **{"perceptual": "none", "generator_channels": 8, "domain_dim": 4, "images_every": 0},
    **{"partition_epochs": 2, "partition_batch_size": 64},
}
"""What is as large as published in a run only: here it is seen to be asked for."""


LOADED: dict[str, ImageDataModule] = {}


def loaded(name, options):
    """The data set with these options, loaded once for all rows that share it."""
    key = f"{name} {options}"
    if key not in LOADED:
        LOADED[key] = find(name)(seed=0, **instantiate(find(name), options))
    return LOADED[key]


def three_steps(cell, folder, **own):
    small = {"batch_size": 8, "view_size": 16, "eval_size": 16}
    small |= {"domains_per_batch": 2} if cell.data["balance"] else {}
    tiny = {name: value for name, value in TINY.items() if cell.options.get(name) is not None}
    data = loaded(cell.dataset, cell.data | small)
    method = build_method(replace(cell, options=cell.options | tiny | own), data)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    trainer = L.Trainer(
        devices=1, max_steps=3, enable_checkpointing=False, limit_val_batches=0, default_root_dir=folder, **quiet
    )
    trainer.fit(method, datamodule=data.training_view(type(method).uses_targets))
    return Run(cell, loaded(cell.dataset, cell.data), method, trainer)


def setting(run, name):
    """An option as the method keeps it, or as it was asked for where it is too large for a test."""
    given = run.cell.options[name]
    return given if name in TINY else getattr(run.method, name, given)


def rates(run):
    return sorted({group["initial_lr"] for group in run.trainer.optimizers[0].param_groups})


def momentum(run):
    group = run.trainer.optimizers[0].param_groups[0]
    return group["betas"][0] if "betas" in group else group["momentum"]


def decay(run):
    """Of matrices; one-dimensional parameters have none."""
    groups = run.trainer.optimizers[0].param_groups
    assert all(group["weight_decay"] == 0 for group in groups if group["params"][0].ndim == 1)
    return max(group["weight_decay"] for group in groups)


def schedule(run):
    """Shares of the peak learning rate at a hundredth of the epochs, in the middle of what follows, at the end."""
    steps, options = run.trainer.num_training_batches * run.cell.budget["epochs"], run.cell.options
    run.method.share_of_budget = lambda step: step / steps
    first = options["heads_first"]
    middle = first + (1 - first) * (options["warmup"] + 1) / 2 if options["schedule"] == "cosine" else 0.5
    return [run.method._lr_factor(steps * share) for share in (0.01, middle, 0.99999)]


def domains(run):
    """Domains in a training batch of the size that was asked for, each with as many images."""
    batch = next(iter(run.data.training_view(frozenset({"domain"})).train_dataloader()))
    (values,) = (values for key, values in batch.items() if key.startswith("target/"))
    counts = values.unique(return_counts=True)[1].tolist()
    return len(counts) if len(set(counts)) == 1 else None


def stem(run):
    """Size and stride of the first convolution, of a smaller network of the family."""
    return first_convolution(run.cell.options["stem"], run.data.describe()["view_shape"])


@cache
def first_convolution(kind, view_shape):
    made = backbone("resnet18", (3, *view_shape), stem=kind)
    assert isinstance(made.maxpool, torch.nn.Identity) == (made.conv1.stride == (1, 1))
    return made.conv1.kernel_size[0], made.conv1.stride[0]


def told(data):
    """Names of the domain and of all content, in one text."""
    by_role = {role: [spec.name for spec in data.targets if spec.role == role] for role in ("domain", "content")}
    return " ".join([*by_role["domain"], *by_role["content"]])


def coins(augmentation):
    return augmentation.jitter_p, augmentation.grey_p, augmentation.blur_p, augmentation.solarize_p


def temperature(run):
    return run.method.shared["temperature"] if hasattr(run.method, "shared") else run.method.temperature


FACTS = {
    "epochs": lambda run: run.cell.budget["epochs"],
    "batch": lambda run: run.data.batch_size,
    "domains": domains,
    "trained_on": lambda run: len(run.data.training),
    "view": lambda run: run.data.describe()["view_shape"][0],
    "judged": lambda run: run.data.describe()["eval_shape"][0],
    "optimizer": lambda run: type(run.trainer.optimizers[0]).__name__,
    "lr": rates,
    "momentum": momentum,
    "decay": decay,
    "schedule": schedule,
    "mean": lambda run: run.method.mean.flatten().tolist(),
    "stem": stem,
    "crop": lambda run: tuple(run.method.augmentation.crop_scale),
    "jitter": lambda run: tuple(run.method.augmentation.jitter),
    "coins": lambda run: coins(run.method.augmentation),
    "key_coins": lambda run: coins(run.method.key_augmentation),
    "zoom": lambda run: tuple(run.method.augmentation.zoom),
    "shift": lambda run: run.method.augmentation.translation,
    "turn": lambda run: (run.method.augmentation.rotation, run.method.augmentation.rotation_p),
    "told": lambda run: told(run.data),
    "blur": lambda run: run.method.augmentation.blur_size,
    "sigma": lambda run: tuple(run.method.augmentation.blur_sigma),
    "tau": temperature,
    "tau_irm": lambda run: run.method.shared["irm_temperature"],
    "num_subsets": lambda run: run.method.shared["num_subsets"],
    "widths": lambda run: (run.cell.options["hidden_dim"], run.cell.options["projection_dim"]),
    "layers": lambda run: sum(isinstance(layer, torch.nn.Linear) for layer in run.method.projector),
    "last_bias": lambda run: run.method.projector[-1].bias is not None,
    "weight": lambda run: run.method.weights.unique().item(),
    "positives": lambda run: {name: tuple(ends) for name, ends in run.method.positives.ranges.items()},
    "clusters": lambda run: len(run.method.centers),
}
"""What became of a setting that isn't an attribute of its name."""
