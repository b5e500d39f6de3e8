"""Disturb commands at random moments, let the same ones finish, and compare with what nobody disturbed.

`make chaos`, or `python -m tests.chaos --seed 1 --kills 50`: the seed decides who is disturbed, when and by which
signal. Two thirds of the signals meet a small matrix, while it is planned, trained and judged, every other one of two
launchers that share a folder; a matrix that is complete before enough were sent is compared, and the next one is begun.
The others meet commands that write: images are decoded, a report and a board are made.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from disentangle_bench.benchmarks.runs import lock
from disentangle_bench.evaluation.records import read_record

METHODS = "simclr,supervised,style_blocks,random_init"
COMMAND = ["run", "--suite", "smoke", "--dataset", "digits", "--method", METHODS, "--jobs", "2"]
COMMAND += ["--measures", "linear@1,knn@1", "--set", "budget.epochs=2", "--set", "data.batch_size=64"]
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGSTOP)
"""What is sent; who is stopped goes on after `STOPPED` seconds."""
STOPPED = 2.0
ENDINGS = {0, 1, 130} | {-number for number in SIGNALS}
"""Exit codes of a launcher that was disturbed, or whose cells were."""
VICTIMS = ("launcher", "cell", "any", "all")
"""The `bench run` itself, a process at a cell, any of the processes, or all of them at once."""
MARK = "DISENTANGLE_BENCH_CHAOS"
SAVE_SECONDS = "DISENTANGLE_BENCH_SAVE_SECONDS"
LATEST = 5.0
"""Seconds after the first cell's start (or the last kill), at most, that the next kill comes."""
PATIENCE = 90.0
"""Seconds that a process may outlive what it belongs to: the fork server first ends its imports, on a busy machine."""


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


def disturb_some(out: Path, launchers: list[subprocess.Popen], chance: random.Random) -> str:
    """Send a signal to somebody; says whom and which."""
    living, victim, number = family(out), chance.choice(VICTIMS), chance.choice(SIGNALS)
    some_launcher = psutil.Process(chance.choice([one for one in launchers if one.poll() is None]).pid)
    chosen = {
        "launcher": [some_launcher],
        "cell": [chance.choice(cells_at_work(out) or [some_launcher])],
        "any": [chance.choice(living)] if living else [],
        "all": living,
    }[victim]
    send(chosen, number)
    told = f"{len(chosen)} of {len(living)} processes, {in_training(out)} cells between checkpoints"
    return f"{number.name} to {victim} ({told})"


def send(processes: list[psutil.Process], number: signal.Signals) -> None:
    """Send a signal to each that still lives; who is stopped goes on later."""
    for sent in (number, signal.SIGCONT) if number == signal.SIGSTOP else (number,):
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(sent)
        if sent == signal.SIGSTOP:
            time.sleep(STOPPED)


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


def disturb(out: Path, kills: int, chance: random.Random, together: int = 1) -> int:
    """Run the matrix to its end, by so many launchers, disturbing it at most so many times; says how many times."""
    done = 0
    while True:
        launchers = [start(out) for _ in range(together)]
        while any(one.poll() is None for one in launchers):
            if done == kills:
                for one in launchers:
                    one.wait(timeout=600)
                break
            early = chance.random() < 0.25  # while it is planned
            while not early and any(one.poll() is None for one in launchers) and not cells_at_work(out):
                time.sleep(0.02)
            seconds = chance.uniform(0, LATEST)
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline and any(one.poll() is None for one in launchers):
                time.sleep(0.05)
            if any(one.poll() is None for one in launchers):
                done += 1
                said = disturb_some(out, launchers, chance)
                print(f"  {done}: {said} {'early, ' if early else ''}after {seconds:.1f} s", flush=True)
                time.sleep(0.5)
        nobody_left(out)
        codes = {one.returncode for one in launchers}
        if not codes <= ENDINGS or (done == kills and 1 in codes and not failed_by_signal(out)):
            raise Wrong(f"exit codes {codes}, see {out}.txt")
        if 0 in codes:
            return done


def failed_by_signal(out: Path) -> bool:
    """Whether cells that were given up are so for having been killed, or stopped."""
    said = [path.read_text() for path in (*out.rglob("failure.json"), *out.rglob("status.json"))]
    return any("killed by SIG" in text or '"stopped": "SIG' in text for text in said)


def writing_commands(folder: Path, runs: Path) -> dict[str, list[str]]:
    """Commands that write in their current folder, by what they do."""
    images, draw = folder / "images", np.random.default_rng(0)
    for number in range(300):
        place = images / ("train", "train", "test")[number % 3] / f"class{number % 2}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 255, (160, 160, 3), np.uint8)).save(place / f"{number}.png")
    options = [f"--set=root={images}", "--set=batch_size=16", "--set=cache_dir=cache", "--set=feed=memory"]
    return {
        "decoding": ["data", "check", "image_folder", *options],
        "report": ["report", "--out", str(runs), "--to", "report"],
        "board": ["leaderboard", "--out", str(runs), "--board", "board"],
    }


def disturb_writing(folder: Path, runs: Path, kills: int, chance: random.Random) -> None:
    """Signals to commands that write; each must then leave the same files, byte for byte."""
    for name, command in writing_commands(folder, runs).items():
        undisturbed, disturbed = folder / f"{name}-undisturbed", folder / f"{name}-disturbed"
        begun = time.monotonic()
        if code := begin(command, undisturbed).wait(timeout=600):
            raise Wrong(f"{name}: exit code {code}")
        longest = time.monotonic() - begun
        for number in range(kills // 3 + (name == "report") * (kills % 3)):
            process, sent = begin(command, disturbed), chance.choice(SIGNALS)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=chance.uniform(0.3, 1.0) * longest)
            print(f"  {name} {number + 1}: {sent.name}", flush=True)
            if process.poll() is None:
                send([psutil.Process(process.pid)], sent)
            if (code := process.wait(timeout=600)) not in ENDINGS:
                raise Wrong(f"{name}: exit code {code}")
        if code := begin(command, disturbed).wait(timeout=600):
            raise Wrong(f"{name}: exit code {code} after it was disturbed")
        if contents(undisturbed) != contents(disturbed):
            raise Wrong(f"{name}: other files in {disturbed} than in {undisturbed}")


def begin(command: list[str], folder: Path) -> subprocess.Popen:
    """Start a command in a folder of its own."""
    folder.mkdir(exist_ok=True)
    words = [sys.executable, "-m", "disentangle_bench.benchmarks", *command]
    return subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file by its path; locks aside, and a machine's word on when the images that it checked were written."""
    left_out = ("lock", ".verifying", ".verified")
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(left_out)]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


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
        disturb_writing(folder, folder / "undisturbed", given.kills // 3, chance)
        print("decoded images, report and board: the same files", flush=True)
        left, number = given.kills - given.kills // 3, 0
        while left:
            out = folder / f"disturbed-{number}"
            left, number = left - disturb(out, left, chance, 1 + number % 2), number + 1
            compare(expected, outcome(out))
            print(f"matrix {number}: the same figures, weights and files; {left} signals to go", flush=True)
    except Wrong as wrong:
        print(f"chaos: seed {given.seed}: {wrong}\n(kept: {folder})", file=sys.stderr)
        return 1
    shutil.rmtree(folder)
    took = time.monotonic() - begun
    print(f"{given.kills} signals, {number} matrices, in {took:.0f} s: nothing lost, nothing left")
    return 0


if __name__ == "__main__":
    sys.exit(main())
