"""Whatever an encoder comes as, it is judged: TorchScript, timm, the hub, a file of this suite, features alone."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch import nn

from disentangle_bench import datamodules
from disentangle_bench.benchmarks.execution.pretrained import availability, downloads, encoder_names, sources
from tests.benchmarks.their_encoders import judged, told


def test_torchscript(users_folder, capsys):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2), nn.Flatten())
    torch.jit.trace(network.eval(), torch.zeros(1, 3, 16, 16)).save("their.ts")
    torch.save(network.state_dict(), "weights.pt")
    assert "not TorchScript" in told(capsys, "--encoder", "weights.pt")
    assert "timm:NAME,checkpoint=weights.pth does" in _rename(capsys)
    Path("their.py").write_text("import torch\n")
    assert "given as their.FUNCTION" in told(capsys, "--encoder", "their.py")
    fixed = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 6))
    torch.jit.trace(fixed.eval(), torch.zeros(1, 3, 8, 8)).save("small.ts")
    assert "mat1 and mat2 shapes cannot be multiplied" in told(capsys, "--encoder", "small.ts")
    record = judged("--encoder", "their.ts")
    assert record["cell"]["method"] == "their.ts"
    assert record["config"]["options"]["std"] == [1.0]


def _rename(capsys) -> str:
    Path("weights.pt").rename("weights.pth")
    return told(capsys, "--encoder", "weights.pth")


def test_a_checkpoint_of_lightly_with_a_network_of_timm(users_folder, capsys):
    """The weights are those of the file, behind the stem that it has."""
    network = timm.create_model("resnet18", num_classes=0)
    network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    network.maxpool = nn.Identity()
    sequence = nn.Sequential(*list(network.children())[:-1])
    torch.save({"state_dict": {f"backbone.{k}": v for k, v in sequence.state_dict().items()}}, "lightly.ckpt")
    source = encoder_names.find("timm:resnet18,checkpoint=lightly.ckpt", untrained=False)
    loaded = source.load(3, (96, 96))  # without the file so large an image would get the other stem
    images = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(loaded.eval()(images), network.eval()(images))
    assert source.statistics[0] == (0.485, 0.456, 0.406)
    assert "expected timm:NAME or timm:NAME,checkpoint=FILE" in told(capsys, "--encoder", "timm:resnet18,weights=a")
    assert "no such file none.pth" in told(capsys, "--encoder", "timm:resnet18,checkpoint=none.pth")
    assert "holds another encoder" in told(capsys, "--encoder", "timm:test_vit,checkpoint=lightly.ckpt")


def test_a_vision_transformer_sees_the_size_that_it_was_made_for(users_folder, capsys):
    source = encoder_names.find("timm:test_vit", untrained=True)
    about = {"image_shape": (3, 16, 16), "crop": 1.0, "size": None, "normalize": None, "statistics": ([0.1], [0.2])}
    encoder, how = sources.fitted(source, **about)
    assert how["image_shape"] == [3, 160, 160]
    assert encoder(torch.zeros(1, 1, 16, 16, dtype=torch.uint8))["features"].shape == (1, 64)
    smaller = judged("--encoder", "timm:test_vit", "--untrained", "--image-size", "32")
    assert smaller["config"]["options"]["image_shape"] == [3, 32, 32]
    assert smaller["config"]["budget"] == {"epochs": 0}


def test_weights_that_cannot_be_had_are_told_at_once(users_folder, capsys, monkeypatch):
    monkeypatch.delenv("DISENTANGLE_BENCH_OFFLINE")
    monkeypatch.setattr(downloads.constants, "ENDPOINT", "http://10.255.255.1:9")  # nobody answers there
    for name in ("timm:resnet18", "hf:somebody/something"):
        start = time.monotonic()
        line = told(capsys, "--encoder", name)
        assert time.monotonic() - start < availability.REACH_SECONDS + 4, "not tried again and again"
        assert "its weights are not on disk and can't be downloaded" in line
    assert "--untrained judges it with random ones" in told(capsys, "--encoder", "timm:resnet18")
    assert "timm has no model 'resnet19': did you mean resnet18" in told(capsys, "--encoder", "timm:resnet19")
    code = "import sys\nfrom disentangle_bench.benchmarks.__main__ import main\n"
    code += f"main(['eval', '--encoder', 'hf:somebody/something', '--out', {str(users_folder / 'runs')!r}])\n"
    code += "print(sorted({'torch', 'timm', 'lightning', 'pandas'} & sys.modules.keys()))"
    offline = os.environ | {
        "DISENTANGLE_BENCH_OFFLINE": "1",
        "TORCH_HOME": str(users_folder),
        "HF_HOME": str(users_folder),
    }
    result = subprocess.run([sys.executable, "-c", code], env=offline, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]", "what takes seconds to import"
    assert "forbids downloads" in result.stderr


def test_what_is_no_name_of_the_hub(users_folder, capsys, monkeypatch):
    monkeypatch.setattr(availability, "unreachable", lambda *_: None)
    monkeypatch.delenv("DISENTANGLE_BENCH_OFFLINE")
    assert "expected hf:OWNER/NAME" in told(capsys, "--encoder", "hf:something")
    assert "timm has no model 'resnet1': did you mean" in told(capsys, "--encoder", "timm:resnet1")


def test_a_file_of_the_hub_that_is_on_disk(users_folder, trained_file):
    snapshot = users_folder / "hub" / "models--me--mine" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot.parent.parent / "refs").mkdir()
    (snapshot.parent.parent / "refs" / "main").write_text("abc")
    (snapshot / "encoder.safetensors").write_bytes(trained_file.read_bytes())
    source = encoder_names.find("hf:me/mine", untrained=False)
    assert (source.label, source.step, source.budget) == ("hf:me/mine", 7, {"epochs": 3.0})


@pytest.fixture
def trained_file(tmp_path):
    from disentangle_bench.benchmarks.execution import build
    from disentangle_bench.benchmarks.execution.train import _note
    from disentangle_bench.benchmarks.runs.weights import save_weights
    from tests.benchmarks.conftest import make_cell

    cell = make_cell("supervised")
    method = build.build_method(cell, build.build_data(cell))
    save_weights(method.backbone, tmp_path / "encoder.safetensors", _note(cell, method, 7, whole=False))
    return tmp_path / "encoder.safetensors"


def test_an_encoder_of_this_suite_keeps_its_statistics_labels_and_budget(users_folder, trained_file, capsys):
    assert "itself says which labels it saw, content: leave it out" in told(
        capsys, "--encoder", str(trained_file), "--labels", "none"
    )
    record = judged("--encoder", str(trained_file))
    assert record["provenance"]["labels_from"] == "its file"
    data = datamodules.build("digits", image_size=16)
    assert record["config"]["options"]["mean"] == pytest.approx(data.statistics[0])
    assert record["labels"] == ["content"]
    assert record["config"]["budget"] == {"epochs": 3.0}
    assert "Budget: 3 epochs" in capsys.readouterr().out
    other = judged("--encoder", str(trained_file), "--normalize", "imagenet")
    assert other["config"]["options"]["mean"] == [0.485, 0.456, 0.406]
    assert other["labels"] == ["content"]
    assert other["metrics"] != record["metrics"]


def test_features_alone(users_folder, capsys):
    data = datamodules.build("digits", image_size=16)
    draw = np.random.default_rng(0)
    (users_folder / "theirs").mkdir()
    line = told(capsys, "--features", "theirs")
    assert re.search(r"train\.npy is not in there: float \[\d+, d\]", line)
    origins = {}
    for split, part in data.splits.items():
        origins[split] = draw.normal(size=(len(part), 4)).astype(np.float16)
        np.save(users_folder / "theirs" / f"{split}.npy", origins[split])
    record = judged("--features", "theirs", "--labels", "domain, content", measures="knn,transforms")
    assert (record["labels"], record["provenance"]["labels_from"]) == (["content", "domain"], "its user")
    rows = {row["measure"].partition("@")[0]: row for row in record["metrics"]}
    assert rows["knn"]["scores"]
    assert "only its features are here" in rows["transforms"]["reason"]
    assert record["cell"]["method"] == "theirs"
    shutil.rmtree("runs")
    for wrong, message in {
        "more rows": (np.zeros((7, 4), np.float32), "test.npy has 7 rows, the split has"),
        "other columns": (origins["test"][:, :2], "the splits have different numbers of columns"),
        "not finite": (np.where(np.arange(len(origins["test"]))[:, None] == 7, np.nan, origins["test"]), "in row 7"),
        "too large": (
            origins["test"].astype(float) * 1e300,
            r"infinite values as float32, the first in row 0",
        ),
        "integers": (np.zeros((7, 4), np.int64), r"test.npy is int64 \(7, 4\), float"),
        "objects": (np.array([{}], dtype=object), "test.npy is no array of numbers"),
    }.values():
        np.save(users_folder / "theirs" / "test.npy", wrong)
        assert re.search(message, told(capsys, "--features", "theirs"))
