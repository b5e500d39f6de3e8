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
    """A folder with the weights of a method that judges a part of images, at another size than they are stored at."""
    cell = make_cell("style_blocks", "style_blocks.projection_dim=16", *SIZES)
    data = build.build_data(cell)
    data.eval_crop = 0.75
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
    assert_close(
        alone(images[:, :1]), alone(images[:, :1].repeat(1, 3, 1, 1)), msg="grey images are three equal channels"
    )
    assert (whole.primary_space, whole.invariant_space) == ("features", "content"), "whose leakage the paper is about"
    assert not alone.training
    assert torch.cosine_similarity(alone.network(images.float() / 255), spaces["features"]).mean() < 0.99, "raw pixels"


NETWORK = """
from torch import nn

class Mine(nn.Module):
    default_cfg = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25), "input_size": (3, 24, 24)}

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 6, 3), nn.AdaptiveAvgPool2d(2), nn.Flatten())

    def forward(self, images):
        return {"features": self.layers(images), "code": self.layers(images)[:, :2]}
"""


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    """A folder with code of the user's own, where Python finds it."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "their_own.py").write_text(NETWORK)
    yield tmp_path
    sys.modules.pop("their_own", None)


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_each_says_its_shape_and_statistics_and_where_it_is_from(run, theirs, monkeypatch):
    """What is judged at 12 pixels, what was made for 24, and what doesn't say."""
    folder, file = run[0], run[0] / "encoder.safetensors"
    script = theirs / "their.ts"
    torch.jit.trace(torch.nn.Conv2d(3, 4, 3).eval(), torch.zeros(1, 3, 16, 16)).save(script)
    torch.save(timm.create_model("test_resnet", num_classes=0).state_dict(), theirs / "theirs.pth")
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained=False, **options: create(name, **options))
    trained = disentangle_bench.load_encoder(file).mean.flatten().tolist()
    cases = {
        file: ((3, 12, 12), trained),
        folder: ((3, 12, 12), trained),
        script: ((3, None, None), [0.0] * 3),
        "their_own.Mine": ((3, 24, 24), [0.5] * 3),
        "their_own:Mine": ((3, 24, 24), [0.5] * 3),
        "timm:test_resnet": ((3, 160, 160), [0.5] * 3),
        f"timm:test_resnet,checkpoint={theirs / 'theirs.pth'}": ((3, 160, 160), [0.5] * 3),  # three first convolutions
    }
    assert 0 < trained[0] < 1
    for name, (shape, mean) in cases.items():
        spec = disentangle_bench.load_encoder(name).spec
        assert (spec.shape, spec.source, len(spec.std)) == (shape, str(name), 3)
        assert spec.mean == pytest.approx(mean)
    other = disentangle_bench.load_encoder(script, image_size=20, normalize="cifar10").spec
    assert (other.shape, other.mean[0]) == ((3, 20, 20), pytest.approx(0.4914))
    with pytest.raises(BadFile, match="a whole method normalises as it was trained"):
        disentangle_bench.load_encoder(folder, normalize="cifar10")
    with pytest.raises(BadFile, match="image_size 0: at least 1 pixel"):
        disentangle_bench.load_encoder(folder, image_size=0)


@torch.no_grad()
@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_what_was_made_elsewhere_is_normalised_and_resized(theirs):
    own = disentangle_bench.load_encoder("their_own.Mine", space="code")
    image = torch.rand(2, 3, 40, 40)
    assert_close(own(image), own.network((framed(image, (24, 24)) - 0.5) / 0.25)["code"])
    with pytest.raises(BadFile, match=r"their_own.Mine: no space 'feat': the encoder has features, code"):
        disentangle_bench.load_encoder("their_own.Mine", space="feat")
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()).eval()
    torch.jit.trace(network, image).save(theirs / "their.ts")
    script = disentangle_bench.load_encoder(theirs / "their.ts", space="features")
    assert_close(script(image), network(image), msg="at the size that it comes in")
    for wrong, message in {
        "their_own.Min": "did you mean Mine",
        "their_own.nn": "expected a function that returns a torch.nn.Module",
        "tim:resnet18": r"tim: is no kind of encoder .*: did you mean timm\?",
        "their.pth": r"no such file \(expected",
        "https://a/b.ts": "an address, which isn't fetched",
        "my-scheme:a/b": "my-scheme: is no kind of encoder",
        "timm:": "expected timm:NAME",
    }.items():
        with pytest.raises(BadFile, match=message):
            disentangle_bench.load_encoder(wrong)


METHOD = """
from disentangle_bench.methods.base import Method

class MyMethod(Method):
    name = "my_method"
    source = "a test"

    def embed(self, image):
        return super().embed(image) | {"twice": 2 * super().embed(image)["features"]}

    def training_step(self, batch, batch_idx):
        return self.backbone(self.views(batch, 1)[0]).square().mean()
"""


def test_a_run_of_somebodys_own_method(tmp_path, monkeypatch):
    """Its code isn't run because a file says so; the file that can be loaded is named. Who has imported it has all."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "their_method.py").write_text(METHOD)
    try:
        cell = make_cell("their_method.MyMethod", *SIZES)
        data = build.build_data(cell)
        method = build.build_method(cell, data)
        save_weights(method, tmp_path / "method.safetensors", _note(cell, method, 7, whole=True))
        save_weights(method.backbone, tmp_path / "encoder.safetensors", _note(cell, method, 7, whole=False))
        image = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
        twice = disentangle_bench.load_encoder(tmp_path, space="twice")(image)
        assert_close(twice, method.eval().embed(image)["twice"])
    finally:
        sys.modules.pop("their_method", None)
    with pytest.raises(BadFile, match=r"their_method\.MyMethod\), which isn't run for a file's sake: .*") as told:
        disentangle_bench.load_encoder(tmp_path)
    assert f"{tmp_path / 'encoder.safetensors'} can be loaded, the features alone" in str(told.value)
    assert "a program that imports their_method first can load all of it" in str(told.value)
    assert "their_method" not in sys.modules
    alone = disentangle_bench.load_encoder(tmp_path / "encoder.safetensors", space="features")
    assert_close(2 * alone(image), twice)


def test_it_can_be_trained_on(run):
    encoder = disentangle_bench.load_encoder(run[0] / "encoder.safetensors", space="features")
    encoder(run[1]).square().mean().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())


def test_what_it_cannot_take_is_told(run, tmp_path):
    folder, images, _ = run
    encoder = disentangle_bench.load_encoder(folder, space="content")
    with pytest.raises(ValueError, match="lie between -2 and -1: leave out what normalises them"):
        encoder(images.float() / 255 - 2)
    with pytest.raises(ValueError, match=r"torch\.int64 of shape"):
        encoder(images.long())
    with pytest.raises(BadFile, match="no space 'style': the encoder has features, content, style/"):
        disentangle_bench.load_encoder(folder, space="style")
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
    with pytest.raises(BadFile, match="timm has no model 'resnet1888': did you mean resnet18"):
        disentangle_bench.load_encoder("timm:resnet1888")
