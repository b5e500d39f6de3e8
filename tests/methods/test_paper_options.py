"""Options that the papers' runs need: where encoders start, schedules, asymmetric branches, ablations."""

import copy
from types import SimpleNamespace

import pytest
import timm
import torch
from lightning.pytorch.callbacks import Timer
from torch.testing import assert_close

from disentangle_bench.methods import ip_irm
from disentangle_bench.methods.networks.backbones import backbone
from disentangle_bench.methods.networks.checkpoints import load_weights, read_moco
from disentangle_bench.methods.objectives.contrastive import info_nce
from disentangle_bench.methods.objectives.domain_contrastive import domain_info_nce
from disentangle_bench.methods.views import Augmentation


@pytest.fixture
def moco(tmp_path):
    """A checkpoint in the published layout, of a small ResNet with one channel more or less."""
    encoder = timm.create_model("resnet18", num_classes=0)
    state = {f"module.encoder_q.{name}": value for name, value in encoder.state_dict().items()}
    head = {"fc.0.weight": (512, 512), "fc.0.bias": (512,), "fc.2.weight": (128, 512), "fc.2.bias": (128,)}
    state |= {f"module.encoder_q.{name}": torch.randn(shape) for name, shape in head.items()}
    state |= {"module.encoder_k.conv1.weight": torch.zeros(64, 3, 7, 7), "module.queue": torch.zeros(128, 8)}
    torch.save({"epoch": 800, "arch": "resnet18", "state_dict": state}, tmp_path / "moco.pth.tar")
    return str(tmp_path / "moco.pth.tar"), state


def test_a_moco_checkpoint_gives_encoder_and_first_projection_layer(moco, data, make):
    path, state = moco
    own = {"backbone": "resnet18", "stem": "imagenet", "init": path}
    method = make("domain_contrastive", data(), hidden_dim=512, projection_dim=16, code_layers=3, **own)
    for name, value in method.backbone.state_dict().items():
        assert torch.equal(value, state[f"module.encoder_q.{name}"]), name
    assert torch.equal(method.projector[0].weight, state["module.encoder_q.fc.0.weight"])
    assert [type(layer).__name__ for layer in method.projector] == [*["Linear"] * 3, *["LeakyReLU", "Linear"] * 2]
    untrained = make("domain_contrastive", data(), hidden_dim=512, projection_dim=16, **own | {"init": None})
    assert untrained.projector[0].weight.shape == (512, 512)


def test_grey_images_are_taken_three_times_over(moco):
    path, _ = moco
    grey, colour = (backbone("resnet18", (c, 32, 32), stem="imagenet") for c in (1, 3))
    load_weights(grey, path)
    load_weights(colour, path)
    image = torch.rand(2, 1, 32, 32)
    assert_close(grey.eval()(image), colour.eval()(image.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-4)


def test_what_is_no_moco_checkpoint_is_refused_and_never_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "was run"), "w"))

    torch.save({"state_dict": {"conv1.weight": torch.zeros(1)}}, tmp_path / "other.pth")
    torch.save(Evil(), tmp_path / "evil.pth")
    with pytest.raises(ValueError, match=r"no MoCo-v2 checkpoint: no module\.encoder_q\.conv1"):
        read_moco(str(tmp_path / "other.pth"))
    with pytest.raises(ValueError, match="not a readable checkpoint"):
        read_moco(str(tmp_path / "evil.pth"))
    assert not (tmp_path / "was run").exists()


def test_heads_first_then_all(data, make, trainer):
    method = make("simclr", data(), heads_first=0.5, warmup=0.0, optimizer="lars", lr=0.1, final=0.01)
    states, rates = [], []

    def look(*_):
        weight = method.backbone.layers[0].weight
        states.append((weight.detach().clone(), method.projector[0].weight.detach().clone()))
        groups = method.optimizers().param_groups
        rates.append({group["rests"]: group["lr"] for group in groups})

    method.on_train_batch_end = look
    first = copy.deepcopy(method.backbone.layers[0].weight.detach())
    trainer(max_epochs=2).fit(method, datamodule=data())
    steps = len(states)
    half = steps // 2
    assert all(torch.equal(weight, first) for weight, _ in states[: half - 1])
    assert not torch.equal(states[0][1], states[half - 2][1]), "the projector learns from the start"
    assert not torch.equal(states[-1][0], first), "then all does"
    assert all(rate[True] == 0 for rate in rates[: half - 2])
    assert rates[0][False] > 5 * rates[half - 3][False]
    assert rates[half][False] > 5 * rates[half - 3][False], "the schedule starts again"
    assert rates[-1][False] == rates[-1][True] == pytest.approx(0.1 * 0.01)


def test_steps_down_do_not_start_again_after_the_heads(data, make):
    with pytest.raises(ValueError, match=r"heads_first is 0\.5 but schedule step"):
        make("simclr", data(), heads_first=0.5, schedule="step")


