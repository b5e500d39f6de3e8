"""What holds for every built-in method that trains."""

import lightning as L
import pytest
import torch
from torch.nn.functional import normalize
from torch.overrides import TorchFunctionMode

from disentangle_bench import methods
from disentangle_bench.methods.networks.checkpoints import WeightsNotFound
from tests.methods.conftest import SMALL_OPTIONS

TRAINING = sorted(name for name in methods.BUILT_IN if methods.find(name).trains)
SPACES = {
    "simclr": {"projection": 128},
    "vicreg": {"projection": 256},
    "barlow_twins": {"projection": 256},
    "supervised": {},
    "ip_irm": {"projection": 128},
    "style_blocks": {"content": 32, "style/appearance": 16, "style/spatial": 16, "joint": 64},
    "domain_contrastive": {"code": 128},
    "contrastive_clustering": {"projection": 128, "assignment": 10},
    "byol": {"projection": 128},
    "simsiam": {"projection": 256},
    "moco": {"projection": 128},
    "swav": {"projection": 128},
    "dino": {"projection": 128},
    "looc": {"invariant": 64, "keeps/appearance": 64, "keeps/spatial": 64, "joint": 192},
    "augself": {"projection": 128},
    "cc": {"projection": 128, "assignment": 10},
    "odr": {"content": 128, "domain": 128},
    "beta_vae": {"code": 10},
    "factor_vae": {"code": 10},
}


class StopAfterFirstEpoch(L.Callback):
    """Saves a checkpoint at the end of epoch 0, or at its last step, and ends the run."""

    def __init__(self, path, at_last_step=False):
        self.path, self.at_last_step = path, at_last_step

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if self.at_last_step and trainer.is_last_batch:
            self.stop(trainer)

    def on_train_epoch_end(self, trainer, pl_module):
        if not self.at_last_step:
            self.stop(trainer)

    def stop(self, trainer):
        trainer.save_checkpoint(self.path)
        trainer.should_stop = True


class Losses(L.Callback):
    def __init__(self):
        self.values = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.values.append(float(outputs["loss"]))


def state_of(method):
    state = dict(method.state_dict())
    state |= {f"partition {i}": logits for i, logits in enumerate(getattr(method, "partitions", []))}
    state |= {"views": method.views_generator.get_state(), "passes": torch.tensor(method.forward_passes)}
    return state | {"images": torch.tensor(method.images_seen)}


def resumed_equals_straight(name, options, data, make, trainer, path, at_last_step=False):
    module = data()
    straight, losses = make(name, module, **options), Losses()
    initial = {key: value.clone() for key, value in straight.state_dict().items()}
    trainer(limit_train_batches=3, callbacks=[losses]).fit(straight, datamodule=module)
    assert len(losses.values) == 6
    assert torch.tensor(losses.values).isfinite().all()
    changed = [key for key, value in straight.named_parameters() if not torch.equal(value, initial[key])]
    assert changed == [key for key, _ in straight.named_parameters()]

    torch.manual_seed(1)  # the global stream must not matter
    first = make(name, module, **options)
    stop = StopAfterFirstEpoch(path, at_last_step)
    trainer(limit_train_batches=3, callbacks=[stop]).fit(first, datamodule=data())
    assert first.images_seen == straight.images_seen / 2
    torch.manual_seed(2)
    second = make(name, module, **options)
    trainer(limit_train_batches=3).fit(second, datamodule=data(), ckpt_path=path, weights_only=True)

    expected, got = state_of(straight), state_of(second)
    assert got.keys() == expected.keys()
    different = [key for key in expected if not torch.equal(expected[key], got[key])]
    assert different == []


@pytest.mark.parametrize("name", TRAINING)
def test_a_resumed_run_equals_the_uninterrupted_one(name, data, make, trainer, tmp_path):
    resumed_equals_straight(name, SMALL_OPTIONS.get(name, {}), data, make, trainer, tmp_path / "a.ckpt")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ip_irm", {"partition_every": 1, "partition_epochs": 3, "mixup": True, "num_subsets": 3}),
        ("style_blocks", {"form": "vicreg", "weights_lr": 1.0, "trim": 0.1}),
        ("contrastive_clustering", {"start": 0.0}),
        ("looc", {"form": "queue", "queue_size": 48}),
    ],
    ids=["ip_irm-mixup", "style_blocks-vicreg", "contrastive_clustering-from-start", "looc-queue"],
)
def test_variants_resume_too_also_from_an_epochs_last_step(name, options, data, make, trainer, tmp_path):
    resumed_equals_straight(name, options, data, make, trainer, tmp_path / "a.ckpt", at_last_step=True)


JUDGED_BY = {
    **{"style_blocks": ("features", "content"), "looc": ("features", "invariant"), "odr": ("content", "content")},
    **dict.fromkeys(("domain_contrastive", "beta_vae", "factor_vae"), ("code", "code")),
}


