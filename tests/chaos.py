"""Kill a small matrix at random moments, let the same command finish, and compare with one that nobody disturbed.

`make chaos`, or `python -m tests.chaos --seed 1 --kills 50`: the seed decides who is killed and when.
A matrix that is complete before enough were killed is compared, and the next one is begun.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from disentangle_bench.benchmarks.runs import lock
from disentangle_bench.evaluation.records import read_record

METHODS = "simclr,supervised,style_blocks,random_init"
COMMAND = ["run", "--suite", "smoke", "--dataset", "digits", "--method", METHODS, "--jobs", "2"]
COMMAND += ["--measures", "linear@1,knn@1", "--set", "budget.epochs=2", "--set", "data.batch_size=64"]
VICTIMS = ("launcher", "cell", "any", "all")
"""The `bench run` itself, a process at a cell, any of the processes, or all of them at once."""
MARK = "DISENTANGLE_BENCH_CHAOS"
SAVE_SECONDS = "DISENTANGLE_BENCH_SAVE_SECONDS"
LATEST = 5.0
"""Seconds after the first cell's start (or the last kill), at most, that the next kill comes."""
PATIENCE = 30.0
"""Seconds that a process may outlive what it belongs to."""


class Wrong(Exception):
    """What must not be."""


def start(out: Path) -> subprocess.Popen:
    """The matrix, in processes that can be told by a mark in their environment."""
    with (out.parent / f"{out.name}.txt").open("a") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "disentangle_bench.benchmarks", *COMMAND, "--out", str(out)],
            stdout=log,
            stderr=log,
            env=os.environ | {MARK: str(out), SAVE_SECONDS: "0.2"},  # many checkpoints to go on from
        )


def family(out: Path) -> list[psutil.Process]:
    """Every living process that belongs to the matrix in this folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == str(out):
                found.append(process)
        except psutil.Error:
            continue
    return found


def cells_at_work(out: Path) -> list[psutil.Process]:
    """The processes that hold a cell's lock."""
    holders = [holder for path in out.rglob(".lock") if (holder := lock.holder(path))]
    return [process for holder in holders if (process := holder.find())]


def kill_some(out: Path, launcher: subprocess.Popen, victim: str, chance: random.Random) -> str:
    """Kill -9 as asked; says whom."""
    living = family(out)
    chosen = {
        "launcher": [psutil.Process(launcher.pid)],
        "cell": cells_at_work(out) or [psutil.Process(launcher.pid)],
        "any": [chance.choice(living)],
        "all": living,
    }[victim]
    if victim == "cell":
        chosen = [chance.choice(chosen)]
    for process in chosen:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    return f"{victim} ({len(chosen)} of {len(living)} processes, {in_training(out)} cells between checkpoints)"


def in_training(out: Path) -> int:
    """How many cells have a checkpoint and aren't trained yet."""
    folders = {path.parents[1] for path in out.glob("*/*/*/checkpoints/*.json")}
    return sum(not (folder / "trained.json").exists() for folder in folders)


def nobody_left(out: Path) -> None:
    """Raise Wrong if a process outlives its launcher."""
    deadline = time.monotonic() + PATIENCE
    while left := family(out):
        if time.monotonic() > deadline:
            raise Wrong(f"orphans: {[' '.join(process.cmdline()) for process in left]}")
        time.sleep(0.1)


def disturb(out: Path, kills: int, chance: random.Random) -> int:
    """Run the matrix to its end, killing at most so many times; says how many times."""
    done = 0
    while True:
        launcher = start(out)
        while launcher.poll() is None:
            if done == kills:
                launcher.wait(timeout=600)
                break
            while launcher.poll() is None and not cells_at_work(out):
                time.sleep(0.02)
            victim, seconds = chance.choice(VICTIMS), chance.uniform(0, LATEST)
            try:
                launcher.wait(timeout=seconds)
            except subprocess.TimeoutExpired:
                done += 1
                print(f"  kill {done}: {kill_some(out, launcher, victim, chance)} after {seconds:.1f} s", flush=True)
                time.sleep(0.5)
        nobody_left(out)
        if launcher.returncode == 0:
            return done
        if launcher.returncode not in (1, -9) or (
            done == kills and launcher.returncode == 1 and not failed_by_kill(out)
        ):
            raise Wrong(f"exit code {launcher.returncode}, see {out}.txt")


def failed_by_kill(out: Path) -> bool:
    """Whether cells that are given up are so for having been killed."""
    return any("killed by SIGKILL" in path.read_text() for path in out.rglob("failure.json"))


def outcome(out: Path) -> tuple[dict[str, Any], set[str]]:
    """Figures and weights of every cell, and the names of all files but logs."""
    figures = {}
    for path in sorted(out.rglob("result.json")):
        record = read_record(path)
        rows = [{key: value for key, value in row.items() if key != "seconds"} for row in record["metrics"]]
        figures[path.parent.relative_to(out).as_posix()] = (record["provenance"]["encoder"], rows)
    names = {path.relative_to(out) for path in out.rglob("*")}
    return figures, {name.as_posix() for name in names if "logs" not in name.parts}


def compare(expected: tuple[dict, set], found: tuple[dict, set]) -> None:
    """Raise Wrong if a figure, a weight or a file's name differs."""
    for cell, figures in expected[0].items():
        if found[0].get(cell) != figures:
            raise Wrong(f"other figures in {cell}: {found[0].get(cell)} instead of {figures}")
    if found[1] != expected[1]:
        raise Wrong(f"files too many: {sorted(found[1] - expected[1])}; missing: {sorted(expected[1] - found[1])}")


def main() -> int:
    """Exit code 0 if nothing differs, 1 otherwise (the folder is then kept)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kills", type=int, default=20)
    given = parser.parse_args()
    chance, begun = random.Random(given.seed), time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    try:
        if disturb(folder / "undisturbed", 0, chance):
            raise AssertionError
        expected = outcome(folder / "undisturbed")
        print(f"undisturbed: {len(expected[0])} cells in {time.monotonic() - begun:.0f} s", flush=True)
        left, number = given.kills, 0
        while left:
            out = folder / f"disturbed-{number}"
            left, number = left - disturb(out, left, chance), number + 1
            compare(expected, outcome(out))
            print(f"matrix {number}: the same figures, weights and files; {left} kills to go", flush=True)
    except Wrong as wrong:
        print(f"chaos: seed {given.seed}: {wrong}\n(kept: {folder})", file=sys.stderr)
        return 1
    shutil.rmtree(folder)
    print(f"{given.kills} kills over {number} matrices in {time.monotonic() - begun:.0f} s: nothing lost, nothing left")
    return 0


if __name__ == "__main__":
    sys.exit(main())
