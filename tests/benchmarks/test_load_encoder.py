"""An encoder of a run is a module that anybody can call: it does to images what the run did."""

import subprocess
import sys

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch.testing import assert_close

import disentangle_bench
from disentangle_bench.benchmarks.execution import build
from disentangle_bench.benchmarks.execution.train import _note
from disentangle_bench.benchmarks.runs.weights import save_weights
from disentangle_bench.evaluation.features import inference_mode
from disentangle_bench.methods.pretrained import hub
from disentangle_bench.methods.pretrained.files import BadFile
from disentangle_bench.methods.views import framed
from tests.benchmarks.conftest import make_cell

SIZES = ["data.view_size=12", "data.eval_size=12"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder with the weights of a method that judges images at another size than they are stored at."""
    cell = make_cell("style_blocks", "style_blocks.projection_dim=16", *SIZES)
    data = build.build_data(cell)
    method = build.build_method(cell, data)
    folder = tmp_path_factory.mktemp("run")
    save_weights(method, folder / "method.safetensors", _note(cell, method, 7, whole=True))
    save_weights(method.backbone, folder / "encoder.safetensors", _note(cell, method, 7, whole=False))
    images = next(iter(data.eval_dataloader("test", batch_size=32)))["image"]
    with inference_mode(method):
        spaces = method.embed(images)
    return folder, images, spaces


@torch.no_grad()
def test_it_normalises_and_resizes_by_itself(run):
    folder, images, spaces = run
    whole = disentangle_bench.load_encoder(folder)
    found = whole(images)
    assert found.keys() == spaces.keys() > {"features", "content"}
    for name, values in spaces.items():
        assert_close(found[name], values, msg=name)
    alone = disentangle_bench.load_encoder(folder / "encoder.safetensors", space="features")
    assert_close(alone(images), spaces["features"])
    assert_close(alone(images.float() / 255), spaces["features"])
    assert not alone.training
    assert torch.cosine_similarity(alone.network(images.float() / 255), spaces["features"]).mean() < 0.99, "raw pixels"


def test_it_can_be_trained_on(run):
    encoder = disentangle_bench.load_encoder(run[0] / "encoder.safetensors", space="features")
    encoder(run[1]).square().mean().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())


def test_what_it_cannot_take_is_told(run, tmp_path):
    folder, images, _ = run
    encoder = disentangle_bench.load_encoder(folder, space="style")
    with pytest.raises(ValueError, match="lie between -2 and -1: leave out what normalises them"):
        encoder(images.float() / 255 - 2)
    with pytest.raises(ValueError, match=r"torch\.int64 of shape"):
        encoder(images.long())
    with pytest.raises(ValueError, match="no space 'style': known are features"):
        encoder(images)
    with pytest.raises(ValueError, match="takes images of 3 channels, these have 2"):
        encoder(images[:, :2])
    for path, message in ((tmp_path, "neither method.safetensors nor"), (tmp_path / "no.safetensors", "no such file")):
        with pytest.raises(BadFile, match=message):
            disentangle_bench.load_encoder(path)
    file = folder / "encoder.safetensors"
    weights, note = load_file(file), _metadata(file)
    spoiled = {
        "older version": {key: value for key, value in note.items() if key != "mean"},
        "std is": note | {"std": "[0]"},
        "another encoder": note | {"backbone": "resnet18"},
        "eval_shape is": note | {"eval_shape": "[1e12, 1e12]"},
        "isn't run for a file's sake": note | {"backbone": "os.system"},
    }
    for message, changed in spoiled.items():
        save_file(weights, tmp_path / "spoiled.safetensors", changed)
        with pytest.raises(BadFile, match=message):
            disentangle_bench.load_encoder(tmp_path / "spoiled.safetensors")


def _metadata(file) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(file, "pt") as opened:
        return opened.metadata()


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, disentangle_bench; print(sorted({'torch', 'numpy', 'huggingface_hub'} & sys.modules.keys()))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
    with pytest.raises(AttributeError, match="no attribute 'load_encoders'"):
        disentangle_bench.load_encoders  # noqa: B018


def test_a_file_goes_to_the_hub_if_it_is_an_encoder(run, tmp_path, monkeypatch):
    asked = []

    class Api:
        def create_repo(self, repo, **options):
            asked.append((repo, options))

        def upload_file(self, **options):
            asked.append(options)
            return "https://hub/commit"

    monkeypatch.setattr(hub, "HfApi", Api)
    file = run[0] / "encoder.safetensors"
    assert disentangle_bench.push_to_hub(file, "me/mine", private=True) == "https://hub/commit"
    assert asked[0] == ("me/mine", {"private": True, "exist_ok": True})
    assert asked[1]["path_or_fileobj"] == file
    assert asked[1]["commit_message"] == "style_blocks on digits, 7 steps"
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(BadFile, match="not an encoder of this suite"):
        disentangle_bench.push_to_hub(tmp_path / "other.safetensors", "me/mine")
    assert len(asked) == 2


def test_what_was_uploaded_is_loaded_by_its_name(run, monkeypatch):
    asked = []
    monkeypatch.setattr(hub, "hf_hub_download", lambda *what, **_: asked.append(what) or run[0] / hub.NAME)
    image = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    published = disentangle_bench.load_encoder("hf:me/mine", space="features")
    assert asked == [("me/mine", hub.NAME)]
    assert torch.equal(published(image), disentangle_bench.load_encoder(run[0] / hub.NAME)(image)["features"])


def test_a_model_of_timm_is_loaded_by_its_name(monkeypatch):
    """With its own statistics and size; here, without a network, with random weights."""
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained, **options: create(name, **options))
    encoder = disentangle_bench.load_encoder("timm:resnet18", space="features")
    image = torch.rand(2, 3, 40, 40)
    mean, std = (torch.tensor(each)[:, None, None] for each in (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD))
    normalised = (framed(image, (224, 224)) - mean) / std
    assert_close(encoder(image), encoder.network(normalised), rtol=1e-4, atol=1e-4)
    with pytest.raises(BadFile, match="timm has no such model"):
        disentangle_bench.load_encoder("timm:resnet1888")
