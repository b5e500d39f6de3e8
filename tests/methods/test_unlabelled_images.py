"""A data set whose training batches also hold unlabelled images, as STL-10's do: they are not those of a split."""

import lightning as L
import numpy as np
import pytest
import torch

from disentangle_bench import datamodules
from disentangle_bench.datamodules.batches.loader import BatchDataset
from disentangle_bench.datamodules.splits import shifts
from disentangle_bench.methods.views import Augmentation
from tests.datamodules.published_files import write_stl10
from tests.methods.conftest import SmallDigits

NO_LABEL = -100


class WithUnlabelled(SmallDigits):
    """`keep` labelled images and twice as many from the validation and test splits without their class."""

    @property
    def training(self):
        train, *others = (self.splits[name] for name in ("train", "val", "test"))
        extra = shifts.stack(others)
        extra = extra.select(torch.arange(2 * len(train)).numpy())
        extra.targets["class"][:] = NO_LABEL
        return shifts.stack([train, extra])


@pytest.fixture
def unlabelled():
    module = WithUnlabelled(batch_size=32, keep=160)
    module.setup()
    return module


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ip_irm", {"partition_every": 1, "partition_epochs": 2}),
        ("contrastive_clustering", {"start": 0.0}),
        ("contrastive_clustering", {"start": 0.5}),
    ],
)
def test_what_is_trained_on_is_what_partitions_and_centres_are_learnt_from(name, options, unlabelled, make, trainer):
    method, encoded = make(name, unlabelled, **options), []
    encode = method.encode_training_split
    method.encode_training_split = lambda *a, **k: encoded.append(encode(*a, **k)) or encoded[-1]
    trainer(limit_train_batches=2).fit(method, datamodule=unlabelled)
    assert all(len(rows) == 480 and (rows.norm(dim=1) > 0).all() for rows in encoded)
    assert len(encoded) > 0


def test_rows_are_those_of_the_images_that_have_the_index(unlabelled, make, trainer):
    """In eval mode an image's features are its own, whatever its batch; statistics are of images drawn at random."""
    method = make("contrastive_clustering", unlabelled, start=0.0)
    seen, batches = {}, []

    def encode(image, generator):
        batches.append(image.float().flatten(1))
        return batches[-1]

    def hook(batch, batch_idx):
        seen["plain"] = method.encode_training_split(encode, "a")
        seen["in order"] = torch.cat(batches)
        batches.clear()
        seen["shuffled"] = method.encode_training_split(encode, "a", batch_statistics=True)

    method.on_train_batch_start = hook
    trainer(max_epochs=1, limit_train_batches=1).fit(method, datamodule=unlabelled)
    images = torch.from_numpy(unlabelled.training.take(torch.arange(480).numpy())).float().flatten(1)
    assert torch.equal(seen["plain"], images)
    assert torch.equal(seen["shuffled"], images)
    assert torch.equal(seen["in order"], images)
    assert not torch.equal(torch.cat(batches), images)


def test_an_image_that_comes_twice_or_never_is_an_error(unlabelled, make, trainer, monkeypatch):
    take = BatchDataset.__getitem__
    monkeypatch.setattr(
        BatchDataset, "__getitem__", lambda self, rows: take(self, rows) | {"index": rows.clamp(max=478)}
    )
    with pytest.raises(RuntimeError, match="2 of 480 training images came not once"):
        trainer(max_epochs=1).fit(make("ip_irm", unlabelled, partition_epochs=1), datamodule=unlabelled)


def test_other_images_than_were_announced_are_an_error(data, unlabelled, make, trainer):
    with pytest.raises(RuntimeError, match="told of 160 training images but trains on 480"):
        trainer(max_epochs=1).fit(make("ip_irm", data()), datamodule=unlabelled)


# ---- supervised ----


def step(make, module, batch):
    method = make("supervised", module)
    method.log = lambda *args: None
    loss = method.training_step(batch, 0)
    loss.backward()
    return loss.detach(), [p.grad for p in method.parameters()]


