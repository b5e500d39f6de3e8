"""The generator meets the reference figures, and the perceptual distance is torchvision's VGG-16's."""

import pytest
import torch
import torchvision
from torch.testing import assert_close

from disentangle_bench.methods.networks.generator import Generator, Modulation, Perceptual, adain

KINDS = ("weight", "bias")


@pytest.mark.parametrize("case", ["adain_a", "adain_b"])
def test_adain_values_and_gradients(golden, case):
    reference = golden(f"dcodr/{case}")
    x, weight, bias = (reference.tensor(f"in_{name}", grad=True) for name in ("x", "weight", "bias"))
    y = adain(x, weight, bias)
    assert_close(y, reference.tensor("out_y"), rtol=1e-9, atol=1e-10)
    (y * reference.tensor("in_cot")).sum().backward()
    for name, leaf in (("x", x), ("weight", weight), ("bias", bias)):
        assert_close(leaf.grad, reference.tensor(f"grad_{name}"), rtol=1e-9, atol=1e-10)


def test_modulation(golden):
    reference = golden("dcodr/modulation")
    modulation = Modulation(5, 8).double()
    names = {f"maps.{layer}.{kind}": f"sd_adain_per_layer.{layer}.{kind}" for layer in range(4) for kind in KINDS}
    modulation.load_state_dict({own: reference.tensor(theirs) for own, theirs in names.items()})
    assert_close(modulation(reference.tensor("in_x")), reference.tensor("out_params"), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("case", ["generator_16", "generator_32_gray"])
def test_generator_values_and_gradients(golden, case):
    reference = golden(f"dcodr/{case}")
    height, width, colours = reference.options["img_shape"]
    generator = Generator(reference.options["content_dim"], (colours, height, width), channels=8).double()
    names = {f"linear.{i}": f"fc_layers.{2 * i}" for i in range(3)}
    names |= {f"convolutions.{i}": f"adain_conv_layers.{4 * i + 1}" for i in range(4)}
    names |= {f"last.{i}": f"last_conv_layers.{2 * i}" for i in range(2)}
    weights = {f"{own}.{kind}": reference.tensor(f"sd_{names[own]}.{kind}") for own in names for kind in KINDS}
    generator.load_state_dict(weights)
    code, modulation = reference.tensor("in_content", grad=True), reference.tensor("in_params", grad=True)
    images = generator(code, modulation)
    assert list(images.shape) == reference["out_shape"].tolist()
    assert_close(images[: len(reference["out_img"])], reference.tensor("out_img"), rtol=1e-8, atol=1e-10)
    assert_close(images.mean(), reference.tensor("out_mean"), rtol=1e-8, atol=1e-10)
    images.mean().backward()
    assert_close(code.grad, reference.tensor("grad_content"), rtol=1e-8, atol=1e-10)
    assert_close(modulation.grad, reference.tensor("grad_params"), rtol=1e-8, atol=1e-10)


def test_sizes_that_do_not_fit_are_errors():
    with pytest.raises(ValueError, match="multiples of 16, got 28x28"):
        Generator(4, (1, 28, 28))
    with pytest.raises(ValueError, match="multiple of 8, got 12"):
        Generator(4, (1, 32, 32), channels=12)
    assert len(Generator(4, (3, 16, 128), channels=8).last) == 3


def test_perceptual_distance_is_that_of_torchvisions_layers(tmp_path):
    torch.manual_seed(0)
    vgg = torchvision.models.vgg16().eval()
    torch.save(vgg.state_dict(), tmp_path / "vgg.pth")
    distance = Perceptual(str(tmp_path / "vgg.pth"))
    assert not distance.state_dict()
    assert not list(distance.parameters())
    images, target = torch.rand(2, 3, 32, 32, requires_grad=True), torch.rand(2, 3, 32, 32)
    expected = (images - target).abs().mean()
    for layer in (2, 7, 12, 21, 30):
        part = vgg.features[: layer + 1]
        expected = expected + (part(images) - part(target)).abs().mean()
    got = distance(images, target)
    assert_close(got, expected)
    assert got.requires_grad
    grey = [image[:, :1].detach() for image in (images, target)]
    assert_close(distance(*grey), distance(*(image.repeat(1, 3, 1, 1) for image in grey)))


def test_missing_perceptual_weights_say_which_file_goes_where(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"checkpoints/vgg16-397923af\.pth: put https://.*perceptual: none"):
        Perceptual()
