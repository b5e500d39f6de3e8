"""Suite files: what is wrong in one is told in a line, and none is too large to read."""

import os
from pathlib import Path

import pytest

from disentangle_bench.benchmarks import plain_yaml
from disentangle_bench.benchmarks.__main__ import main
from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.planning import suite
from disentangle_bench.benchmarks.planning.plan import plan

GOOD = "datasets: [digits]\nmeasures: [linear@1]\nbudget: {epochs: 1}"
BOMB = "a0: &a0 [x]\n" + "\n".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("datasets: [digits]\nmeasures: [linear@1]\nbudget: {epochs: 1}\nepocs: 3", "unknown key 'epocs'"),
        ("datasets: [", "not readable as YAML"),
        ("- digits", "a mapping was expected"),
        ("datasets: [digits]\nmeasures: [linear@9]\nbudget: {epochs: 1}", "unknown measure 'linear@9'"),
        (
            "datasets: [digits]\nmeasures: [linear@1]\nbudget: {epochs: 1}\nseeds: [a]",
            "seeds: expected a list, each entry a whole number >=0 and <4294967296, got ['a']",
        ),
        (
            "datasets: digits\nmeasures: [linear@1]\nbudget: {epochs: 1}",
            "expected a list, each entry text, got 'digits'",
        ),
        ("datasets: [digits]\nmeasures: [linear@1]", "budget: exactly one of"),
        ("datasets: [digits]\nmeasures: [linear@1]\nbudget: 3", "budget must hold epochs, minutes, steps, got 3"),
        ("datasets: [digits]\nmeasures: [linear@1]\nbudget: {epochs: 1, steps: 2}", "exactly one of epochs, steps"),
        ("datasets: [digits]\nmeasures: [linear@1]\nbudget: {minutes: .nan}", "budget.minutes: expected a number"),
        ("datasets: [digits]\nmeasures: [linear@1]\nbudget: {minutes: .inf}", "budget.minutes: expected a number"),
        ("datasets: [digits]\nmeasures: [linear@1]\nbudget: {epochs: true}", "budget.epochs: expected a whole number"),
        (f"{GOOD}\nthreads: 0", "threads: expected a whole number >0 and <=4096, got 0"),
        (f"{GOOD}\nprecision: fp8", "precision: expected one of auto, fp32, bf16, got 'fp8': did you mean fp32?"),
        (f"{GOOD}\nsettings: {{data: 3}}", "settings: expected a mapping"),
        (f"{GOOD}\nseeds: []", "`seeds` must not be empty"),
        (f"{GOOD}\nseeds: [0]\nseeds: [1]", "seeds stands twice"),
        (f"{GOOD}\nsettings: {{simclr: {{lr: 1, lr: 2}}}}", "lr stands twice"),
        (f"{GOOD}\nsettings: {{simclr: {{lr: .inf}}}}", "suite mine: settings is NaN or infinite"),
        (BOMB, "its aliases unfold into too much"),
        ("a: &a [*a]", "its aliases unfold into too much"),
        ("[" * 5000, "not readable as YAML"),
        ("!!python/object/apply:os.system [true]", "not readable as YAML"),
    ],
)
def test_bad_suite_file(content, message, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(content)
    with pytest.raises(RequestError) as caught:
        plan(suite.read(str(file)))
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_suite_is_a_regular_file_of_reasonable_size(tmp_path):
    pipe, large, folder = (tmp_path / f"{name}.yaml" for name in ("pipe", "large", "folder"))
    os.mkfifo(pipe)
    large.write_text(GOOD + "#" * plain_yaml.LARGEST_FILE)
    folder.mkdir()
    for path, message in ((pipe, "not a regular file"), (large, "more than"), (folder, "not a regular file")):
        with pytest.raises(RequestError, match=message):
            suite.read(str(path))


def test_suites_of_the_package_and_aliases_of_a_reasonable_size_are_read(tmp_path):
    assert {suite.read(name).name for name in suite.names()} == set(suite.names())
    file = tmp_path / "mine.yaml"
    file.write_text(
        f"{GOOD}\nsettings:\n  data: &usual {{batch_size: 64}}\n  digits:\n    <<: *usual\n    val_fraction: 0.2\n"
    )
    assert suite.read(str(file)).settings["digits"] == {"batch_size": 64, "val_fraction": 0.2}


def test_a_suites_file_without_its_ending_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(GOOD)
    assert main(["run", "--suite", "mine", "--dry-run"]) == 2
    assert capsys.readouterr().err.endswith("a file is named with its ending, --suite mine.yaml\n")
