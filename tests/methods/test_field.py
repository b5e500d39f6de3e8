"""What each method of the field does that no other does: who follows whom, who gets a gradient, what is predicted."""

import copy
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from PIL import Image
from torch import nn
from torch.testing import assert_close

from disentangle_bench.methods.field import dino, looc
from disentangle_bench.methods.networks import traversals
from disentangle_bench.methods.networks.heads import mlp
from disentangle_bench.methods.networks.momentum import MomentumEncoder, enqueue
from disentangle_bench.methods.networks.variational import Decoder
from disentangle_bench.methods.objectives.inputs import upcast
from disentangle_bench.methods.views import Augmentation, together


def step(method, module, monkeypatch, share=lambda step: 0.0):
    """Gradients of one training step, the first; `share` of the budget that is spent after a step."""
    for logged in ("log", "log_dict"):
        monkeypatch.setattr(method, logged, lambda *args: None)
    monkeypatch.setattr(method, "share_of_budget", share)
    loss = method.training_step(next(iter(module.train_dataloader())), 0)
    loss.backward()
    return loss


def test_a_momentum_encoder_follows_and_has_no_hooks_of_its_models():
    counted = []
    backbone, head = nn.Linear(3, 4), mlp(4, 5, 2)
    backbone.register_forward_pre_hook(lambda *_: counted.append("model"))
    keys = MomentumEncoder(backbone, head, lambda *_: counted.append("keys"))
    before = copy.deepcopy(keys.state_dict())
    for parameter in [*backbone.parameters(), *head.parameters()]:
        parameter.data += 1
    keys.follow(backbone, head, 0.75)
    for name, value in keys.named_parameters():
        assert_close(value, before[name] + 0.25)
        assert not value.requires_grad
    assert not keys(torch.randn(6, 3)).requires_grad
    assert counted == ["keys"]


@pytest.mark.parametrize(
    ("name", "keys", "head"),
    [
        ("byol", "target", "projector"),
        ("dino", "teacher", "head"),
        ("moco", "keys", "projector"),
        ("looc", "keys", "heads"),
    ],
)
def test_each_step_its_momentum_encoder_follows_once(name, keys, head, data, make, monkeypatch):
    module, moved = data(), []
    method = make(name, module, **({"form": "queue"} if name == "looc" else {}))
    monkeypatch.setattr(MomentumEncoder, "follow", lambda *given: moved.append(given[:3]))
    step(method, module, monkeypatch)
    assert moved == [(getattr(method, keys), method.backbone, getattr(method, head))]


@pytest.mark.parametrize("name", ["byol", "dino"])
def test_a_target_moves_less_and_less_until_it_rests(name, data, make, monkeypatch):
    """Half a cosine from tau to 1, over the share of the budget that was spent before the step."""
    module, moved = data(), []
    method = make(name, module, tau=0.9)
    monkeypatch.setattr(MomentumEncoder, "follow", lambda *given: moved.append(given[-1]))
    for share in (0.0, 0.25, 0.5, 1.0, 1.5):
        step(method, module, monkeypatch, {-1: share}.get)
    assert moved == pytest.approx([0.9, 1 - 0.1 * (2 + 2**0.5) / 4, 0.95, 1, 1])


def test_the_oldest_fall_out_of_a_queue():
    queue = torch.arange(5.0)[:, None]
    enqueue(queue, [torch.tensor([[9.0], [8.0]])])
    assert queue.flatten().tolist() == [2, 3, 4, 9, 8]
    enqueue(queue, [torch.arange(7.0)[:, None]])
    assert queue.flatten().tolist() == [2, 3, 4, 5, 6]


@pytest.mark.parametrize(("name", "passes"), [("byol", 4), ("dino", 4), ("moco", 2), ("looc", 4), ("odr", 1)])
def test_passes_of_every_encoder_are_counted(name, passes, data, make, monkeypatch):
    module = data()
    method = make(name, module)
    step(method, module, monkeypatch)
    assert method.forward_passes == 32 * passes


def test_keys_join_the_queue_after_the_step(data, make, monkeypatch):
    module = data()
    method = make("moco", module, queue_size=48)
    before = method.queue.clone()
    step(method, module, monkeypatch)
    assert_close(method.queue[:16], before[32:])
    assert_close(method.queue.norm(dim=1), torch.ones(48))


def test_prototypes_rest_at_first(data, make, monkeypatch):
    module = data()
    for freeze in (0.0, 0.5):
        method = make("swav", module, freeze=freeze)
        step(method, module, monkeypatch)
        assert bool(method.prototypes.grad.abs().sum() > 0) == (freeze == 0)


