"""Bad input: one clear line on standard error, exit code 2, nothing written."""

import os
import shlex
import subprocess
import sys

import pytest

from disentangle_bench.benchmarks.__main__ import main
from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.planning import suite
from disentangle_bench.benchmarks.planning.plan import plan
from disentangle_bench.benchmarks.runs.folder import RunFolder

BAD = {
    "unknown method": (["--method", "simcrl"], "unknown method 'simcrl': did you mean simclr"),
    "unknown data set": (["--dataset", "digit"], "unknown dataset 'digit': did you mean digits"),
    "unknown suite": (["--suite", "quik"], "unknown suite 'quik': did you mean quick?"),
    "misspelt option": (["--metod", "simclr"], "unknown option --metod: did you mean --method"),
    "wrong type": (["--devices", "two"], "--devices: expected a whole number, got 'two'"),
    "wrong type of a setting": (["--set", "method.lr=fast"], ": lr: expected a number >0, got 'fast'"),
    "an empty argument": ([""], "unknown option ''"),
    "a module as a backbone": (
        ["--set", "method.backbone=os.path"],
        "backbone os.path: expected a class or a function, got a module",
    ),
    "misspelt setting": (["--set", "method.temprature=1"], "unknown option 'temprature': did you mean temperature"),
    "setting of nobody": (["--set", "simcrl.lr=1"], "unknown addressee 'simcrl': did you mean simclr"),
    "setting without value": (["--set", "method.lr"], "expected KEY=VALUE"),
    "temperature 0": (["--set", "method.temperature=0"], "temperature"),
    "negative temperature": (["--set", "simclr.temperature=-1"], "temperature"),
    "batch larger than the data": (["--set", "data.batch_size=5000"], "larger than the 1293 training images"),
    "negative epochs": (
        ["--set", "budget.epochs=-3"],
        "budget.epochs: expected a whole number >0 and <=1000000, got -3",
    ),
    "two kinds of budget": (["--set", "budget.hours=3"], "unknown key 'hours': known are epochs, minutes, steps"),
    "seeds": (["--seeds", "0,one"], "--seeds must be whole numbers or ranges, such as 0,1,2 or 0-2; got '0,one'"),
    "seeds downwards": (["--seeds", "4-0"], "--seeds 4-0: a range goes from the smaller number to the larger one"),
    "too many seeds": (["--seeds", "0-4000000000"], "4,000,000,001 seeds, at most 1,000 may be"),
    "half a range": (["--seeds", "0-"], "or ranges, such as 0,1,2 or 0-2; got '0-'"),
    "negative seed": (["--seeds", "-1"], "seeds"),
    "missing data": (["--dataset", "image_folder", "--set", "image_folder.root=/nowhere"], "/nowhere"),
    "missing suite file": (["--suite", "no/such.yaml"], "no/such.yaml: No such file"),
    "devices": (["--devices", "999"], "--devices 999: this machine has"),
    "no devices": (["--devices", "0"], "at least 1"),
    "several machines": (["--nodes", "2"], "--nodes needs a cluster: --launcher slurm"),
    "misspelt resource": (["--set", "resources.partion=a"], "unknown key 'partion': did you mean partition?"),
    "no time": (
        ["--set", "resources.timeout_min=0"],
        "timeout_min: expected a whole number >0 and <=1000000, got 0",
    ),
    "resource of a wrong kind": (
        ["--set", "resources.mem_gb=much"],
        "resources.mem_gb: expected a number >0 and <=1000000, got 'much'",
    ),
    "a GPU of a machine without": (["--set", "resources.gpus_per_node=1"], "resources.gpus_per_node is of a cluster's"),
    "no resources": (["--set", "resources=3"], "--set resources=3: expected"),
    "own method that isn't there": (["--method", "no_file.MyMethod"], "no_file.MyMethod"),
    "results under a file": (["--out", "/dev/null/runs"], "/dev/null can't be written to"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_writes_nothing(case, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments, message = BAD[case]
    if "--out" not in arguments:
        arguments = [*arguments, "--out", "runs"]
    try:
        code = main(["run", *arguments])
    except SystemExit as stop:  # the parser's way
        code = stop.code
    error = capsys.readouterr().err
    assert code == 2
    assert message in error
    assert len(error.splitlines()) == 1, error
    assert not list(tmp_path.iterdir())


WRONG = {
    "run --jobs two": "--jobs: expected a whole number, got 'two'",
    "run --launcher slrm": "--launcher: expected one of local, slurm, got 'slrm': did you mean slurm?",
    "run --nodes": "--nodes: a value is missing",
    "run --set": "--set: a value is missing",
    "run --dry-run=maybe": "--dry-run: expected true or false, got 'maybe'",
    "run simclr": "'simclr' is not understood: options begin with --, `bench COMMAND --help` lists them",
    "run --metod simclr": "unknown option --metod: did you mean --method or --set or --tuned?",
    "run --set augmentation.flip=1": "settings: unknown addressee 'augmentation': expected data, method, or the "
    "name of a method or data set, as in method.augmentation",
    "runn": "unknown command 'runn': did you mean run or tune?",
    "tune --suite quick": "tune: --to must be given",
    "tune --jobs x": "--jobs: expected a whole number, got 'x'",
    "list": "list: what (methods, datasets, suites, measures, claims, backbones, views, keys, metrics) must be given",
    "status --dry-run": "unknown option --dry-run: `bench COMMAND --help` lists those that there are",
    "cancel --out": "--out: a value is missing",
    "leaderboard --matched epoch": "--matched: expected one of epochs, images, forward_passes, minutes, got 'epoch': "
    "did you mean epochs?",
    "report --logger csv": "--logger: expected one of none, wandb, got 'csv'",
    "data": "data: action (show, check) and name must be given",
    "data shw digits": "action: expected one of show, check, got 'shw': did you mean show?",
    "claims --run=maybe": "--run: expected true or false, got 'maybe'",
    "clean --weigths": "unknown option --weigths: did you mean --weights or --quiet?",
    "replay": "replay: folder must be given",
    "stress --widths a": "--widths: expected a list, each entry a whole number, got 'a'",
}


@pytest.mark.parametrize("words", WRONG)
def test_what_the_parser_refuses_is_told_in_the_words_that_were_typed(words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        code = main(shlex.split(words))
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    assert capsys.readouterr().err == f"bench: {WRONG[words]}\n"


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("method.augmentation.flp=1", "method simclr: unknown option of augmentation 'flp': did you mean flip?"),
        ("method.augmentation.flip=2", "method simclr: augmentation.flip: expected a number >=0 and <=1, got 2"),
        ("method.augmentation.zoom=2", "augmentation.zoom: expected a list of 2 values, each a number, got 2"),
        ("method.optimizer=adan", "optimizer: expected one of sgd, adam, adamw, lars, got 'adan': did you mean adam"),
        ("data.batch_size=abc", "data set digits: batch_size: expected a whole number >0, got 'abc'"),
    ],
)
def test_a_wrong_setting_is_told_with_what_would_be_right(assignment, message):
    with pytest.raises(RequestError) as told:
        plan(suite.choose("smoke", "simclr", "digits", assignments=[assignment]))
    assert message in str(told.value)


def test_a_data_set_that_is_not_there_is_named_once_and_then_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("DISENTANGLE_BENCH_DATA", str(tmp_path))
    with pytest.raises(RequestError, match=rf"^data set pacs: not in {tmp_path}/pacs; `bench list datasets pacs` "):
        plan(suite.choose("smoke", "random_init", "pacs"))


def test_checkpoint_of_another_configuration(tmp_path, capsys):
    """A folder that holds somebody else's checkpoint is left as it is."""
    arguments = ["--suite", "smoke", "--method", "simclr", "--dataset", "digits", "--out", str(tmp_path)]
    (cell,) = plan(suite.choose("smoke", "simclr", "digits"))
    folder = RunFolder(cell.folder(tmp_path)).checkpoints
    folder.mkdir(parents=True)
    (folder / "step=1.ckpt").write_bytes(b"weights")
    (folder / "step=1.json").write_text('{"cell": "0123456789abcdef", "sha256": ""}')
    before = sorted(tmp_path.rglob("*"))
    assert main(["run", *arguments]) == 2
    assert "belongs to another configuration (0123456789abcdef" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


WRONG_AT_ONCE = [
    ["run", "--suite", "quik"],
    ["run", "--method", "simcrl"],
    ["run", "--method", "os.system"],
    ["run", "--dataset", "digit"],
    ["run", "--measures", "line"],
    ["run", "--set", "simcrl.lr=1"],
    ["run", "--sweep", "lr"],
    ["eval", "--encoder", "none.safetensors"],
    ["eval", "--encoder", "other.safetensors"],
    ["eval", "--encoder", "pipe.safetensors"],
    ["eval", "--encoder", "none.ts"],
    ["eval", "--encoder", "timm:resnet18,checkpoint=none.pth"],
    ["eval", "--encoder", "hf:nobody"],
    ["eval", "--encoder", "their:network", "--dataset", "digit"],
    ["eval", "--encoder", "their:network", "--dataset", "digits,mnist"],
    ["eval", "--encoder", "weights.ts"],
    ["eval", "--encoder", "features"],
    ["eval", "--features", "none"],
    ["eval", "--features", "features"],
    ["leaderboard", "--out", "none"],
    ["merge", "none"],
    ["merge", "pipes", "--out", "loop"],
    ["run", "--out", "loop"],
    ["replay", "none"],
    ["stress", "--measures", "line"],
]
"""Requests that are refused without the imports that take seconds; in this order, in one process."""


def test_a_wrong_request_is_refused_before_what_takes_seconds_to_import(tmp_path):
    (tmp_path / "other.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")
    os.mkfifo(tmp_path / "pipe.safetensors")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "weights.ts").touch()
    (tmp_path / "features").mkdir()
    os.mkfifo(tmp_path / "features" / "test.npy")
    code = "import sys\nfrom disentangle_bench.benchmarks.__main__ import main\n"
    code += f"for words in {WRONG_AT_ONCE}:\n    assert main(words) == 2, words\n"
    code += "    if heavy := {'torch', 'lightning', 'timm', 'sklearn'} & sys.modules.keys():\n"
    code += "        sys.exit(f'{words}: {heavy}')"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") == len(WRONG_AT_ONCE)
    assert "pipe.safetensors: not a regular file" in done.stderr
    assert "--encoder features: there is no encoder.safetensors in this folder" in done.stderr
    assert "--features features: test.npy is not a regular file" in done.stderr
