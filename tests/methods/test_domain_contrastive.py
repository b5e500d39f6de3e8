"""Domains, positives, reconstruction."""

import pytest
import torch
from PIL import Image
from torch import nn
from torch.testing import assert_close

from disentangle_bench import datamodules, methods
from disentangle_bench.methods import domain_contrastive
from disentangle_bench.methods.views import Positives


def test_a_data_set_without_domains_is_an_error():
    module = datamodules.build("digits")
    module.setup()
    with pytest.raises(ValueError, match="DomainContrastive trains with domain labels, but `data` has no such targets"):
        methods.build("domain_contrastive", image_shape=module.image_shape, data=module.describe())
    module = datamodules.build("colored_digits")
    with pytest.raises(ValueError, match="the domain target 'class'; colored_digits has: color"):
        methods.build("domain_contrastive", image_shape=(3, 32, 32), data=module.describe(), domain="class")


def test_each_positive_has_one_transform_and_an_images_positives_have_different_ones():
    positives = Positives()
    first, second = positives.draw(400, 2, torch.Generator().manual_seed(0))
    kinds = []
    for view in (first, second):
        spatial, appearance = view["spatial"], view["appearance"]
        done = torch.stack([
            appearance["blur"],
            (appearance["contrast"] != 1),
            (spatial["area"] != 1),
            (appearance["saturation"] != 1),
        ])  # fmt: skip
        assert (done.sum(0) == 1).all()
        assert (appearance["jitter"] == (done[1] | done[3])).all()
        assert not appearance["grey"].any()
        assert ((spatial["log_ratio"] != 0) == done[2]).all()
        assert (appearance["sigma"][done[0]] == 1).all()
        assert ((appearance["contrast"][done[1]] >= 1.8) & (appearance["contrast"][done[1]] <= 3)).all()
        assert ((spatial["area"][done[2]] >= 0.5) & (spatial["area"][done[2]] <= 1)).all()
        kinds.append(done.int().argmax(0))
    assert (kinds[0] != kinds[1]).all()
    assert kinds[0].bincount().min() > 60


def test_transforms_can_be_listed_and_do_what_they_say():
    images = torch.rand(6, 3, 16, 16)
    generator = torch.Generator().manual_seed(0)

    def view(**ranges):
        positives = Positives(ranges)
        return positives.apply(images, positives.draw(6, 1, generator)[0])

    assert_close(view(flip=[]), images.flip(-1), atol=1e-5, rtol=1e-5)
    assert_close(view(rotation=[180, 180]), images.flip(-1, -2), atol=1e-4, rtol=1e-4)
    grey = view(grey=[])
    assert_close(grey[:, 0], grey[:, 2])
    assert_close(view(brightness=[0.5, 0.5]), images / 2)
    with pytest.raises(ValueError, match="unknown transform 'shear'"):
        Positives({"shear": [0, 1]})
    with pytest.raises(ValueError, match="crop needs"):
        Positives({"crop": []})


def test_reconstructions_and_swaps_are_drawn_and_parts_learn_at_their_own_rates(data, make, trainer, tmp_path):
    module = data()
    method = make(
        "domain_contrastive",
        module,
        reconstruction=True,
        perceptual="none",
        generator_channels=8,
        images_every=2,
        generator_lr=3e-4,
        domain_lr=3e-3,
        lr=1e-4,
    )
    fitting = trainer(limit_train_batches=2)
    fitting.fit(method, datamodule=module)
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["swaps epoch=0002.png"]
    assert Image.open(tmp_path / "images/swaps epoch=0002.png").size == (
        8 * 18 + 2,
        12 * 18 + 2,
    )  # images, own, 10 swaps
    assert method.training
    rates = {id(p): group["initial_lr"] for group in fitting.optimizers[0].param_groups for p in group["params"]}
    assert rates.keys() == {id(p) for p in method.parameters()}
    assert rates[id(method.domain_embedding.weight)] == 3e-3
    assert rates[id(method.generator.linear[0].weight)] == rates[id(method.modulation.maps[0].bias)] == 3e-4
    assert rates[id(method.projector.weight)] == rates[id(method.backbone.layers[0].weight)] == 1e-4


