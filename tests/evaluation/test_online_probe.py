"""The curves of a training run: what the callback logs is what the metrics say of the features at that moment."""

from types import SimpleNamespace

import lightning as L
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from disentangle_bench import OnlineProbe, datamodules, methods
from disentangle_bench.evaluation.metrics.invariance import adversaries, domain_leakage
from disentangle_bench.evaluation.metrics.probes import linear_probe


@pytest.fixture(autouse=True)
def short_training(monkeypatch):
    """Fewer steps of the MLP adversary, here as there."""
    monkeypatch.setattr(adversaries, "EPOCHS", 2)
    monkeypatch.setattr(adversaries, "STEPS", 30)


def trainer(*callbacks, **options):
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return L.Trainer(
        accelerator="cpu", callbacks=list(callbacks), enable_model_summary=False, **quiet, **options
    )  # fmt: skip


def test_it_logs_what_the_metrics_say_and_leaves_training_as_it_is():
    def learn(*callbacks):
        data = datamodules.build("colored_digits", batch_size=128, image_size=8)
        method = methods.build("simclr", image_shape=data.image_shape, data=data.describe(), hidden_dim=16)
        fitting = trainer(*[make(data) for make in callbacks], max_epochs=2, limit_train_batches=1)
        fitting.fit(method, datamodule=data.training_view(frozenset()))
        return data, method, fitting

    data, method, fitting = learn(lambda data: OnlineProbe.on(data, images=60, every=2))
    _, alone, _ = learn()
    for name, value in alone.state_dict().items():
        assert torch.equal(value, method.state_dict()[name]), name
    probe = OnlineProbe.on(data, images=60)
    method.eval()
    parts = []
    for batches in probe.batches.values():
        batch = list(batches)
        with torch.no_grad():
            x = torch.cat([method.embed(one["image"])["features"] for one in batch])
        parts.append((x, *(torch.cat([one[key] for one in batch]) for key in ("target/class", "target/color"))))
    (x, y, d), (test_x, test_y, test_d) = parts
    assert len(x) == len(test_x) == 60
    logged = fitting.callback_metrics
    expected = linear_probe(x, y, test_x, test_y, num_classes=10)["top1"]
    assert float(logged["online/linear"]) == pytest.approx(expected, abs=1e-6)
    expected = domain_leakage(x, d, test_x, test_d, num_domains=data.targets[1].size)["normalized"]
    assert float(logged["online/leakage"]) == pytest.approx(expected, abs=1e-6)


def test_a_sample_of_the_probe_splits_is_looked_at_and_no_test_image():
    """Whoever looks at curves chooses by them. The first images of a split may all be of one class."""
    data = datamodules.build("colored_digits", image_size=8)
    batches = OnlineProbe.on(data, images=60).batches
    stream = torch.get_rng_state()
    for name, split in (("train", "probe"), ("test", "probe_val")):
        images = torch.cat([batch["image"] for batch in batches[name]])
        own = torch.cat([batch["image"] for batch in data.eval_dataloader(split)])
        places = [int((own == image).flatten(1).all(1).nonzero()[0]) for image in images]
        assert len(places) == 60, split
        assert max(places) > len(own) // 2, split
    assert torch.equal(torch.get_rng_state(), stream), "training draws the same with the probe and without"


@pytest.mark.parametrize("rank", [0, 1])
def test_each_of_several_processes_encodes_its_own_batches(rank):
    """One that all of them encoded would count as often in what the probes learn."""
    seen = []

    class Model(nn.Module):
        def forward(self, x):
            seen.append(int(x[0, 0]))
            return x

        def log(self, *_):
            pass

    loader = [(torch.full((4, 2), k) + torch.rand(4, 2), torch.tensor([0, 1, 0, 1])) for k in range(5)]
    process = SimpleNamespace(current_epoch=0, world_size=2, global_rank=rank)
    OnlineProbe(loader, loader, num_classes=2).on_train_epoch_end(process, Model())
    assert seen == 2 * list(range(rank, 5, 2))


class Theirs(L.LightningModule):
    """A model that knows nothing of this suite."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x):
        return self.layer(x.flatten(1))

    def training_step(self, batch, batch_idx):
        return self(batch[0]).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def test_any_model_and_any_loader_will_do():
    x = torch.randn(40, 4)
    loader = [(x, (x[:, 0] > 0).long())]
    fitting = trainer(OnlineProbe(loader, loader, num_classes=2), max_epochs=1)
    fitting.fit(Theirs(), DataLoader(TensorDataset(x), batch_size=8))
    assert 0.5 < float(fitting.callback_metrics["online/linear"]) <= 1
    assert "online/leakage" not in fitting.callback_metrics


def test_what_has_no_value_is_told_and_training_goes_on():
    x = torch.randn(20, 4)
    same = [{"image": x, "y": (x[:, 0] > 0).long(), "d": torch.zeros(20, dtype=torch.long)}]
    probe = OnlineProbe(same, same, num_classes=2, content="y", domain="d", num_domains=2)
    with pytest.warns(UserWarning, match="online/leakage is not logged in epoch 0: domain leakage needs two domains"):
        trainer(probe, max_epochs=1).fit(Theirs(), DataLoader([(x,)], batch_size=None))
    for wrong, message in (({"every": 0}, "every must be"), ({"domain": "d"}, "domain and num_domains go together")):
        with pytest.raises(ValueError, match=message):
            OnlineProbe(same, same, num_classes=2, **wrong)
    pairs = [(x, same[0]["y"])]
    probe = OnlineProbe(pairs, pairs, num_classes=2, domain="d", num_domains=2)
    with pytest.raises(TypeError, match="told apart in batches that are dicts only"):
        trainer(probe, max_epochs=1).fit(Theirs(), DataLoader([(x,)], batch_size=None))
    with pytest.raises(ValueError, match="sounds has no content target with classes"):
        OnlineProbe.on(SimpleNamespace(name="sounds", targets=(), setup=lambda: None))
    lacking = OnlineProbe(same, same, num_classes=2, content="label")
    with pytest.raises(KeyError, match="no labels 'label' in a batch; there are image, y, d"):
        trainer(lacking, max_epochs=1).fit(Theirs(), DataLoader([(x,)], batch_size=None))