def test_the_centre_moves_after_the_loss_and_the_teachers_temperature_rises_in_a_line(data, make, monkeypatch):
    module = data()
    method = make("dino", module, num_prototypes=8, center_momentum=0.75)
    seen = []
    method.teacher.register_forward_hook(lambda module, inputs, scores: seen.append(scores))
    before = []
    monkeypatch.setattr(
        dino, "self_distillation", lambda *args, **kw: before.append(args[4].clone()) or args[0].sum() + args[1].sum()
    )
    method.center += 1
    step(method, module, monkeypatch)
    assert_close(before[0], torch.ones(8))
    assert_close(method.center, 0.75 + 0.25 * torch.cat(seen).mean(0))
    assert [method.teacher_temperature(share) for share in (0, 0.15, 0.3, 1)] == pytest.approx(
        [0.04, 0.055, 0.07, 0.07]
    )
    assert make("dino", module, teacher_warmup=0.0).teacher_temperature(0.0) == 0.07


def test_dinos_prototypes_have_length_one_and_rest_at_first(data, make, monkeypatch):
    module = data()
    for freeze in (0.0, 0.5):
        method = make("dino", module, freeze=freeze)
        features = torch.randn(4, method.num_features)
        before = method.head(features)
        method.head.prototypes.data *= 3
        assert_close(method.head(features), before)  # cosines, whatever the prototypes' length
        step(method, module, monkeypatch)
        assert bool(method.head.prototypes.grad.abs().sum() > 0) == (freeze == 0)


def test_a_described_crop_is_where_the_view_was_cut_out(data, make):
    """The view of an image whose pixels say where they are shows the centre and the size that are to be predicted."""
    method = make("augself", data(), normalize="none")
    at = (torch.arange(64) + 0.5) / 64
    images = torch.stack([at[:, None].expand(64, 64), at.expand(64, 64), torch.zeros(64, 64)]).expand(16, -1, -1, -1)
    augmentation = Augmentation(crop_scale=(0.2, 0.6), flip=0.5, jitter_p=0.0, grey_p=0.0)
    params = augmentation.draw(16, torch.Generator().manual_seed(0))
    view = augmentation.apply(images, params, (32, 32))
    vertical, horizontal, height, width = method.describe(params)["crop"].unbind(1)
    flip = params["spatial"]["flip"]
    assert 0 < flip.sum() < 16
    centre = view[:, :2, 15:17, 15:17].mean((2, 3))
    assert_close(vertical, centre[:, 0], atol=0.01, rtol=0)
    assert_close(torch.where(flip, 1 - horizontal, horizontal), centre[:, 1], atol=0.01, rtol=0)
    assert_close(height, (view[:, 0, 27, 16] - view[:, 0, 4, 16]) * 32 / 23, atol=0.02, rtol=0)
    assert_close(width, (view[:, 1, 16, 27] - view[:, 1, 16, 4]).abs() * 32 / 23, atol=0.02, rtol=0)


def test_grey_images_have_neither_saturation_nor_hue_to_predict(data, make):
    method, colours = make("augself", data()), {}
    drawn = method.augmentation.draw(64, torch.Generator().manual_seed(0))
    for channels in (1, 3):
        method.image_shape = (channels, 8, 8)
        colours[channels] = method.describe(drawn)["color"]
    assert colours[1][:, 2:].abs().max() == 0
    assert colours[3][:, 2:].abs().max() > 0
    assert_close(colours[1][:, :2], colours[3][:, :2])


def test_unknown_tasks_and_groups_are_named(data, make):
    with pytest.raises(ValueError, match=r"nothing to predict called \['rotation'\]; there are crop, color, flip"):
        make("augself", data(), tasks={"rotation": 1.0})
    with pytest.raises(ValueError, match=r"no drawn parameters \['colour'\]"):
        make("looc", data(), groups={"a": ["colour"]})


def test_odr_weights_grow_as_in_the_reference(golden, data, make):
    case = golden("odr/odr_terms")
    names = {"entropy_weight": "lambda_e", "orthogonality_weight": "lambda_od"}
    names |= {"entropy_growth": "gamma_e", "orthogonality_growth": "gamma_od", "growth_epochs": "step_size"}
    method = make("odr", data(), **{ours: case.options[theirs] for ours, theirs in names.items()})
    for epoch, *expected in case["out_schedule_epoch_lambda_e_lambda_od"]:
        assert list(method.weights_of(epoch).values()) == pytest.approx(expected)


@pytest.mark.parametrize("part", ["domain", "uninformative"])
def test_who_learns_from_which_of_odrs_losses(part, data, make, monkeypatch):
    module = data()
    others = {"content", "domain", "uninformative", "prior"} - {part}
    method = make("odr", module)
    monkeypatch.setattr(method, "weights_of", lambda epoch: dict.fromkeys(others, 0.0) | {part: 1.0})
    step(method, module, monkeypatch)
    parts = {"backbone": method.backbone, "head": method.domain_head, "own code": method.domain_code}
    learns = {name for name, p in parts.items() if any(v.grad is not None and v.grad.any() for v in p.parameters())}
    assert learns == ({"head", "own code"} if part == "domain" else {"backbone"})


def test_the_discriminator_learns_to_tell_and_the_encoder_not_to(data, make, monkeypatch):
    module = data()
    method = make("factor_vae", module, discriminator_dim=16, gamma=1.0)
    step(method, module, monkeypatch)
    own = [value.grad.clone() for value in method.discriminator.parameters()]
    stronger = make("factor_vae", module, discriminator_dim=16, gamma=100.0)
    step(stronger, module, monkeypatch)
    for value, grad in zip(stronger.discriminator.parameters(), own, strict=True):
        assert_close(value.grad, grad)
    assert not torch.allclose(stronger.encoder_head.weight.grad, method.encoder_head.weight.grad)