def test_a_run_that_goes_on_within_an_epoch_is_drawn_too(data, make, trainer, tmp_path):
    """The batch that is shown is an epoch's first, or the first that this process saw."""
    module = data()
    options = {"reconstruction": True, "perceptual": "none", "generator_channels": 8, "images_every": 1}
    trainer(max_epochs=1, limit_train_batches=2).fit(method := make("domain_contrastive", module, **options), module)
    fresh = make("domain_contrastive", module, **options)
    fresh._trainer = method._trainer
    monitored = next(iter(module.train_dataloader()))
    fresh.log_dict = fresh.log = lambda *_: None
    fresh.training_step(monitored, 3)
    fresh.on_train_epoch_end()
    assert len(list((tmp_path / "images").iterdir())) == 2


def test_perceptual_weights_are_asked_for_not_replaced(data, make, monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(FileNotFoundError, match="perceptual: none"):
        make("domain_contrastive", data(), reconstruction=True)


def test_views_too_small_for_the_perceptual_network_are_refused_before_training(data, make, monkeypatch):
    monkeypatch.setattr(domain_contrastive, "Perceptual", lambda weights: nn.Identity())
    with pytest.raises(ValueError, match=r"at least 32 pixels a side, these are \(16, 16\): choose perceptual: none"):
        make("domain_contrastive", data(), reconstruction=True)


def test_too_many_positives_are_an_error(data, make):
    with pytest.raises(ValueError, match="num_positives is 5, but only 4 are listed"):
        make("domain_contrastive", data(), num_positives=5)


def test_batches_of_one_image_a_domain_are_an_error_that_says_what_to_set(data, make, trainer):
    module = data(batch_size=10)
    module.splits["train"].targets["color"][:] = range(160)  # as a data set of many identities has it
    with pytest.raises(RuntimeError, match=r"no two of the batch's 10 images.*data\.domains_per_batch to at most half"):
        trainer(max_epochs=1).fit(make("domain_contrastive", module), datamodule=module)
    module = data(batch_size=10, balance="color", domains_per_batch=5)
    trainer(max_epochs=1, limit_train_batches=2).fit(make("domain_contrastive", module), datamodule=module)


@pytest.mark.parametrize("everything", [False, True])
def test_an_image_that_fills_up_its_small_domain_is_not_its_own_negative(data, make, everything):
    module = data()
    method = make("domain_contrastive", module, all_negatives=everything)
    method.log = lambda *_: None
    images, again = torch.from_numpy(module.splits["train"].images), [3, 3]
    batch = {"image": images[again], "index": torch.tensor(again), "target/color": torch.tensor([1, 1])}
    assert method.training_step(batch, 0).item() == 0
    assert method.training_step(batch | {"image": images[[3, 4]], "index": torch.tensor([3, 4])}, 0).item() > 0


def test_with_all_negatives_domains_make_no_difference(data, make, trainer):
    """The ablation: the same batch in other domains has the same loss, which it has not otherwise."""
    losses = {}
    for everything in (True, False):
        for shift in (0, 3):
            module = data()
            colors = module.splits["train"].targets["color"]
            colors[:] = (colors + shift * (torch.arange(160).numpy() % 2)) % 10
            method = make("domain_contrastive", module, all_negatives=everything)
            fitting = trainer(max_epochs=1, limit_train_batches=1)
            fitting.fit(method, datamodule=module)
            losses[everything, shift] = float(fitting.callback_metrics["loss"])
    assert losses[True, 0] == losses[True, 3] > losses[False, 0]
    assert losses[False, 0] != losses[False, 3]
