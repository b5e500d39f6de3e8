"""The whole way, by the command line: plan, run side by side, record, rank; with methods of the user's own."""

import json
import os
import re
import struct
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from disentangle_bench.benchmarks import launchers
from disentangle_bench.benchmarks.__main__ import main
from disentangle_bench.benchmarks.execution.failures import FEWER_JOBS
from disentangle_bench.benchmarks.launchers import local
from disentangle_bench.benchmarks.runs.folder import RunFolder
from disentangle_bench.evaluation.records import find_records
from tests.benchmarks.conftest import reason_of

GUIDE = Path(__file__).parents[2] / "docs" / "extending.md"
PEEKING = """
from disentangle_bench.methods.base import Method

class Peeking(Method):
    name = "peeking"
    source = "a method that breaks the rules"

    def training_step(self, batch, batch_idx):
        return batch["target/class"].float().mean()
"""
TINY = ["--seeds", "0", "--set", "budget.steps=2", "--measures", "linear"]


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    """A working folder with the documentation's example and a method that peeks at labels."""
    (block,) = re.findall(r'```python title="my_file.py"\n(.*?)```', GUIDE.read_text(), flags=re.S)
    (tmp_path / "my_file.py").write_text(block)
    (tmp_path / "peeking.py").write_text(PEEKING)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_own_method_beside_a_failing_one(own_folder, capfd):
    """The reader's method is in the table; the one that peeks fails by the firewall's message; the others ran."""
    command = ["run", "--suite", "smoke", "--method", "my_file.MyMethod,peeking.Peeking,random_init", *TINY]
    assert main([*command, "--out", "runs", "--jobs", "2"]) == 1
    printed = capfd.readouterr()
    assert "| my_method" in printed.out  # its own name
    assert "| random_init" in printed.out
    (failure,) = [line for line in printed.err.splitlines() if line.startswith("bench: failed")]
    assert "label firewall" in failure
    assert "uses_targets = frozenset({'content'})" in failure
    (record,) = [r for r in find_records(Path("runs"))[0].values() if r["cell"]["method"] == "my_file.MyMethod"]
    assert record["labels"] == ["domain"]
    assert record["config"]["options"]["smoothing"] == 0.1

    complete = ["run", "--suite", "smoke", "--method", "my_file.MyMethod,random_init", *TINY, "--out", "runs"]
    assert main(complete) == 0
    assert "all cells are complete (2)" in capfd.readouterr().err


def test_own_method_through_an_entry_point(own_folder, capfd):
    info = own_folder / "my_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[disentangle_bench.methods]\nmy_method = my_file:MyMethod\n")
    assert main(["run", "--suite", "smoke", "--method", "my_method", *TINY, "--out", "runs"]) == 0
    assert "| my_method" in capfd.readouterr().out
    assert main(["list", "methods"]) == 0
    assert "my_method" in capfd.readouterr().out


LAUNCHER = """
import json, sys
from pathlib import Path
from disentangle_bench.benchmarks.launchers import Launch, run
from disentangle_bench.benchmarks.planning.cell import Cell

if __name__ == "__main__":
    cells = [Cell(**cell) for cell in json.loads(sys.argv[1])]
    outcome = run("local", cells, Launch(out=Path(sys.argv[2]), command="bench run"))
    print(json.dumps([sorted(cell.hash for cell in outcome.complete), outcome.failed]))
"""


@pytest.mark.slow  # two whole launchers: 18 s
def test_two_launchers_share_the_work(launch, tmp_path):
    """Each cell is started once where two launchers meet in one folder, and both see all of them complete."""
    from tests.benchmarks.conftest import make_cell

    cells = [make_cell("random_init", seed=seed) for seed in range(3)]
    file = tmp_path / "launcher.py"
    file.write_text(LAUNCHER)
    command = [sys.executable, str(file), json.dumps([asdict(cell) for cell in cells]), str(launch.out)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    launchers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(2)]
    for launcher in launchers:
        complete, failed = json.loads(launcher.communicate()[0])
        assert not failed
        assert complete == sorted(cell.hash for cell in cells)
    attempts = list(launch.out.rglob("attempt_*"))
    assert len(attempts) == len(cells), "a cell was run twice"
    assert not list(launch.out.rglob(".lock"))
    assert not list(launch.out.rglob("*.tmp"))


