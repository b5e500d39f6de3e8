"""Experiments of a suite: rows with labels and settings of their own, and what was published of them."""

import json
import subprocess

import pytest
import yaml

from disentangle_bench.benchmarks.__main__ import main
from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.execution import record
from disentangle_bench.benchmarks.execution.record import keep_experiments
from disentangle_bench.benchmarks.planning.plan import plan
from disentangle_bench.benchmarks.planning.suite import choose
from disentangle_bench.benchmarks.runs import lock
from disentangle_bench.benchmarks.runs.folder import RunFolder
from disentangle_bench.evaluation.records import FILE, digest_of
from disentangle_bench.evaluation.verify import verify

FIGURE = {
    "measure": "linear@1",
    "score": "top1",
    "value": 0.8444,
    "source": "a README, line 103",
    "protocol": "probed at 96 px",
}


def experiment(label, method="random_init", **more):
    settings = {key: more.pop(key) for key in ("data", "budget") if key in more}
    settings |= {"method": more.pop("options")} if "options" in more else {}
    return {"label": label, "method": method, "dataset": "digits", "settings": settings} | more


@pytest.fixture
def written(tmp_path):
    def write(*experiments, name="mine", **more):
        content = {
            "experiments": list(experiments),
            "measures": ["linear@1", "knn@1"],
            "budget": {"steps": 2},
            "precision": "fp32",
            "threads": 1,
            "settings": {"data": {"batch_size": 64}, "method": {"backbone": "convnet"}},
        }
        file = tmp_path / f"{name}.yaml"
        file.write_text(yaml.safe_dump(content | more))
        return str(file)

    return write


def test_variants_side_by_side_over_the_suites_settings(written):
    file = written(
        experiment("SimCLR", "simclr", options={"lr": 0.5}, data={"batch_size": 32, "image_size": 16}),
        experiment("SimCLR (cold)", "simclr", options={"temperature": 0.1}, budget={"epochs": 3}),
        datasets=["digits"],
        methods=["random_init"],
        seeds=[0, 1],
    )
    cells = plan(choose(file))
    assert [cell.title for cell in cells[:3]] == [
        "digits/random_init seed 0",
        "digits/SimCLR seed 0",
        "digits/SimCLR (cold) seed 0",
    ]
    assert len(cells) == 6
    assert len({cell.hash for cell in cells}) == 6
    _, warm, cold = cells[:3]
    assert (warm.options["lr"], warm.options["temperature"], warm.data["batch_size"]) == (0.5, 0.2, 32)
    assert (cold.options["lr"], cold.options["temperature"], cold.data["batch_size"]) == (2e-3, 0.1, 64)
    assert warm.fingerprint != cold.fingerprint, "of other images"
    assert warm.options["backbone"] == cold.options["backbone"] == "convnet"
    assert warm.budget == {"steps": 2}
    assert cold.budget == {"epochs": 3}


def test_the_command_line_has_the_last_word(written):
    file = written(experiment("A", "simclr", options={"lr": 0.5, "augmentation": {"flip": 0.1}}, budget={"epochs": 9}))
    wishes = ["method.lr=0.1", "simclr.augmentation.rotation=5", "digits.batch_size=16", "budget.steps=1"]
    (cell,) = plan(choose(file, assignments=wishes))
    assert cell.options["lr"] == 0.1
    assert cell.data["batch_size"] == 16
    assert cell.budget == {"steps": 1}
    assert (cell.options["augmentation"]["flip"], cell.options["augmentation"]["rotation"]) == (0.1, 5)


def test_chosen_by_label_method_or_data_set(written):
    file = written(experiment("A", "simclr"), experiment("B", "simclr", options={"lr": 1}), experiment("C"))
    labels = {choice: [c.labels for c in plan(choose(file, choice))] for choice in ("A", "simclr", "C,B")}
    assert labels == {"A": [["A"]], "simclr": [["A"], ["B"]], "C,B": [["B"], ["C"]]}
    assert len(plan(choose(file, dataset="digits"))) == 3
    with pytest.raises(RequestError, match="unknown method of suite mine 'D': known are A, B, C, random_init, simclr"):
        choose(file, "D")
    with pytest.raises(RequestError, match="unknown dataset of suite mine 'cifar10'"):
        choose(file, dataset="cifar10")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (experiment("A", lr=3), "experiment 'A': unknown key 'lr'"),
        ({"method": "pixels", "dataset": "digits"}, "experiment 1: `label` is missing"),
        (experiment(""), "a label is printable text"),
        (experiment("A") | {"settings": {"optimizer": {}}}, "experiment 'A': settings: unknown key 'optimizer'"),
        (experiment("A", options={"lrr": 1}), "experiment 'A': method random_init: unknown option 'lrr'"),
        (experiment("A", data={"size": 1}), "experiment 'A': data set digits: unknown option 'size'"),
        (experiment("A", budget={"steps": 1, "epochs": 1}), "budget: exactly one of"),
        (experiment("A", "domain_contrastive"), "experiment 'A': domain_contrastive trains with domain labels"),
        *(
            (experiment("A", published=[{k: v for k, v in FIGURE.items() if k != name}]), f"`{name}` is missing")
            for name in ("source", "protocol", "value")
        ),
        (experiment("A", published=[FIGURE | {"source": " "}]), "published: `source` is empty"),
        (experiment("A", published=[FIGURE | {"value": "high"}]), "value: expected a number"),
        (experiment("A", published=[FIGURE | {"value": 84.44}]), "linear@1 top1 lies between 0 and 1, got 84.44"),
        (experiment("A", published=[FIGURE | {"measure": "linear"}]), "published: unknown measure 'linear'"),
        (experiment("A", published=[FIGURE | {"score": "top"}]), "published: unknown score 'top'"),
        (experiment("A", published=[FIGURE | {"target": "hue"}]), "published: unknown target 'hue'"),
    ],
)
def test_what_is_refused(wrong, message, written):
    with pytest.raises(RequestError) as caught:
        plan(choose(written(wrong)))
    assert message in str(caught.value)


