"""A method with a loader of somebody's own: ten lines, and errors that say what to do."""

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from disentangle_bench.methods.batches.own import as_batch
from disentangle_bench.methods.contrastive_clustering import ContrastiveClustering
from disentangle_bench.methods.field.cc import CC
from disentangle_bench.methods.ip_irm import IPIRM
from disentangle_bench.methods.simclr import SimCLR
from disentangle_bench.methods.supervised import Supervised

IMAGES = torch.rand(32, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def fit(method, loader):
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = L.Trainer(max_epochs=2, accelerator="cpu", enable_model_summary=False, **quiet)
    trainer.fit(method, loader)
    return trainer


def once(batch) -> DataLoader:
    """A loader of one batch."""
    return DataLoader([batch], batch_size=None)


@pytest.mark.parametrize(
    "batches",
    [
        DataLoader(TensorDataset(IMAGES, torch.arange(32)), batch_size=16),
        DataLoader(IMAGES, batch_size=16),
        DataLoader([{"image": (part * 255).round().byte(), "label": 0} for part in IMAGES.split(16)], batch_size=None),
    ],
    ids=["tuples", "images", "dicts"],
)
def test_batches_of_any_form(batches):
    method = SimCLR(image_shape=(3, 16, 16), hidden_dim=8)
    before = method.projector[0].weight.clone()
    trainer = fit(method, batches)
    assert trainer.callback_metrics["loss"].isfinite()
    assert not torch.equal(before, method.projector[0].weight)
    assert method.images_seen == 64


def test_all_forms_are_the_same_images():
    weights = []
    index = torch.arange(32)
    for batch in ((IMAGES, 0), {"image": (IMAGES * 255).round().byte()}, {"image": IMAGES, "index": index}):
        torch.manual_seed(0)
        method = SimCLR(image_shape=(3, 16, 16), hidden_dim=8)
        fit(method, once(batch))
        weights.append(method.projector[0].weight)
    assert torch.equal(weights[0], weights[1])
    assert torch.equal(weights[0], weights[2])


def test_images_of_different_processes_have_different_numbers():
    first, second = (as_batch(IMAGES, 3, rank)["index"] for rank in (0, 1))
    assert torch.cat([first, second]).equal(torch.arange(64))


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"pixels": IMAGES}, "a batch is a dict with `image`, .*; this one is a dict with pixels"),
        (["a"], "this one is list"),
        ((IMAGES * float("nan"),), "lie between nan and nan"),
        ((IMAGES - 0.5,), r"lie between -0\.\d+ and 0\.\d+: leave out what normalises them"),
        ((IMAGES[:, :1],), r"with C = 3 \(see image_shape\); these are \(32, 1, 16, 16\)"),
        ((IMAGES.long(),), "these are torch.int64"),
        ({"image": IMAGES * 2, "index": torch.arange(32)}, "lie between .* leave out what normalises them"),
    ],
)
def test_what_is_no_batch_is_told(batch, message):
    with pytest.raises(ValueError, match=message):
        fit(SimCLR(image_shape=(3, 16, 16)), once(batch))


def test_accumulated_gradients_are_refused():
    """Momentum encoders and queues would move several times between two steps of what they follow."""
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = L.Trainer(max_epochs=1, accelerator="cpu", accumulate_grad_batches=2, **quiet)
    with pytest.raises(ValueError, match=r"accumulate_grad_batches is 2 but must be 1: .* take larger batches"):
        trainer.fit(SimCLR(image_shape=(3, 16, 16)), once((IMAGES,)))


def test_what_a_method_needs_besides_images_is_told():
    with pytest.raises(
        ValueError, match=r"Supervised trains with content labels, but .* give data=datamodule.describe\(\)"
    ):
        Supervised(image_shape=(3, 16, 16))
    for clusters in (ContrastiveClustering, CC):
        with pytest.raises(ValueError, match=r"lacks num_classes: give data=datamodule.describe\(\), or num_clusters"):
            clusters(image_shape=(3, 16, 16))
    with pytest.raises(RuntimeError, match=r"needs all training images .* call trainer\.fit\(method, datamodule="):
        fit(IPIRM(image_shape=(3, 16, 16)), once((IMAGES,)))
