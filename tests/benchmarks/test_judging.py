"""`bench eval`: any encoder is judged, whatever it comes as, and what can't be is told in a line."""

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
from PIL import Image
from torch import nn

from disentangle_bench import datamodules
from disentangle_bench.benchmarks.__main__ import main
from disentangle_bench.benchmarks.execution.pretrained import availability, downloads, encoder_names, sources
from disentangle_bench.evaluation.protocol import MEASURES
from disentangle_bench.evaluation.records import digest_of_file, find_records
from disentangle_bench.evaluation.verify import verify

NETWORK = """
import torch
from torch import nn

torch.manual_seed(0)

class Mine(nn.Module):
    default_cfg = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.head = nn.Linear(24, 5)

    def forward(self, images):
        features = self.layers(images)
        return {"features": features, "code": self.head(features)}

def images_of_four_dimensions():
    return nn.Conv2d(3, 6, 3)

class ThreeRows(Mine):
    def forward(self, images):
        return self.layers(images)[:3]

def made_for_32_pixels():
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 8))

class NotFinite(Mine):
    def forward(self, images):
        return self.layers(images) / 0 * 0

class NotFiniteLater(Mine):
    # in batches that are larger than the one that speed is told from
    def forward(self, images):
        features = self.layers(images)
        features[40:41] /= 0
        return features

class FailsLater(Mine):
    def forward(self, images):
        if len(images) > 32:
            raise IndexError("no such channel")
        return self.layers(images)

class TooLargeLater(Mine):
    def forward(self, images):
        if len(images) > 32:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried")
        return self.layers(images)

class Constant(Mine):
    def forward(self, images):
        return torch.ones(len(images), 4)

class Tuple(Mine):
    def forward(self, images):
        return self.layers(images), self.head

class Complex(Mine):
    def forward(self, images):
        return torch.fft.fft(self.layers(images))

class NoWidth(Mine):
    def forward(self, images):
        return self.layers(images)[:, :0]

class OneNumber(Mine):
    def forward(self, images):
        return self.layers(images).mean(1)

class NoName(Mine):
    def forward(self, images):
        return {"features": self.layers(images), 3: self.layers(images)}

class Statistics255(Mine):
    default_cfg = {"mean": (123.7, 116.3, 103.5), "std": (58.4, 57.1, 57.4)}

class OneStatistic(Mine):
    default_cfg = {"mean": (0.5,), "std": 0.5}

class NoDeviation(Mine):
    default_cfg = {"mean": (0.5, 0.5, 0.5), "std": (0, 0, 0)}

def of_half_precision():
    return Mine().half()

def for_grey_images():
    return nn.Sequential(nn.Conv2d(1, 6, 3), nn.Flatten())

def fails():
    raise KeyError("weights.pth")

def nothing():
    return None
"""
MEASURE = """
from disentangle_bench.evaluation.measures.base import Measure, NO_TARGET, Score

width = Measure(
    name="width", version=1, targets=NO_TARGET, splits="test", source="a test", aspect="descriptive",
    scores={"width": Score(None, 0, 99, "none")}, run=lambda space: {"width": float(space.x["test"].shape[1])},
)
"""
REQUEST = ["--dataset", "digits", "--suite", "smoke", "--measures"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the user works, with a file of theirs; modules of it are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    monkeypatch.setenv("DISENTANGLE_BENCH_OFFLINE", "1")
    monkeypatch.setattr(downloads.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    (tmp_path / "their_network.py").write_text(NETWORK)
    yield tmp_path
    sys.modules.pop("their_network", None)


def judged(*arguments: str, measures: str = "knn,intrinsic") -> dict:
    """The record of a request that works."""
    before = {record["cell"]["hash"] for record in find_records_here()}
    assert main(["eval", *arguments, *REQUEST, measures, "--out", "runs"]) == 0
    (record,) = [record for record in find_records_here() if record["cell"]["hash"] not in before]
    return record


def find_records_here() -> list[dict]:
    return [dict(record) for record in find_records(Path("runs"))[0].values()]


def told(capsys, *arguments: str) -> str:
    """The line that a wrong request ends with; nothing is written."""
    capsys.readouterr()
    assert main(["eval", *arguments, *REQUEST, "knn", "--out", "runs"]) == 2
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1, error
    assert not Path("runs").exists()
    return error[0]


def test_a_module_of_the_users_own(folder, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["/usr/bin/bench", "eval", "--name", "my own"])
    record = judged("--encoder", "their_network:Mine", "--name", "mine")
    assert (record["labels"], record["provenance"]["labels_from"]) == (["unknown"], "nobody")
    printed = capsys.readouterr()
    assert "bench: nobody knows which labels it saw" in printed.err
    assert {row["space"] for row in record["metrics"]} == {"features", "code"}
    assert all(row["scores"] for row in record["metrics"])
    assert record["cell"]["method"] == "mine"
    assert record["config"]["source"], "its file is part of what decides the result"
    assert record["config"]["options"]["mean"] == [0.5] * 3
    assert "bench: mine on digits, at 16x16, less mean 0.5, 0.5, 0.5, over deviation 0.25" in printed.err
    assert "2 measures in features (24), code (5); encoding takes about " in printed.err
    assert "measuring knn@1, intrinsic@1: no earlier run here tells how long" in printed.err
    assert "Budget: trained elsewhere for every method. Options: given for every method." in printed.out
    assert record["provenance"]["command"] == "bench eval --name 'my own'", "as a shell takes it"
    again = judged("--encoder", "their_network.Mine", "--image-size", "24", "--normalize", "data")
    assert again["config"]["options"]["image_shape"] == [3, 24, 24]
    assert again["config"]["options"]["mean"] != [0.5] * 3
    assert "most of it knn@1" in capsys.readouterr().err, "earlier runs tell what it costs"


def test_what_an_encoder_saw_is_its_users_word(folder, capsys):
    """Which may come later, stays when more is measured, and needs nothing to be measured again."""

    def ask(measures, *more):
        sys.modules.pop("their_network", None)  # which draws its weights when it is imported
        encoder = ["--encoder", "their_network:Mine", *more]
        assert main(["eval", *encoder, *REQUEST, measures, "--out", "runs"]) == 0
        return capsys.readouterr()

    assert "| unknown " in ask("knn").out
    printed = ask("knn", "--labels", "none")
    assert "| none (says its user) " in printed.out
    assert "measuring" not in printed.err
    ask("knn,intrinsic")
    (record,) = find_records_here()
    assert (record["labels"], record["provenance"]["labels_from"]) == ([], "its user")
    assert verify(Path("runs")).findings == []


def test_random_weights_have_seen_nothing(folder):
    record = judged("--encoder", "timm:resnet10t", "--untrained", measures="knn")
    assert (record["labels"], record["provenance"]["labels_from"]) == ([], "its file")


def test_a_module_that_is_none(folder, capsys):
    for name, message in {
        "their_network:fails": "its code ended with KeyError: 'weights.pth'",
        "their_network:nothing": "returned a NoneType, a torch.nn.Module was expected",
        "their_network:min": "their_network.py: did you mean Mine?",
        "no_such_file:Mine": "no_such_file: is no kind of encoder (timm:NAME, hf:OWNER/NAME), nor is there a no_such",
        "no_such_file.Mine": "there is no no_such_file.py in ",
        "no_such.package.Mine": "there is no no_such.py in ",
        "tim:resnet18": "nor is there a tim.py: did you mean timm?",
        "resnet18": "no such file; the model of timm is written timm:resnet18",
        "vit_small_patch16_224.dino": "no such file; the model of timm is written timm:vit_small_patch16_224.dino",
        "their_network:NotFinite": "its features of image 0 of the test split are NaN or infinite",
        "their_network:Tuple": "or a dict of spaces with `features`, not a tuple (return the one part of it",
        "their_network:images_of_four_dimensions": "an encoder's features are [B, d], these are (32, 6, 14, 14): pool",
        "their_network:for_grey_images": "takes images of 1 channels, these have 3; `image.mean(1, keepdim=True)`",
        "their_network:ThreeRows": "an encoder's features are [B, d], these are (3, 24) for 32 images",
        "their_network:made_for_32_pixels": "images of shape (3, 16, 16) (--image-size resizes them): mat1 and mat2",
        "their_network:Complex": "an encoder's features are real numbers, these are torch.complex64",
        "their_network:NoWidth": "an encoder's features are [B, d], these are (32, 0)",
        "their_network:OneNumber": "an encoder's features are [B, d], these are (32,)",
        "their_network:NoName": "the spaces of an encoder have names, not 3",
        "their_network:Statistics255": "its default_cfg says mean (123.7, 116.3, 103.5): numbers by channel are ne",
        "their_network:OneStatistic": "its default_cfg says std 0.5: numbers by channel are needed, for pixels in",
        "their_network:NoDeviation": "its default_cfg says std (0, 0, 0): numbers by channel",
        "their_network:of_half_precision": "(its weights are torch.float16, judge its `.float()`): Input type",
    }.items():
        assert message in told(capsys, "--encoder", name)


def test_an_encoder_of_which_nothing_can_be_measured(folder, capsys):
    """Its record tells why, and so does the exit code."""
    assert main(["eval", "--encoder", "their_network:Constant", *REQUEST, "knn"]) == 1
    assert "their_network.Constant: no measure gave a figure: train_x is constant" in capsys.readouterr().err
    assert len(find_records(Path("results/runs"))[0]) == 1


def test_measures_that_the_data_set_has_no_target_for(folder, capsys):
    """Nothing else was asked for: nothing is written."""
    arguments = ["--dataset", "digits", "--suite", "smoke", "--out", "runs", "--measures", "leakage"]
    assert main(["eval", "--encoder", "their_network.Mine", *arguments]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("bench: --measures: not measured: leakage@")
    assert "digits has no target, and nothing" in last
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            "NotFiniteLater",
            r"its features have \d+ NaN or infinite values in the train split, the first of image 40$",
        ),
        (
            "FailsLater",
            r"fails with images 0 to \d+ of the train split: IndexError: no such channel \(their_network.py, line",
        ),
        (
            "TooLargeLater",
            r"fails with images 0 to \d+ of the train split: out of memory; smaller images need less, --image-size \(",
        ),
    ],
)
def test_a_network_that_breaks_beyond_the_first_images(network, message, folder, capsys):
    """It is refused as one that breaks at once is, and nothing of it is left."""
    arguments = ["eval", "--encoder", f"their_network:{network}", *REQUEST, "knn", "--out", "made/runs"]
    assert main(arguments) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert re.match(rf"bench: --encoder their_network:{network}: {message}", last), last
    assert not Path("made").exists()
    Path("made").mkdir()
    assert main(arguments) == 2
    assert not list(Path("made").iterdir()), "a folder that was there stays"