def test_two_rows_of_one_name_are_refused(written):
    with pytest.raises(RequestError, match="two rows of one data set are called 'A'"):
        choose(written(experiment("A"), experiment("A", "simclr")))
    with pytest.raises(RequestError, match="two rows of one data set are called 'random_init'"):
        choose(written(experiment("random_init"), datasets=["digits"], methods=["random_init"]))
    with pytest.raises(RequestError, match="`datasets` or `experiments` must not be empty"):
        choose(written())


def test_labels_are_rows_and_equal_cells_are_shared_and_not_run_again(written, tmp_path, capsys):
    out = ["--out", str(tmp_path / "runs")]
    first = written(experiment("A", published=[FIGURE]), experiment("B"))
    assert main(["run", "--suite", first, "--dry-run", *out]) == 0
    told = capsys.readouterr().out
    assert "digits/A = B seed 0" in told
    assert "1 cell, 1 to run" in told
    assert main(["run", "--suite", first, *out]) == 0
    table = capsys.readouterr().out
    assert "| A = B" in table
    assert "random\\_init" not in table
    assert "linear@1 top1 % published" in table
    assert "(84.4)<sup>1</sup>" in table
    assert "<sup>1</sup> Published: a README, line 103; another protocol: probed at 96 px." in table
    (record,) = (tmp_path / "runs").rglob(FILE)
    before = json.loads(record.read_text())

    renamed = written(experiment("Untrained", published=[FIGURE | {"protocol": "same", "value": 0.5}]))
    assert main(["run", "--suite", renamed, *out]) == 0
    again = capsys.readouterr()
    assert "all cells are complete (1)" in again.err
    assert "| Untrained" in again.out
    assert "50.0<sup>1</sup>" in again.out
    assert "(50.0)" not in again.out
    after = json.loads(record.read_text())
    assert after["provenance"] == before["provenance"]
    assert after["metrics"] == before["metrics"]
    assert after["digest"] == digest_of(after)
    assert not verify(tmp_path / "runs").findings
    assert main(["run", "--suite", written(experiment("Other"), name="other"), *out]) == 0
    assert "| Untrained = Other" in capsys.readouterr().out, "suites don't take each other's rows"
    assert main(["status", *out]) == 0
    assert "digits/Untrained = Other seed 0" in capsys.readouterr().out

    board = tmp_path / "board"
    assert main(["leaderboard", *out, "--board", str(board)]) == 0
    renamed = ["run", "--suite", written(experiment("Renamed")), "--out", str(board / "records")]
    assert main(renamed) == 0, "a run of a board has a record alone"
    assert main(["status", "--out", str(board / "records")]) == 0
    assert "digits/random_init seed 0" in capsys.readouterr().out

    (cell,) = plan(choose(written(experiment("Edited"))))
    run, untouched = RunFolder(record.parent), record.read_text()
    with lock.hold(run.lock):  # somebody adds measures: two writers would lose what one of them has
        keep_experiments(cell, run)
    assert record.read_text() == untouched
    edited = record.read_text().replace('"parameters": 388896', '"parameters": 1')
    record.write_text(edited)
    keep_experiments(cell, run)
    assert record.read_text() == edited, "what was edited by hand is not sealed anew"


def test_a_commit_is_of_a_repository_that_holds_the_code(tmp_path, monkeypatch):
    """A package that is installed inside of somebody's repository is none of its files."""
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    (tmp_path / "record.py").touch()
    monkeypatch.setattr(record, "__file__", str(tmp_path / "record.py"))
    assert record.git_state.__wrapped__() == {"commit": None, "dirty": None}
    subprocess.run(["git", "add", "record.py"], cwd=tmp_path, check=True)
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *who, "commit", "--quiet", "--message", "a"], cwd=tmp_path, check=True)
    assert record.git_state.__wrapped__()["commit"]


@pytest.mark.parametrize("figures", [None, 5, True])
def test_published_figures_that_are_no_list_are_told(written, figures):
    with pytest.raises(RequestError, match="published"):
        choose(written(experiment("A", published=figures)))
