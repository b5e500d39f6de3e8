"""Two processes hold the same partitions, centres, weights and streams, and see different images."""

import lightning as L
import pytest
import torch
import torch.distributed as dist

OPTIONS = {
    "ip_irm": {"partition_every": 1, "partition_epochs": 3},
    "ip_irm-mixup": {"partition_every": 1, "partition_epochs": 3, "mixup": True},
    "style_blocks": {"weights_lr": 1.0},
    "contrastive_clustering": {"start": 0.5},
    "domain_contrastive": {"reconstruction": True, "perceptual": "none", "generator_channels": 8, "images_every": 1},
}


class Compare(L.Callback):
    """Fails, in every process, if what must be equal on all of them isn't."""

    def on_fit_end(self, trainer, pl_module):
        equal = dict(pl_module.named_parameters())
        equal |= {f"partition {i}": logits for i, logits in enumerate(getattr(pl_module, "partitions", []))}
        equal |= {key: value for key, value in pl_module.named_buffers() if key in ("weights", "started")}
        equal["views"] = pl_module.views_generator.get_state()
        for key, value in equal.items():
            first = value.detach().clone().to(torch.float64 if value.is_floating_point() else torch.int64)
            dist.broadcast(first, 0)
            assert torch.equal(first, value.detach().to(first.dtype)), key
        assert trainer.world_size == 2
        assert not hasattr(pl_module, "partitions") or len(pl_module.partitions) == 2


@pytest.mark.parametrize("name", OPTIONS)
def test_processes_agree(name, data, make, trainer):
    module = data()
    method = make(name.partition("-")[0], module, **OPTIONS[name])
    fitting = trainer(devices=2, strategy="ddp_fork", limit_train_batches=2, callbacks=[Compare()])
    fitting.fit(method, datamodule=module)


class Save(L.Callback):
    def __init__(self, path):
        self.path = path

    def on_train_end(self, trainer, pl_module):
        trainer.save_checkpoint(self.path)


def test_a_partition_of_two_processes_is_that_of_one(data, make, trainer, tmp_path):
    module, saved = data(keep=400), []
    for devices in (1, 2):
        method, path = make("ip_irm", module, partition_epochs=3), tmp_path / f"{devices}.ckpt"
        strategy = "ddp_fork" if devices == 2 else "auto"
        options = {"devices": devices, "strategy": strategy, "max_epochs": 1, "limit_train_batches": 1}
        trainer(**options, callbacks=[Save(path)]).fit(method, datamodule=module)
        saved.append(torch.load(path, weights_only=True)["partitions"])
    (one,), (two,) = saved
    torch.testing.assert_close(one, two)
