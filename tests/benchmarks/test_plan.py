"""What makes two cells the same, and which are left out."""

import importlib
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from disentangle_bench.benchmarks import launchers, machine
from disentangle_bench.benchmarks.__main__ import main
from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.execution.build import own_code_of
from disentangle_bench.benchmarks.launchers import local
from disentangle_bench.benchmarks.planning.plan import plan
from disentangle_bench.benchmarks.planning.suite import choose
from disentangle_bench.benchmarks.planning.trial import try_measure
from disentangle_bench.evaluation.measures.base import NO_TARGET, Measure, Score
from disentangle_bench.methods.networks.backbones import ConvNet


def planned(method, dataset="colored_digits", *settings):
    return plan(choose("smoke", method, dataset, "0", list(settings)))


def test_hash_is_of_what_decides_the_result():
    (cell,) = planned("simclr")
    assert planned("simclr")[0].hash == cell.hash
    for setting in ("simclr.temperature=0.3", "data.split_seed=1", "colored_digits.correlation=0.5", "budget.epochs=2"):
        assert planned("simclr", "colored_digits", setting)[0].hash != cell.hash, setting
    assert replace(cell, seed=1).hash != cell.hash
    assert replace(cell, seed=1).settings == cell.settings
    others = ({"method": "vicreg"}, {"dataset": "digits"}, {"precision": "bf16-mixed"}, {"threads": 7}, {"source": "a"})
    for change in others:
        assert replace(cell, **change).settings != cell.settings, change


def test_hash_is_not_of_where_data_lie_or_what_is_measured():
    (cell,) = planned("simclr")
    elsewhere = {"root": "/elsewhere", "cache_dir": "/other", "feed": "stream", "num_workers": 8}
    assert replace(cell, data=cell.data | elsewhere).hash == cell.hash
    assert replace(cell, fingerprint="other data").hash != cell.hash
    assert replace(cell, measures=["knn@1"], suite="other").hash == cell.hash


def test_method_whose_labels_the_data_lack(capsys):
    """Left out of `all` with a word; asked for by name it is a mistake."""
    assert "domain_contrastive" not in {cell.method for cell in planned("all", "digits")}
    assert (
        "left out: domain_contrastive trains with domain labels, which digits does not have" in capsys.readouterr().err
    )
    assert "domain_contrastive" in {cell.method for cell in planned("all")}
    with pytest.raises(RequestError, match="domain labels, which digits does not have"):
        planned("domain_contrastive", "digits")


def test_settings_merge_over_the_suite():
    suite = choose("smoke", None, None, None, ["simclr.augmentation.rotation=10", "simclr.augmentation.flip=0.1"])
    assert suite.settings["simclr"] == {"augmentation": {"rotation": 10, "flip": 0.1}}
    assert suite.settings["method"] == {"backbone": "convnet"}


def test_a_cell_keeps_which_of_its_options_were_set_by_hand():
    """Those of the command line, by the options that they are of; the hash doesn't know whose word it was."""
    settings = [
        "method.temperature=0.3",
        "simclr.augmentation.rotation=10",
        "simclr.data.balance=null",
        "data.batch_size=64",
    ]
    suite = choose("smoke", "simclr,pixels", "digits", "0", settings)
    cells = {cell.method: cell for cell in plan(suite)}
    assert cells["simclr"].by_hand == {"augmentation.rotation": 10.0, "temperature": 0.3}
    assert cells["pixels"].by_hand == {}
    assert replace(cells["simclr"], by_hand={}).hash == cells["simclr"].hash
    (swept,) = plan(choose("smoke", "simclr", "digits", "0", [], None, ["method.lr=0.1"]))
    assert swept.by_hand == {"lr": 0.1}
    assert plan(choose("smoke", "simclr", "digits", "0", []))[0].by_hand == {}


def test_a_method_may_compose_its_batches_but_not_choose_its_data():
    suite = choose("quick", "domain_contrastive,simclr", "colored_digits", "0", [])
    cells = {cell.method: cell for cell in plan(suite)}
    assert cells["domain_contrastive"].data["balance"] == "domain"
    assert cells["simclr"].data["balance"] is None
    assert cells["domain_contrastive"].fingerprint == cells["simclr"].fingerprint
    for setting, words in (
        ("simclr.data.correlation=0.5", "simclr: `data` may hold balance and domains_per_batch"),
        ("simclr.data.balance=shape", "simclr: balance 'shape': colored_digits has no such target"),
        ("simclr.data.balance=3", "balance"),
    ):
        with pytest.raises(RequestError, match=words):
            plan(choose("quick", "simclr", "colored_digits", "0", [setting]))


def test_measures_by_name_are_the_newest_versions():
    suite = choose("quick", "pixels", "digits", "0", [], "leakage,linear@1,linear")
    (cell,) = plan(suite)
    assert cell.measures == ["leakage@4", "linear@1"]
    with pytest.raises(RequestError, match="unknown measure 'linaer': did you mean linear"):
        plan(choose("quick", "pixels", "digits", "0", [], "linaer"))