def test_a_copy_of_the_users_own_code_lies_beside_the_record(folder):
    (folder / "my_measure.py").write_text(MEASURE)
    (folder / "instance.py").write_text("from their_network import Mine\n\nnetwork = Mine()\n")
    record = judged("--encoder", "their_network:Mine", measures="knn,my_measure.width")
    kept = next(folder.rglob("own_code.py"))
    assert NETWORK.strip() in kept.read_text()
    assert "# ---- their_network.py ----" in kept.read_text()
    assert MEASURE.strip() in kept.read_text()
    assert record["provenance"]["own_code"] == digest_of_file(kept)
    judged("--encoder", "instance.network", "--image-size", "20", measures="knn")
    (other,) = set(folder.rglob("own_code.py")) - {kept}
    assert other.read_text().startswith("# ---- instance.py ----\nfrom their_network import Mine\n\nnetwork = Mine()\n")
    assert other.read_text().endswith(f"# ---- their_network.py ----\n{NETWORK.rstrip()}\n"), "which it imports"
    MEASURES.pop("width@1")
    for name in ("my_measure", "instance"):
        sys.modules.pop(name)


def test_torchscript(folder, capsys):
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


def test_a_checkpoint_of_lightly_with_a_network_of_timm(folder, capsys):
    """The weights are those of the file, behind the stem that it has."""
    network = timm.create_model("resnet18", num_classes=0)
    network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    network.maxpool = nn.Identity()
    sequence = nn.Sequential(*list(network.children())[:-1])
    torch.save({"state_dict": {f"backbone.{k}": v for k, v in sequence.state_dict().items()}}, "lightly.ckpt")
    source = encoder_names.find("timm:resnet18,checkpoint=lightly.ckpt", untrained=False)
    loaded = source.load(3, (16, 16))
    images = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(loaded.eval()(images), network.eval()(images))
    assert source.statistics[0] == (0.485, 0.456, 0.406)
    assert "expected timm:NAME or timm:NAME,checkpoint=FILE" in told(capsys, "--encoder", "timm:resnet18,weights=a")
    assert "no such file none.pth" in told(capsys, "--encoder", "timm:resnet18,checkpoint=none.pth")
    assert "holds another encoder" in told(capsys, "--encoder", "timm:test_vit,checkpoint=lightly.ckpt")


