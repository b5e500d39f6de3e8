"""Encoders: which first layers a ResNet gets, and who says so."""

import sys

import pytest
import timm
import torch
from torch import nn

from disentangle_bench.methods.networks.backbones import backbone
from disentangle_bench.methods.networks.sync_batch_norm import synchronize


@pytest.mark.parametrize(
    ("stem", "size", "stride"), [("auto", 64, 1), ("auto", 65, 2), ("small", 96, 1), ("imagenet", 32, 2)]
)
def test_the_stem_is_as_asked_for(stem, size, stride):
    with torch.device("meta"):
        network = backbone("resnet18", (3, size, size), stem=stem)
    assert network.conv1.stride == (stride, stride)
    assert network.conv1.kernel_size == {1: (3, 3), 2: (7, 7)}[stride]
    assert isinstance(network.maxpool, torch.nn.Identity) == (stride == 1)


def test_a_small_stem_is_for_images_whose_longer_side_is_small_and_starts_as_timms_other_layers_do():
    """Kaiming's start by what goes out of a layer: 64 channels of 3 x 3."""
    assert backbone("resnet18", (3, 32, 65)).conv1.stride == backbone("resnet18", (3, 65, 32)).conv1.stride == (2, 2)
    network = backbone("resnet18", (3, 32, 32))
    assert float(network.conv1.weight.std()) == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.1)


def test_an_outline_is_nobody_elses():
    """A plan makes many, of shapes alone; what one method does to its own must not be seen in the next one's."""
    with torch.device("meta"):
        one, two = (backbone("convnet", (3, 8, 8)) for _ in range(2))
    one.requires_grad_(False)
    assert all(p.requires_grad for p in two.parameters())


def test_a_stem_that_an_encoder_does_not_have_is_refused():
    with pytest.raises(ValueError, match="stem 'small' is of timm's ResNets, 'convnet' is none"):
        backbone("convnet", (3, 32, 32), stem="small")
    with pytest.raises(ValueError, match="stem 'small' doesn't go with timm's weights"), torch.device("meta"):
        backbone("resnet18", (3, 32, 32), stem="small", pretrained=True)


OWN = """
from torch import nn

class Own(nn.Conv2d):
    num_features = 8

    def __init__(self, gives, channels, out=8):
        super().__init__(channels, out, 3)
        self.gives = gives

    def forward(self, images):
        maps = super().forward(images)
        return {"features": maps.mean((2, 3)), "map": maps, "tuple": (maps.mean((2, 3)), maps)}[self.gives]

def right(shape): return Own("features", shape[0])
def map_of_them(shape): return Own("map", shape[0])
def two(shape): return Own("tuple", shape[0])
def wide(shape): return Own("features", shape[0], 9)
def asks_for_values(shape): return Asks("features", shape[0])

class Asks(Own):
    def forward(self, images):
        return super().forward(images / images.max().item())
"""


def test_an_own_encoder_is_looked_at_before_anything_is_trained(tmp_path, monkeypatch):
    """By shapes alone; what can't be told from them is left to the training."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_backbone.py").write_text(OWN)
    wrong = {
        "map_of_them": r"\(2, 8, 6, 6\), \(2, 8\) was expected",
        "two": "a tuple, ",
        "wide": r"\(2, 9\), \(2, 8\) was expected of `num_features`",
    }
    try:
        with torch.device("meta"):
            for name in ("right", "asks_for_values"):
                assert backbone(f"own_backbone.{name}", (3, 8, 8)).num_features == 8
            for name, why in wrong.items():
                with pytest.raises(ValueError, match=rf"backbone 'own_backbone.{name}': maps two images to {why}"):
                    backbone(f"own_backbone.{name}", (3, 8, 8))
    finally:
        sys.modules.pop("own_backbone", None)


@pytest.mark.parametrize("accelerator", ["cpu", "gpu"])
@pytest.mark.parametrize("name", ["resnet18", "test_efficientnet"])
def test_an_encoder_whose_batch_norms_are_shared_computes_what_it_did(name, accelerator):
    """Layers for a GPU compute on the CPU outside of a process group."""
    network, images = timm.create_model(name, num_classes=0).train(), torch.randn(4, 3, 32, 32)
    names, expected = list(network.state_dict()), network(images)
    synchronize(network, accelerator)
    assert not [m for m in network.modules() if type(m) in (nn.BatchNorm2d, timm.layers.BatchNormAct2d)]
    assert list(network.state_dict()) == names
    assert torch.equal(network(images), expected)


def test_a_batch_norm_that_cannot_be_shared_between_processes_is_refused():
    class Own(nn.BatchNorm1d):
        pass

    with pytest.raises(ValueError, match="Own 'own' can't take its statistics over several processes"):
        synchronize(nn.ModuleDict({"own": Own(3)}))