def two_steps(method, monkeypatch):
    """What a matrix and its bias are after each of two steps at gradients of one."""
    monkeypatch.setattr(method, "_lr_factor", lambda step, rests=False: 1.0)
    optimizer = method.configure_optimizers()["optimizer"]
    own = (method.projector[-1].weight, method.projector[-1].bias)
    states = [[p.detach().clone() for p in own]]
    for _ in range(2):
        for parameter in method.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        states.append([p.detach().clone() for p in own])
    return states


def test_sgd_has_plain_momentum(data, make, monkeypatch):
    """As that of MoCo, SimSiam and AugSelf, not Nesterov's: the first step is lr * gradient."""
    method = make("augself", data(), optimizer="sgd", lr=0.1, weight_decay=0.0)
    for before, first, second in zip(*two_steps(method, monkeypatch), strict=True):
        assert_close(first, before - 0.1)
        assert_close(second, first - 0.1 * 1.9)


@pytest.mark.parametrize("decay", [0.0, 0.01])
def test_lars_adapts_the_rate_of_matrices_also_without_decay(decay, data, make, monkeypatch):
    method = make("augself", data(), optimizer="lars", momentum=0.0, lr=0.1, weight_decay=decay)
    (weight, bias), (weights_then, bias_then), _ = two_steps(method, monkeypatch)
    norm, gradients = weight.norm(), weight.numel() ** 0.5
    rate = 0.1 * 0.001 * norm / (gradients + decay * norm)
    assert_close(weight - weights_then, rate * (1 + decay * weight), rtol=1e-3, atol=1e-8)
    assert_close(bias_then, bias - 0.1)


def test_steps_down_come_by_the_epoch(data, make, trainer):
    method = make("simclr", data(), schedule="step", warmup=0.0, step_epochs=2, step_factor=0.33, lr=0.5)
    rates = []
    method.on_train_batch_start = lambda *_: rates.append(method.optimizers().param_groups[0]["lr"])
    trainer(max_epochs=5, limit_train_batches=2).fit(method, datamodule=data())
    assert rates == pytest.approx([0.5 * 0.33**k for k in (0, 0, 0, 0, 1, 1, 1, 1, 2, 2)])


def test_branches_of_their_own_strength(data, make):
    still = Augmentation((1.0, 1.0), flip=0.0, jitter_p=0.0, grey_p=0.0)
    inverted = Augmentation((1.0, 1.0), flip=0.0, jitter_p=0.0, grey_p=0.0, solarize_p=1.0)
    module = data()
    batch = {"image": torch.full((8, 3, 16, 16), 255, dtype=torch.uint8)}
    method = make("simclr", module, augmentation=still, key_augmentation=inverted, normalize="none")
    query, key = method.views(batch)
    assert_close(query, torch.ones_like(query), atol=0.05, rtol=0)
    assert_close(key, torch.zeros_like(key), atol=0.05, rtol=0)
    style = make("style_blocks", module, augmentation=still, key_augmentation=inverted)
    query, keys = style.draw_structured_views(8)
    found = [bool(view["appearance"]["solarize"].all()) for view in (query, *keys)]
    assert found == [False, True, False, True], "the key of the appearance block takes the query's outcome"


def test_statistics_that_are_taken_out(data, make):
    method = make("simclr", data(), normalize="cifar10")
    assert method.mean.flatten().tolist() == pytest.approx([0.4914, 0.4822, 0.4465])
    assert method.std.flatten().tolist() == pytest.approx([0.2023, 0.1994, 0.2010])
    image = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    assert_close(make("simclr", data(), normalize="none").prepare(image), image / 255)


def test_blur_of_a_given_size():
    spot = torch.zeros(1, 1, 32, 32)
    spot[..., 16, 16] = 1
    for size in (3, 7):
        still = {"crop_scale": (1.0, 1.0), "crop_ratio": (1.0, 1.0), "flip": 0.0, "jitter_p": 0.0, "grey_p": 0.0}
        blur = Augmentation(**still, blur_p=1.0, blur_sigma=(5, 5), blur_size=size)
        view = blur.apply(spot, blur.draw(1, torch.Generator().manual_seed(0)))
        assert (view > 1e-3).sum() == size**2
    with pytest.raises(ValueError, match="blur_size must be odd"):
        Augmentation(blur_size=4)


@pytest.mark.parametrize("ablation", [{"num_positives": 0}, {"all_negatives": True}, {"chained": True}])
def test_ablations_of_domain_contrastive_learning(ablation, data, make, monkeypatch):
    module = data(balance="domain", domains_per_batch=4)
    method, calls = make("domain_contrastive", module, **ablation), []

    def record(codes, positives, domains, *rest, **options):
        calls.append((codes, positives, domains))
        return domain_info_nce(codes, positives, domains, *rest, **options)

    monkeypatch.setattr("disentangle_bench.methods.domain_contrastive.domain_info_nce", record)
    monkeypatch.setattr(method, "log", lambda *a: None)
    batch = next(iter(module.train_dataloader()))
    method.training_step(batch, 0).backward()
    ((codes, positives, domains),) = calls
    similarity = (codes * positives[:, 0]).sum(1)
    assert ("num_positives" in ablation) == bool((similarity > 1 - 1e-6).all())
    assert len(domains.unique()) == (1 if "all_negatives" in ablation else 4)


