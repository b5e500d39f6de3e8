"""What a run came to stands in its record under the names that readers know."""

from types import SimpleNamespace

from torch import nn

from disentangle_bench.benchmarks.execution.costs import Cost
from disentangle_bench.benchmarks.execution.measure import Measurements
from disentangle_bench.benchmarks.execution.record import make_record, write_results
from disentangle_bench.benchmarks.execution.train import Trained
from disentangle_bench.benchmarks.runs.folder import CellLaunch, RunFolder
from disentangle_bench.evaluation.outcomes import Outcomes
from disentangle_bench.evaluation.records import digest_of_file, read_record


class Judged(nn.Module):
    """Agrees with itself."""

    source, primary_space, invariant_space = "Somebody (2020)", "code", "content"
    uses_targets = frozenset({"style", "domain"})


def test_a_record_holds_what_a_run_came_to_and_comes_back_as_it_was_written(cell, tmp_path):
    cost = Cost(12.5, 3072, 6144, 245.8, parameters=900, encoder_parameters=700)
    undefined = {"space": "code", "measure": "knn@1", "target": "class", "scores": None, "reason": "one class only"}
    earlier = [{"command": "bench run", "measures": ["linear@1"]}]
    measured = Measurements(["linear@1", "knn@1", "kmeans@2"], [undefined], Outcomes(), 61.25, earlier)
    data = SimpleNamespace(name="digits", fingerprint="ab", splits={"train": range(5), "test": range(3)})
    launch = CellLaunch("bench run --here", threads=7, git={"commit": "c0ffee", "dirty": True})
    made = make_record(cell, Judged(), data, Trained("weights", 6, 3, cost), measured, launch, "2030-01-01")
    run = RunFolder(cell.folder(tmp_path))
    run.path.mkdir(parents=True)
    sealed = write_results(run, made, measured.outcomes, "class Mine: ...\n")
    found = read_record(run.record)
    assert found == sealed
    assert found["cell"] == {
        "dataset": "digits",
        "method": "simclr",
        "seed": cell.seed,
        "hash": cell.hash,
        "settings": cell.settings,
    }
    assert found["config"]["measures"] == measured.measures, "also those of earlier starts"
    assert (found["primary_space"], found["invariant_space"]) == ("code", "content")
    assert found["labels"] == ["domain", "style"]
    assert found["metrics"] == [undefined]
    assert found["outcomes"] == digest_of_file(run.outcomes)
    costs = {name: found["cost"][name] for name in ("train_seconds", "images_seen", "forward_passes", "eval_seconds")}
    assert costs == {"train_seconds": 12.5, "images_seen": 3072, "forward_passes": 6144, "eval_seconds": 61.25}
    assert (found["cost"]["parameters"], found["cost"]["encoder_parameters"]) == (900, 700)
    told = found["provenance"]
    assert (told["encoder"], told["step"], told["epoch"], told["source"]) == ("weights", 6, 3, "Somebody (2020)")
    assert told["data"] == {"fingerprint": "ab", "train": 5, "test": 3}
    assert (told["command"], told["started"], told["git"]) == (launch.command, "2030-01-01", launch.git)
    assert told["hardware"]["threads"] == (cell.threads or 7)
    assert told["earlier"] == earlier
    assert told["own_code"] == digest_of_file(run.code)
