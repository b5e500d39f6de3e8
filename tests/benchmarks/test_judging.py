"""`bench eval` of a user's own network: its record, what it saw, and what can't be judged is told in a line."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from disentangle_bench import datamodules, load_encoder
from disentangle_bench.benchmarks.__main__ import main
from disentangle_bench.benchmarks.runs import lock
from disentangle_bench.evaluation.protocol import MEASURES
from disentangle_bench.evaluation.records import digest_of_file, find_records
from disentangle_bench.evaluation.verify import verify
from tests.benchmarks.their_encoders import MEASURE, NETWORK, REQUEST, find_records_here, judged, told


def test_a_module_of_the_users_own(users_folder, capsys, monkeypatch):
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
    assert (
        "bench: judging mine on digits, images at 16x16, minus mean 0.5, 0.5, 0.5, divided by deviation 0.25"
        in printed.err
    )
    assert "2 measures in features (24), code (5); encoding takes about " in printed.err
    assert "how long measuring takes no earlier run here tells (knn@1, intrinsic@1)" in printed.err
    assert "Budget: trained elsewhere for every method. Options: given for every method." in printed.out
    assert record["provenance"]["command"] == "bench eval --name 'my own'", "as a shell takes it"
    again = judged("--encoder", "their_network.Mine", "--image-size", "24", "--normalize", "data")
    assert again["config"]["options"]["image_shape"] == [3, 24, 24]
    assert again["config"]["options"]["mean"] != [0.5] * 3
    assert "most of it knn@1" in capsys.readouterr().err, "earlier runs tell what it costs"


def test_what_an_encoder_saw_is_its_users_word(users_folder, capsys):
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
    with lock.hold(next(Path("runs").glob("*/*/*")) / ".lock"):
        sys.modules.pop("their_network", None)
        encoder = ["--encoder", "their_network:Mine", "--labels", "content"]
        assert main(["eval", *encoder, *REQUEST, "knn", "--out", "runs"]) == 2
    assert "another process is judging this encoder into runs/" in capsys.readouterr().err
    ask("knn,intrinsic")
    (record,) = find_records_here()
    assert (record["labels"], record["provenance"]["labels_from"]) == ([], "its user")
    assert verify(Path("runs")).findings == []


def test_random_weights_have_seen_nothing(users_folder):
    record = judged("--encoder", "timm:resnet10t", "--untrained", measures="knn")
    assert (record["labels"], record["provenance"]["labels_from"]) == ([], "its file")


def test_a_module_that_is_none(users_folder, capsys):
    for name, message in {
        "their_network:fails": "its code ended with KeyError: 'weights.pth'",
        "their_network:nothing": "returned a NoneType, a torch.nn.Module was expected",
        "their_network:min": "their_network.py: did you mean Mine?",
        "no_such_file:Mine": "no_such_file: is no kind of encoder (timm:NAME, hf:OWNER/NAME), nor is there a no_such",
        "no_such_file.Mine": "there is no no_such_file.py in ",
        "no_such.package.Mine": "there is no no_such.py in ",
        "tim:resnet18": "nor is there a tim.py: did you mean timm?",
        "their_network": "a function in their_network.py that returns the network is given as their_network.FUNCTION",
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
        "their_network:OneSize": "its default_cfg says input_size 24: (channels, height, width) is needed",
        "their_network:of_half_precision": "(its weights are torch.float16, judge its `.float()`): Input type",
    }.items():
        assert message in told(capsys, "--encoder", name)


def test_a_network_that_makes_images_grey_takes_those_of_three_channels(users_folder):
    """As the message on grey networks says to; its first convolution alone takes one."""
    options = judged("--encoder", "their_network:MakesGrey", measures="knn")["config"]["options"]
    assert (options["image_shape"], options["mean"]) == ([3, 16, 16], [0.2, 0.5, 0.8])
    assert load_encoder("their_network:MakesGrey").spec.shape == (3, None, None)


def test_an_encoder_of_which_nothing_can_be_measured(users_folder, capsys):
    """Its record tells why, and so does the exit code."""
    assert main(["eval", "--encoder", "their_network:Constant", *REQUEST, "knn"]) == 1
    assert "their_network.Constant: no measure gave a figure: train_x is constant" in capsys.readouterr().err
    assert len(find_records(Path("results/runs"))[0]) == 1


def test_measures_that_the_data_set_has_no_target_for(users_folder, capsys):
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
def test_a_network_that_breaks_beyond_the_first_images(network, message, users_folder, capsys):
    """It is refused as one that breaks at once is, and nothing of it is left."""
    arguments = ["eval", "--encoder", f"their_network:{network}", *REQUEST, "knn", "--out", "made/runs"]
    assert main(arguments) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert re.match(rf"bench: --encoder their_network:{network}: {message}", last), last
    assert not Path("made").exists()
    Path("made").mkdir()
    assert main(arguments) == 2
    assert not list(Path("made").iterdir()), "a folder that was there stays"


def test_a_copy_of_the_users_own_code_lies_beside_the_record(users_folder):
    (users_folder / "my_measure.py").write_text(MEASURE)
    (users_folder / "instance.py").write_text("from their_network import Mine\n\nnetwork = Mine()\n")
    record = judged("--encoder", "their_network:Mine", measures="knn,my_measure.width")
    kept = next(users_folder.rglob("own_code.py"))
    assert NETWORK.strip() in kept.read_text()
    assert "# ---- their_network.py ----" in kept.read_text()
    assert MEASURE.strip() in kept.read_text()
    assert record["provenance"]["own_code"] == digest_of_file(kept)
    judged("--encoder", "instance.network", "--image-size", "20", measures="knn")
    (other,) = set(users_folder.rglob("own_code.py")) - {kept}
    assert other.read_text().startswith("# ---- instance.py ----\nfrom their_network import Mine\n\nnetwork = Mine()\n")
    assert other.read_text().endswith(f"# ---- their_network.py ----\n{NETWORK.rstrip()}\n"), "which it imports"
    MEASURES.pop("width@1")
    for name in ("my_measure", "instance"):
        sys.modules.pop(name)


def test_a_measure_of_the_users_own_that_fails_is_told_and_nothing_is_written(users_folder, capsys):
    (users_folder / "bad_measure.py").write_text(MEASURE)
    for name, message in {
        "fails": "measure fails@1: tried on 400 random codes of width 16, without an encoder, its code ended with KeyE",
        "fails_later": "--encoder their_network.Mine: KeyError: 'later' (bad_measure.py, line ",
    }.items():
        request = ["eval", "--encoder", "their_network.Mine", *REQUEST, f"bad_measure.{name}", "--out", "runs"]
        assert main(request) == 2
        assert message in capsys.readouterr().err.splitlines()[-1]
        MEASURES.pop(f"{name}@1")
    sys.modules.pop("bad_measure")
    assert not Path("runs").exists()


def test_other_weights_or_features_of_the_same_name_are_judged_anew(users_folder):
    for _ in range(2):
        judged("--encoder", "their_network:Mine", measures="intrinsic")  # which draws other weights each time
    data = datamodules.build("digits", image_size=16)
    (users_folder / "theirs").mkdir()
    for split, part in data.splits.items():
        np.save(users_folder / "theirs" / f"{split}.npy", np.random.default_rng(0).normal(size=(len(part), 4)))
    first = judged("--features", "theirs", measures="intrinsic")
    np.save(users_folder / "theirs" / "train.npy", 2 * np.load(users_folder / "theirs" / "train.npy"))
    assert judged("--features", "theirs", measures="intrinsic")["cell"]["method"] == first["cell"]["method"]


def test_what_cannot_be_asked_for_is_told(users_folder, capsys):
    for arguments, message in {
        (): "one of --encoder and --features is needed",
        ("--encoder", "a", "--features", "b"): "one of --encoder and --features is needed",
        ("--features", "b", "--normalize", "data"): "are of an --encoder, not of --features",
        ("--encoder", "a", "--image-size", "0"): "--image-size 0: from 1 to 4096 pixels",
        ("--encoder", "a", "--labels", "class"): "'class' is neither none nor one of content, style, domain",
        ("--encoder", "a", "--untrained"): "--encoder a: no such file",
        ("--encoder", f"timm:a,checkpoint={__file__}", "--untrained"): "are in a file, leave out --untrained or",
        ("--encoder", "sys.path", "--untrained"): "--untrained is of timm's models, and of this suite's own files",
        ("--encoder", "a"): "--encoder a: no such file (expected FILE.safetensors",
    }.items():
        assert message in told(capsys, *arguments)


def test_its_help_ends_with_examples(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["eval", "--help"])
    _, examples = capsys.readouterr().out.split("\nexamples:\n")
    assert all(line.startswith("  bench eval --") for line in examples.splitlines())


def test_a_folder_of_few_images(users_folder, capsys):
    """Nothing is trained: images need not fill the batches of the suite's training. What can't be asked is said."""
    for split, each in (("train", 12), ("test", 6)):
        for name in ("cats", "dogs"):
            (place := users_folder / "few" / split / name).mkdir(parents=True)
            for k in range(each):
                Image.fromarray(np.full((20, 24), 10 * k, np.uint8)).save(place / f"{k}.png")
    few = ["--dataset", "image_folder", "--set", "image_folder.root=few", "--measures", "knn,leakage", "--out", "runs"]
    assert main(["eval", "--encoder", "their_network:Mine", "--suite", "smoke", *few]) == 0
    assert "bench: not measured: leakage@4, for which image_folder has no target\n" in capsys.readouterr().err
    (record,) = find_records_here()
    assert all(row["scores"] for row in record["metrics"])