def test_killed_cell_is_reported_and_the_next_one_runs(cell, launch, monkeypatch):
    """A cell that dies without a word (out of memory) is named with what is known."""
    from tests.benchmarks.conftest import make_cell

    other = make_cell("random_init")
    real_start = local.start

    def start_and_kill(started, *arguments):
        process = real_start(started, *arguments)
        if started == cell:
            process.kill()
        return process

    monkeypatch.setattr(local, "start", start_and_kill)
    outcome = launchers.run("local", [cell, other], launch)
    assert [c.title for c in outcome.complete] == [other.title]
    assert reason_of(outcome, cell).startswith("killed by SIGKILL, as a system does whose memory is full; in that case")
    assert FEWER_JOBS in reason_of(outcome, cell), "what to do is said in one way"
    assert json.loads((cell.folder(launch.out) / "failure.json").read_text())["reason"].startswith("killed")


def wandb_records(file: Path):
    """Records of a .wandb file: LevelDB's log format (blocks of 32 KiB), protocol buffers inside."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, position, parts = file.read_bytes(), 7, b""
    while position + 7 <= len(data):
        if 2**15 - position % 2**15 < 7:  # a block's last bytes, too few for a header
            position += 2**15 - position % 2**15
            continue
        length, kind = struct.unpack_from("<HB", data, position + 4)
        if position + 7 + length > len(data):  # being written
            return
        parts += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield Record.FromString(parts)
            parts = b""


def finished_records(file: Path) -> list:
    """All records of a run: wandb's own process writes them, and may be behind when `finish` returns."""
    for _ in range(200):
        records = list(wandb_records(file))
        if records and records[-1].WhichOneof("record_type") == "exit":
            return records
        time.sleep(0.1)
    raise AssertionError(f"{file} has no end")


def test_wandb_leaves_a_readable_offline_run(tmp_path, monkeypatch):
    """Configuration, curve, final metrics and the leaderboard's table, read back from the files."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    command = ["run", "--suite", "smoke", "--method", "supervised", *TINY, "--out", str(tmp_path / "runs")]
    assert main([*command, "--set", "data.batch_size=32", "--set", "budget.steps=20", "--logger", "wandb"]) == 0
    history, config, runs = {}, {}, []
    for file in tmp_path.rglob("*.wandb"):
        for record in finished_records(file):
            runs += [record.run] if record.run.run_group else []
            history |= {item.key or "/".join(item.nested_key): item.value_json for item in record.history.item}
            config |= {item.key: item.value_json for item in record.run.config.update}
            config |= {item.key: item.value_json for item in record.config.update}
    assert float(history["loss"]) > 0
    assert 0 <= float(history["features/linear@1/class/top1"]) <= 1
    assert json.loads(config["method"]) == "supervised"
    assert {(run.run_group, run.job_type) for run in runs} == {("colored_digits/supervised", "run")}
    assert set(runs[0].tags) == {"colored_digits", "supervised", "smoke"}
    assert float(history["cost/train_seconds"]) > 0
    assert {path.name.partition("_")[0] for path in tmp_path.rglob("*media/images/*.png")} == {"neighbours", "views"}
    (table,) = tmp_path.rglob(json.loads(history["leaderboard/path"]))
    assert "linear@1" in table.read_text()


def test_one_of_several_launchers_starts_whole_runs(cell, launch, monkeypatch):
    """The third task of `srun -n 4 bench run`: its cells are nobody's third process."""
    for name, value in {"SLURM_PROCID": "2", "SLURM_LOCALID": "2", "SLURM_STEP_NUM_TASKS": "4", "RANK": "2"}.items():
        monkeypatch.setenv(name, value)
    outcome = launchers.run("local", [cell], launch)
    assert not outcome.failed
    assert RunFolder(cell.folder(launch.out)).is_complete(cell.measures)