def test_mixup_without_partitions_and_partitions_summed(data, make, trainer):
    with pytest.raises(ValueError, match="sum_partitions goes with mixup"):
        make("ip_irm", data(), sum_partitions=True)
    baseline = make("ip_irm", data(), partition_every=0, mixup=True)
    trainer(max_epochs=1, limit_train_batches=2).fit(baseline, datamodule=data())
    assert not baseline.partitions
    images = {key: value for key, value in next(iter(data().train_dataloader())).items() if "target" not in key}
    losses = {}
    for total in (False, True):
        method = make("ip_irm", data(), mixup=True, sum_partitions=total, keep_global=False, penalty_weight=0.0)
        method.partitions = [torch.eye(2).repeat(80, 1)] * 3
        method.log = lambda *a: None
        losses[total] = method.training_step(images, 0).item()
    assert losses[True] == pytest.approx(3 * losses[False], rel=1e-5)


def test_simclr_is_ip_irm_without_partitions(data, make, monkeypatch):
    method = make("ip_irm", data(), partition_every=0)
    method.log = lambda *a: None
    batch = next(iter(data().train_dataloader()))
    state = method.views_generator.get_state()
    loss = method.training_step(batch, 0)
    method.views_generator.set_state(state)
    z1, z2 = map(method.project, method.views(batch))
    assert_close(loss, info_nce(z1, z2, 0.5))


def test_online_partitions_see_fresh_views_in_every_epoch(data, make, trainer, monkeypatch):
    module = data(keep=64)
    method = make("ip_irm", module, partition_every=1, partition_epochs=3, partition_online=True)
    streams, original = [], method.encode_training_split
    monkeypatch.setattr(
        method, "encode_training_split", lambda f, stream: streams.append(stream) or original(f, stream)
    )
    trainer(max_epochs=1, limit_train_batches=1).fit(method, datamodule=module)
    assert streams == ["partition/0", "partition/0/1", "partition/0/2"]


@pytest.mark.parametrize(
    ("online", "rate"), [(True, {"lr": 0.1, "milestones": (5, 25), "min_epochs": 25}), (False, {})]
)
def test_partitions_learn_at_the_authors_online_rate_where_views_are_fresh(online, rate, data, make, monkeypatch):
    method, given = make("ip_irm", data(), partition_online=online, partition_epochs=1), {}

    def learn(z1, z2, progress, **options):
        progress(0, 0.0)
        return given.update(options) or z1

    monkeypatch.setattr(ip_irm, "learn_partition", learn)
    monkeypatch.setattr(method, "encode_training_split", lambda *_: torch.zeros(4, 2))
    method._trainer = SimpleNamespace(current_epoch=0, is_global_zero=True, progress_bar_callback=None)
    method.find_partition()
    assert {name: given.get(name) for name in rate} == rate
    assert ("lr" in given) == ("redraw" in given) == online


def test_partitions_are_found_on_a_view_of_each_strength(data, make, monkeypatch):
    plain, strong = Augmentation(jitter=(0.0,) * 4), Augmentation(jitter=(0.8, 0.0, 0.0, 0.0), jitter_p=1.0)
    method, drawn = make("ip_irm", data(), augmentation=plain, key_augmentation=strong), []
    apply = method.apply_views
    monkeypatch.setattr(method, "apply_views", lambda image, params: drawn.append(params) or apply(image, params))
    method._two_codes(torch.zeros(6, 3, 16, 16, dtype=torch.uint8), torch.Generator().manual_seed(0))
    changed = drawn[0]["appearance"]["brightness"] != 1
    assert changed.tolist() == [False] * 6 + [True] * 6


def test_the_clock_is_read_once_a_step(data, make, trainer, monkeypatch):
    """Each reading is agreed on by all processes; an optimiser has several groups of parameters that ask."""
    read = []
    monkeypatch.setattr(Timer, "time_elapsed", lambda *_: read.append(1) or 6.0 * len(read))
    method = make("simclr", data())
    fitting = trainer(max_epochs=-1, max_steps=1, max_time={"minutes": 10})
    fitting.fit(method, datamodule=data())
    fitting.fit_loop.epoch_loop.max_steps = 10**9  # from here on the clock decides alone
    read.clear()
    assert [method.share_of_budget(step) for step in (7, 7, 7, 8)] == pytest.approx([0.01, 0.01, 0.01, 0.02])
    assert len(read) == 2