def test_hash_is_also_of_the_users_own_code(tmp_path, monkeypatch):
    (tmp_path / "own_base.py").write_text(
        "from disentangle_bench.methods.simclr import SimCLR as Base\nclass Own(Base): 1"
    )
    file = tmp_path / "own_method.py"
    hashes = []
    for content in ("pass", "pass", "lr = 3"):
        file.write_text(f"from own_base import Own\nclass MyMethod(Own):\n    name = 'mine'\n    {content}\n")
        monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
        for name in ("own_base", "own_method"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        importlib.invalidate_caches()
        hashes.append(planned("own_method.MyMethod", "digits")[0].hash)
    assert hashes[0] == hashes[1] != hashes[2]
    assert not planned("simclr")[0].source


def test_hash_is_also_of_the_weights_that_an_encoder_starts_from(tmp_path):
    """Another file of the same name is another run, and a run that was planned with the first one says so."""
    file = tmp_path / "encoder.safetensors"

    def cell_of(seed):
        torch.manual_seed(seed)
        save_file(dict(ConvNet(3).state_dict()), file)
        return planned("simclr", "colored_digits", f"simclr.init={file}")[0]

    (plain,), first, second, again = planned("simclr"), cell_of(0), cell_of(1), cell_of(0)
    assert plain.source == ""
    assert first.hash == again.hash != second.hash
    own_code_of(first)
    with pytest.raises(RequestError, match=r"encoder\.safetensors: changed since the run was planned"):
        own_code_of(second)


def test_all_is_all_of_a_suites_own_methods_and_what_it_lists_may_lack_labels(tmp_path, capsys):
    listed = choose("quick", None, "digits", "0").methods
    assert choose("quick", "all", "digits", "0").methods == listed
    assert choose("field", "all", None, "0").methods == "all"
    (tmp_path / "mine.yaml").write_text(
        "datasets: [digits]\nmethods: [simclr, domain_contrastive]\nbudget: {steps: 1}\nmeasures: [knn@1]\n"
    )
    assert [cell.method for cell in plan(choose(str(tmp_path / "mine.yaml")))] == ["simclr"]
    assert "left out: domain_contrastive" in capsys.readouterr().err
    with pytest.raises(RequestError, match="domain labels, which digits does not have"):
        plan(choose(str(tmp_path / "mine.yaml"), "domain_contrastive"))
    text = (tmp_path / "mine.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(text.replace("simclr, ", ""))
    with pytest.raises(RequestError, match="suite mine: none of its methods can train on its data sets"):
        plan(choose(str(tmp_path / "mine.yaml")))


@pytest.mark.parametrize(
    ("asked", "threads"),
    [
        ([], 8),  # one cell at a time has the processor for itself
        (["--jobs", "2"], 4),
        (["--jobs", "3"], 2),
        (["--jobs", "100"], 2),  # there are four cells
        (["--jobs", "2", "--devices", "2"], 2),
        (["--jobs", "2", "--set", "threads=3"], 3),  # what a suite says decides
    ],
)
def test_cells_side_by_side_share_the_cores(asked, threads, tmp_path, monkeypatch, capsys):
    """Else each starts as many threads as there are cores, and all wait for each other."""
    started = []

    def started_cells(launcher, cells, launch):
        started.extend(cell.threads or launch.threads for cell in cells)
        return launchers.LaunchResult()

    monkeypatch.setattr(launchers, "run", started_cells)
    monkeypatch.setattr(local, "warm_up", lambda: None)
    monkeypatch.setattr(machine, "count_cores", lambda: 8)
    monkeypatch.setattr(machine, "find_devices", lambda: ("cpu", 8))
    suite = tmp_path / "mine.yaml"
    four = "methods: [random_init]\ndatasets: [digits]\nseeds: [0, 1, 2, 3]\n"
    suite.write_text(f"description: x\n{four}budget: {{epochs: 1}}\nmeasures: [linear]\n")
    assert main(["run", "--suite", str(suite), "--out", str(tmp_path / "runs"), *asked]) == 0
    assert set(started) == {threads}


@pytest.mark.parametrize(
    ("method", "order"), [("late.Late", ["warm", "file", "warm"]), ("random_init", ["warm"]), ("randm", [])]
)
def test_cells_are_warmed_up_for_before_ones_own_file_is_imported(method, order, tmp_path, monkeypatch):
    """Both import torch, which takes seconds; a wrong name is told before either."""
    events = tmp_path / "events"
    events.touch()
    monkeypatch.setattr(launchers, "run", lambda *_: launchers.LaunchResult())
    monkeypatch.setattr(local, "warm_up", lambda: events.open("a").write("warm "))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "late.py").write_text(
        f"from disentangle_bench.methods.random_init import RandomInit\n\nopen({str(events)!r}, 'a').write('file ')\n"
        "\n\nclass Late(RandomInit):\n    name = 'late'\n"
    )
    main(["run", "--method", method, "--out", "runs"])
    assert events.read_text().split() == order


def test_a_measure_of_ones_own_is_tried_on_data_without_targets():
    spread = Measure(
        name="spread",
        version=1,
        targets=NO_TARGET,
        splits="scored on test",
        source="own",
        scores={"spread": Score(None, 0, float("inf"), "none")},
        aspect="descriptive",
        run=lambda space: {"spread": float(space.x["test"].std())},
    )
    try_measure(spread, ())
    with pytest.raises(RequestError, match=r"measure slip@1: .* ended with KeyError"):
        try_measure(replace(spread, name="slip", run=lambda space: {"spread": space.x["tset"]}), ())