@pytest.mark.parametrize("no_label", [NO_LABEL, -1])
def test_the_supervised_loss_is_the_mean_over_labelled_images(no_label, data, make):
    module = data()
    images, labels = torch.from_numpy(module.splits["train"].images[:32]), torch.arange(32) % 10
    some = torch.where(torch.arange(32) < 12, labels, no_label)
    method = make("supervised", module)
    method.log = lambda *args: None
    with torch.no_grad():
        loss = method.training_step({"image": images, "target/class": some}, 0)
        method = make("supervised", module)
        (view,) = method.views({"image": images}, 1)
        logits = method.classifier(method.backbone(view))[:12]
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(logits, labels[:12]))


def test_a_batch_without_a_label_teaches_nothing(data, make):
    module = data()
    images = torch.from_numpy(module.splits["train"].images[:32])
    loss, gradients = step(make, module, {"image": images, "target/class": torch.full((32,), NO_LABEL)})
    assert loss == 0
    assert all(not gradient.any() for gradient in gradients)


def test_labelled_images_among_others_are_learnt_from(unlabelled, make, trainer):
    method = make("supervised", unlabelled)
    trainer(max_epochs=1).fit(method, datamodule=unlabelled)
    assert all(value.isfinite().all() for value in method.state_dict().values())


def test_an_epoch_without_a_label_is_an_error(unlabelled, make, trainer):
    unlabelled.splits["train"].targets["class"][:] = NO_LABEL
    with pytest.raises(RuntimeError, match=r"no image of epoch 0 has a label \(target/class\)"):
        trainer(max_epochs=2).fit(make("supervised", unlabelled), datamodule=unlabelled)


class StopAfterOneStep(L.Callback):
    def on_train_batch_end(self, trainer, *_):
        trainer.save_checkpoint(f"{trainer.default_root_dir}/a.ckpt")
        trainer.should_stop = True


def test_an_epoch_that_goes_on_after_its_last_labelled_image_is_none_without_a_label(data, make, trainer, tmp_path):
    module = data(keep=64)
    first = next(iter(module.train_dataloader()))["index"].numpy()
    labels = module.splits["train"].targets["class"]
    labels[np.setdiff1d(np.arange(64), first)] = NO_LABEL
    trainer(max_steps=1, callbacks=[StopAfterOneStep()]).fit(make("supervised", module), datamodule=module)
    method = make("supervised", module)
    trainer(max_epochs=1).fit(method, datamodule=module, ckpt_path=tmp_path / "a.ckpt", weights_only=True)
    assert method.images_seen == 64


# ---- STL-10 in its published files ----

STEADY = Augmentation(crop_scale=(0.5, 1.0), jitter_p=0.0, grey_p=0.0)
"""Views that keep the tint."""
TINTS = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


def test_the_partition_recovers_a_nuisance_that_only_unlabelled_images_have(make, trainer, tmp_path, monkeypatch):
    """They are red or blue, the labelled ones grey; three epochs make an encoder that tells tints."""
    monkeypatch.setenv("DISENTANGLE_BENCH_CACHE", str(tmp_path / "cache"))
    made = write_stl10(tmp_path / "stl10", (40, 20, 120))
    tint = np.random.default_rng(1).integers(0, 2, 120)
    for part, images in made.items():
        grey = 128 + np.repeat(np.repeat(images[:, :1, ::24, ::24], 24, 2), 24, 3) // 2  # 4 x 4 squares
        colour = TINTS[tint] if part == "unlabeled" else np.ones((len(images), 3))
        painted = (grey * colour[:, :, None, None]).astype(np.uint8)
        painted.transpose(0, 1, 3, 2).tofile(tmp_path / "stl10" / "stl10_binary" / f"{part}_X.bin")
    options = {"root": str(tmp_path / "stl10"), "batch_size": 10, "view_size": 16, "val_fraction": 0.25}
    module = datamodules.build("stl10", **options)
    maximisation = {"partition_every": 3, "partition_batch_size": 256}
    method = make("ip_irm", module, augmentation=STEADY, warmup=0.0, schedule="constant", **maximisation)
    trainer(max_epochs=4).fit(method, datamodule=module.training_view(frozenset()))
    subset = method.partitions[1].argmax(1).numpy()
    assert len(subset) == 30 + 120
    agreement = float((subset[30:] == tint).mean())
    assert max(agreement, 1 - agreement) > 0.95
