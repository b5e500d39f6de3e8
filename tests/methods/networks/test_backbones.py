"""Encoders: which first layers a ResNet gets, and who says so."""

import pytest
import torch

from disentangle_bench.methods.networks.backbones import backbone


@pytest.mark.parametrize(
    ("stem", "size", "stride"), [("auto", 64, 1), ("auto", 65, 2), ("small", 96, 1), ("imagenet", 32, 2)]
)
def test_the_stem_is_as_asked_for(stem, size, stride):
    with torch.device("meta"):
        network = backbone("resnet18", (3, size, size), stem=stem)
    assert network.conv1.stride == (stride, stride)
    assert network.conv1.kernel_size == {1: (3, 3), 2: (7, 7)}[stride]
    assert isinstance(network.maxpool, torch.nn.Identity) == (stride == 1)


def test_a_stem_that_an_encoder_does_not_have_is_refused():
    with pytest.raises(ValueError, match="stem 'small' is of timm's ResNets, 'convnet' is none"):
        backbone("convnet", (3, 32, 32), stem="small")
    with pytest.raises(ValueError, match="stem 'small' doesn't go with timm's weights"), torch.device("meta"):
        backbone("resnet18", (3, 32, 32), stem="small", pretrained=True)