def test_a_vision_transformer_sees_the_size_that_it_was_made_for(folder, capsys):
    source = encoder_names.find("timm:test_vit", untrained=True)
    about = {"image_shape": (3, 16, 16), "crop": 1.0, "size": None, "normalize": None, "statistics": ([0.1], [0.2])}
    encoder, how = sources.fitted(source, **about)
    assert how["image_shape"] == [3, 160, 160]
    assert encoder(torch.zeros(1, 1, 16, 16, dtype=torch.uint8))["features"].shape == (1, 64)
    smaller = judged("--encoder", "timm:test_vit", "--untrained", "--image-size", "32")
    assert smaller["config"]["options"]["image_shape"] == [3, 32, 32]
    assert smaller["config"]["budget"] == {"epochs": 0}


def test_weights_that_cannot_be_had_are_told_at_once(folder, capsys, monkeypatch):
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
    code += f"main(['eval', '--encoder', 'hf:somebody/something', '--out', {str(folder / 'runs')!r}])\n"
    code += "print(sorted({'torch', 'timm', 'lightning', 'pandas'} & sys.modules.keys()))"
    offline = os.environ | {"DISENTANGLE_BENCH_OFFLINE": "1", "TORCH_HOME": str(folder), "HF_HOME": str(folder)}
    result = subprocess.run([sys.executable, "-c", code], env=offline, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]", "what takes seconds to import"
    assert "forbids downloads" in result.stderr