@pytest.mark.parametrize("name", sorted(methods.BUILT_IN))
def test_the_spaces_that_a_method_is_judged_by_are_among_those_it_offers(name, data, make):
    module = data()
    method = make(name, module, **SMALL_OPTIONS.get(name, {})).eval()
    with torch.no_grad():
        spaces = method.embed(torch.from_numpy(module.splits["val"].take(torch.arange(3).numpy())))
    assert (method.primary_space, method.invariant_space) == JUDGED_BY.get(name, ("features", "features"))
    assert {method.primary_space, method.invariant_space} <= spaces.keys()


def test_leakage_is_asked_of_the_primary_space_unless_a_class_says_otherwise():
    class Own(methods.find("style_blocks")):
        primary_space = "joint"

    class Inherits(methods.find("style_blocks")):
        pass

    assert (Own.invariant_space, Inherits.primary_space, Inherits.invariant_space) == ("joint", "features", "content")


class Normalised(TorchFunctionMode):
    """Within it, `types` has the precision of all that is divided by its length."""

    def __init__(self):
        super().__init__()
        self.types = set()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is normalize:
            self.types.add(args[0].dtype)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", TRAINING)
def test_half_precision_steps_are_finite_and_spaces_as_promised(name, data, make, trainer):
    module, losses = data(), Losses()
    method = make(name, module, **SMALL_OPTIONS.get(name, {}))
    with Normalised() as normalised:
        trainer(max_epochs=1, limit_train_batches=2, precision="bf16-mixed", callbacks=[losses]).fit(
            method, datamodule=module
        )
    assert torch.bfloat16 not in normalised.types, "codes keep eight bits of the sphere"
    assert torch.tensor(losses.values).isfinite().all()
    assert all(value.isfinite().all() for value in method.state_dict().values())
    method.eval()
    with torch.no_grad():
        spaces = method.embed(torch.from_numpy(module.splits["val"].take(torch.arange(5).numpy())))
    assert {key: tuple(space.shape) for key, space in spaces.items()} == {
        "features": (5, 256),
        **{key: (5, width) for key, width in SPACES[name].items()},
    }
    assert all(space.isfinite().all() for space in spaces.values())


def test_all_methods_have_the_same_encoder_with_the_same_start(data, make):
    module = data()
    encoders = {}
    for name in [*TRAINING, "random_init"]:
        torch.manual_seed(len(encoders))
        encoders[name] = make(name, module, seed=3, **SMALL_OPTIONS.get(name, {})).backbone.state_dict()
    reference = encoders.pop("random_init")
    for name, encoder in encoders.items():
        assert {key: value.shape for key, value in encoder.items()} == {k: v.shape for k, v in reference.items()}, name
        assert all(torch.equal(encoder[key], reference[key]) for key in reference), name


@pytest.mark.parametrize("name", TRAINING)
def test_the_seed_alone_decides_all_initial_weights(name, data, make):
    module = data()
    torch.manual_seed(1)
    a = make(name, module, seed=3, **SMALL_OPTIONS.get(name, {})).state_dict()
    torch.manual_seed(2)
    b = make(name, module, seed=3, **SMALL_OPTIONS.get(name, {})).state_dict()
    c = make(name, module, seed=4, **SMALL_OPTIONS.get(name, {})).state_dict()
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert not all(torch.equal(a[key], c[key]) for key in a)


def test_the_encoder_can_start_from_a_file(data, make, tmp_path):
    from safetensors.torch import save_file

    module = data()
    other = make("simclr", module, seed=7).backbone.state_dict()
    save_file({key: value.contiguous() for key, value in other.items()}, tmp_path / "e.safetensors")
    method = make("domain_contrastive", module, init=str(tmp_path / "e.safetensors"))
    assert all(torch.equal(value, other[key]) for key, value in method.backbone.state_dict().items())
    with pytest.raises(
        WeightsNotFound, match=r"no file .*missing\.safetensors', which should be an encoder of this suite"
    ):
        make("simclr", module, init=str(tmp_path / "missing.safetensors"))
    other.pop("layers.0.weight")
    save_file({key: value.contiguous() for key, value in other.items()}, tmp_path / "f.safetensors")
    with pytest.raises(ValueError, match=r"1 of 20 tensors are not in there, such as layers\.0\.weight"):
        make("simclr", module, init=str(tmp_path / "f.safetensors"))


@pytest.mark.parametrize("name", TRAINING)
def test_a_seed_decides_weights_and_views(name, data, make):
    module, image = data(), torch.arange(4 * 3 * 16 * 16).view(4, 3, 16, 16).to(torch.uint8)
    first, again, other = (make(name, module, seed=seed, **SMALL_OPTIONS.get(name, {})) for seed in (0, 0, 1))
    weights = [torch.cat([p.detach().flatten() for p in one.backbone.parameters()]) for one in (first, again, other)]
    views = [one.views({"image": image})[0] for one in (first, again, other)]
    for drawn in (weights, views):
        assert torch.equal(drawn[0], drawn[1])
        assert not torch.equal(drawn[0], drawn[2])
