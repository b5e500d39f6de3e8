"""What a run has used, by process: measured or null, never made up."""

from types import SimpleNamespace

import pytest
import torch

from disentangle_bench.benchmarks import launchers
from disentangle_bench.benchmarks.execution import costs as metering
from disentangle_bench.benchmarks.execution.costs import Meter, add
from disentangle_bench.benchmarks.launchers.base import Launch
from disentangle_bench.benchmarks.machine import find_devices
from disentangle_bench.evaluation.records import read_record
from tests.benchmarks.conftest import make_cell


def zone(folder, name, microjoules, limit=1_000_000_000):
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "energy_uj").write_text(f"{microjoules}\n")
    (folder / name / "max_energy_range_uj").write_text(f"{limit}\n")


def test_energy_is_that_of_the_packages_also_when_a_counter_starts_again(tmp_path, monkeypatch):
    monkeypatch.setattr(metering, "RAPL", tmp_path)
    assert Meter(None, True).read()["energy_j"] is None
    zone(tmp_path, "intel-rapl:0", 5_000_000, 700_000_000)
    zone(tmp_path, "intel-rapl:1", 999_000_000)
    zone(tmp_path, "intel-rapl:0:0", 0)  # the cores, part of package 0
    first, second = Meter(None, True), Meter(None, False)
    zone(tmp_path, "intel-rapl:0", 8_000_000, 700_000_000)
    zone(tmp_path, "intel-rapl:1", 1_500_000)
    zone(tmp_path, "intel-rapl:0:0", 2_000_000)
    assert first.read()["energy_j"] == 3.0 + 2.5
    assert second.read()["energy_j"] is None, "the meter is the machine's: one process reads it"
    (tmp_path / "intel-rapl:0" / "energy_uj").unlink()
    assert first.read()["energy_j"] is None


@pytest.mark.parametrize(("local_rank", "reads"), [(0, True), (1, False)])
def test_on_each_machine_one_process_reads_the_meter(local_rank, reads):
    meter, strategy = metering.CostMeter(), SimpleNamespace(root_device=torch.device("cpu"))
    meter.on_fit_start(SimpleNamespace(strategy=strategy, local_rank=local_rank, global_rank=4 + local_rank))
    assert meter._meter.first_on_machine == reads


def test_parts_of_a_run_add_up():
    one = {"seconds": 1.0, "cpu_seconds": 2.0, "peak_memory_mb": 30.0, "energy_j": 5.0}
    two = {"seconds": 2.5, "cpu_seconds": 1.0, "peak_memory_mb": 20.0, "energy_j": 1.5}
    both = {"seconds": 3.5, "cpu_seconds": 3.0, "peak_memory_mb": 30.0, "energy_j": 6.5}
    assert add(one, two) == both
    assert add(one, two | {"energy_j": None})["energy_j"] is None, "known of a part is not known"
    meter = metering.CostMeter()
    meter.load_state_dict({"ranks": [one, one]})
    meter._meter = SimpleNamespace(read=lambda: two)
    assert meter.ranks() == [both, one], "the first start had a process more"
    assert add(one, two | {"energy_j": None})["energy_j"] is None


@pytest.mark.slow
@pytest.mark.skipif(find_devices() < ("cpu", 2), reason="one processor only")
def test_a_run_on_two_devices_tells_what_each_has_used(tmp_path):
    cell = make_cell("contrastive_clustering", "budget.epochs=1", "method.start=0.3")
    launch = Launch(out=tmp_path, command="bench run", devices=2, threads=1)
    assert launchers.run("local", [cell], launch).failed == []
    cost = read_record(cell.folder(tmp_path) / "result.json")["cost"]
    assert (cost["devices"], len(cost["ranks"]), cost["images_seen"]) == (2, 2, 2 * 512)
    assert all(used["seconds"] > 0 and used["cpu_seconds"] > 0 for used in cost["ranks"])
    assert cost["train_seconds"] == max(used["seconds"] for used in cost["ranks"])