def test_what_is_no_name_of_the_hub(folder, capsys, monkeypatch):
    monkeypatch.setattr(availability, "unreachable", lambda *_: None)
    monkeypatch.delenv("DISENTANGLE_BENCH_OFFLINE")
    assert "expected hf:OWNER/NAME" in told(capsys, "--encoder", "hf:something")
    assert "timm has no model 'resnet1': did you mean" in told(capsys, "--encoder", "timm:resnet1")


def test_a_file_of_the_hub_that_is_on_disk(folder, trained_file):
    snapshot = folder / "hub" / "models--me--mine" / "snapshots" / "abc"
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


def test_an_encoder_of_this_suite_keeps_its_statistics_labels_and_budget(folder, trained_file, capsys):
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


def test_features_alone(folder, capsys):
    data = datamodules.build("digits", image_size=16)
    draw = np.random.default_rng(0)
    (folder / "theirs").mkdir()
    line = told(capsys, "--features", "theirs")
    assert re.search(r"train\.npy is not in there: float \[\d+, d\]", line)
    origins = {}
    for split, part in data.splits.items():
        origins[split] = draw.normal(size=(len(part), 4)).astype(np.float16)
        np.save(folder / "theirs" / f"{split}.npy", origins[split])
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
        np.save(folder / "theirs" / "test.npy", wrong)
        assert re.search(message, told(capsys, "--features", "theirs"))


def test_other_weights_or_features_of_the_same_name_are_judged_anew(folder):
    for _ in range(2):
        judged("--encoder", "their_network:Mine", measures="intrinsic")  # which draws other weights each time
    data = datamodules.build("digits", image_size=16)
    (folder / "theirs").mkdir()
    for split, part in data.splits.items():
        np.save(folder / "theirs" / f"{split}.npy", np.random.default_rng(0).normal(size=(len(part), 4)))
    first = judged("--features", "theirs", measures="intrinsic")
    np.save(folder / "theirs" / "train.npy", 2 * np.load(folder / "theirs" / "train.npy"))
    assert judged("--features", "theirs", measures="intrinsic")["cell"]["method"] == first["cell"]["method"]


def test_what_cannot_be_asked_for_is_told(folder, capsys):
    for arguments, message in {
        (): "one of --encoder and --features is needed",
        ("--encoder", "a", "--features", "b"): "one of --encoder and --features is needed",
        ("--features", "b", "--normalize", "data"): "are of an --encoder, not of --features",
        ("--encoder", "a", "--image-size", "0"): "--image-size 0: from 1 to 4096 pixels",
        ("--encoder", "a", "--labels", "class"): "'class' is neither none nor one of content, style, domain",
        ("--encoder", "a", "--untrained"): "--encoder a: no such file",
        ("--encoder", "sys.path", "--untrained"): "--untrained is of timm's models, and of this suite's own files",
        ("--encoder", "a"): "--encoder a: no such file (expected FILE.safetensors",
    }.items():
        assert message in told(capsys, *arguments)


def test_its_help_ends_with_examples(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["eval", "--help"])
    _, examples = capsys.readouterr().out.split("\nexamples:\n")
    assert all(line.startswith("  bench eval --") for line in examples.splitlines())


def test_a_folder_of_few_images(folder, capsys):
    """Nothing is trained: images need not fill the batches of the suite's training. What can't be asked is said."""
    for split, each in (("train", 12), ("test", 6)):
        for name in ("cats", "dogs"):
            (place := folder / "few" / split / name).mkdir(parents=True)
            for k in range(each):
                Image.fromarray(np.full((20, 24), 10 * k, np.uint8)).save(place / f"{k}.png")
    few = ["--dataset", "image_folder", "--set", "image_folder.root=few", "--measures", "knn,leakage", "--out", "runs"]
    assert main(["eval", "--encoder", "their_network:Mine", "--suite", "smoke", *few]) == 0
    assert "bench: not measured: leakage@4, for which image_folder has no target\n" in capsys.readouterr().err
    (record,) = find_records_here()
    assert all(row["scores"] for row in record["metrics"])