@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 28, 28), (3, 64, 48)])
def test_a_decoder_makes_images_of_any_size(shape):
    images = Decoder(5, shape, width=8)(torch.randn(2, 5))
    assert images.shape == (2, *shape)
    assert upcast(images) is images


def test_looc_pulls_a_space_to_the_key_that_shares_its_group(data, make, monkeypatch):
    """Views are drawn as each space needs them: key 1 has the query's appearance, key 2 its geometry."""
    module, seen = data(), []
    method = make("looc", module)
    monkeypatch.setattr(looc, "together", lambda views: seen.extend(views) or together(views))
    step(method, module, monkeypatch)
    query, first, second, third = seen
    equal = [
        [group for group in query if all(torch.equal(v, view[group][k]) for k, v in query[group].items())]
        for view in (first, second, third)
    ]
    assert equal == [[], ["appearance"], ["spatial"]]


@pytest.mark.parametrize("name", ["beta_vae", "factor_vae"])
def test_what_a_codes_dimensions_do_is_drawn(name, data, make, trainer, tmp_path):
    """Drawing changes nothing that is counted or learnt."""
    module = data()
    method = make(name, module, code_dim=3, decoder_dim=8)
    trainer(max_epochs=1, limit_train_batches=2).fit(method, datamodule=module)
    assert not list(tmp_path.iterdir()), "without a logger nothing is left"
    method = make(name, module, code_dim=3, decoder_dim=8)
    trainer(max_epochs=1, limit_train_batches=2, logger=CSVLogger(tmp_path)).fit(method, datamodule=module)
    picture = Image.open(tmp_path / "images" / "traversals.png")
    assert picture.size == (8 * 18 + 2, 5 * 18 + 2)  # images, their own, three dimensions
    assert method.training
    assert method.forward_passes == 64


def test_a_picture_of_a_code_is_images_then_what_becomes_of_them_and_the_first_process_draws_it(monkeypatch):
    other = SimpleNamespace(trainer=SimpleNamespace(is_global_zero=False))
    traversals.save_grid(other, "x.png", lambda: pytest.fail("drawn"), 1)
    drawn, images = [], torch.rand(10, 3, 4, 4)
    monkeypatch.setattr(traversals, "save_grid", lambda method, name, draw, per_row: drawn.append((draw(), per_row)))
    method = SimpleNamespace(trainer=SimpleNamespace(loggers=["one"]))
    traversals.save(
        method, images, lambda x: x[:, 0, 0, :2], lambda code: code.sum(1)[:, None, None, None] + images[:1]
    )
    ((rows, per_row),) = drawn
    assert (len(rows), per_row) == (4 * 8, 8), "two dimensions"
    assert_close(rows[:8], images[:8])
    assert_close(rows[8:16], images[:8, 0, 0, :2].sum(1)[:, None, None, None] + images[:1])


def test_one_dimension_moves_at_a_time():
    moved = traversals.moved(torch.tensor([[0.5, -0.5], [3.0, 4.0]]))
    assert_close(moved, torch.tensor([[-2.0, -0.5], [2.0, -0.5], [0.5, -2.0], [0.5, 2.0]]))


def test_noise_is_a_steps_own_and_processes_share_its_rows(data, make, monkeypatch):
    method = make("beta_vae", data())
    whole = method.noise("code", 8, 3)
    assert_close(method.noise("code", 8, 3), whole, rtol=0, atol=0)
    assert not torch.equal(method.noise("other", 8, 3), whole)
    monkeypatch.setattr(type(method), "world_size", 2)
    parts = []
    for rank in (0, 1):
        monkeypatch.setattr(type(method), "global_rank", rank)
        parts.append(method.noise("code", 4, 3))
    assert_close(torch.cat(parts), whole, rtol=0, atol=0)
    method.images_seen += 8
    assert not torch.equal(method.noise("code", 4, 3), parts[-1])


@pytest.mark.parametrize(("name", "options"), [("moco", {}), ("looc", {"form": "queue"})])
def test_what_joins_the_queue_are_codes_of_the_second_view_by_the_momentum_encoder(
    name, options, data, make, monkeypatch
):
    module, seen = data(), []
    method = make(name, module, queue_size=48, **options)
    method.keys.register_forward_hook(lambda module, inputs, codes: seen.append(codes))
    step(method, module, monkeypatch)
    assert_close(method.queue[-32:], nn.functional.normalize(seen[0], dim=-1))


def test_odrs_weights_are_those_of_the_epoch(data, make, monkeypatch):
    module, asked = data(), []
    method = make("odr", module)
    weights = method.weights_of
    monkeypatch.setattr(type(method), "current_epoch", 7)
    monkeypatch.setattr(method, "weights_of", lambda epoch: asked.append(epoch) or weights(epoch))
    step(method, module, monkeypatch)
    assert asked == [7]
