"""Hostile requests, suites, settings, records, side files and metadata, drawn by hypothesis and given to `bench`.

`make fuzz`, or `python -m tests.fuzz --seed 1 --cases 3000`: whatever comes in, the outcome is success or exit code 2
with one line, within 5 s and 1 GB, nothing new on the disk if refused and nothing outside of the folder ever. Each case
is a process forked from this one (see `tests.sandbox`); every fiftieth is a command of its own besides.

The 5 s hold for every case, accepted ones too: they only list, read or plan. They don't count time in which others had
the processors, and a case that took longer is given once more before it counts. A command of its own spends most of its
time on imports, and gets 60 s, counted in the same way.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.evaluation.leaderboard.conftest import make_record, write_run
from tests.hostile_cases import Case, cases
from tests.sandbox import SECONDS, Ended, Sandbox, wait

COMMAND = [sys.executable, "-m", "disentangle_bench.benchmarks"]
APART = 50
"""Every so many cases one is given to a command of its own, too."""
APART_SECONDS = 12 * SECONDS
"""That such a command may take: most of it is imports."""


class Fuzz:
    """Gives cases and counts what was wrong.

    Args:
        folder: empty; the sandboxes lie in it.
    """

    def __init__(self, folder: Path):
        self.folder, self.count, self.apart = folder, 0, 0
        self.slowest = 0.0
        self.wrong: list[str] = []
        self.kinds, self.codes = Counter[str](), Counter[int]()
        self.template = folder / "template"
        self.run, self.config = self._make_template()

    def _make_template(self) -> tuple[str, dict[str, Any]]:
        """Two good records and a run that never ended, to be copied for each case."""
        from disentangle_bench.benchmarks.planning.plan import plan
        from disentangle_bench.benchmarks.planning.suite import choose
        from disentangle_bench.benchmarks.runs.folder import CellLaunch, RunConfig

        runs = self.template / "results" / "runs"
        for method in ("simclr", "vicreg"):
            write_run(runs, make_record(method=method), False)
        (cell,) = plan(choose("smoke", "simclr", "digits", "7"))
        config = asdict(RunConfig(cell, CellLaunch("bench run")))
        (path := cell.folder(runs)).mkdir(parents=True)
        (path / "config.json").write_text(json.dumps(config))
        return path.relative_to(self.template).as_posix(), json.loads(json.dumps(config))

    def give(self, case: Case) -> None:
        """Give one case; a slow one once more, since the machine may have been busy."""
        self.count += 1
        self.kinds[case.kind] += 1
        ended, found = self._once(case)
        if any(line.startswith("hang") for line in found):
            ended, found = self._once(case)
        self.codes[ended.code] += 1
        self.slowest = max(self.slowest, ended.seconds)
        if self.count % APART == 0:
            self.apart += 1
            found += self._apart(case)
        for line in found:
            shown = {"arguments": case.arguments, "files": {k: v[:300] for k, v in case.files.items()}}
            self.wrong.append(line)
            print(
                f"case {self.count} ({case.kind}): {line}\n  {shown} {case.special}\n  {ended.err[-600:]}", flush=True
            )
        if self.count % 100 == 0:
            print(f"{self.count} cases, {len(self.wrong)} wrong, the slowest took {self.slowest:.1f} s", flush=True)

    def _sandbox(self, case: Case) -> Sandbox:
        place = Path(tempfile.mkdtemp(dir=self.folder))
        sandbox = Sandbox(place)
        shutil.copytree(self.template, sandbox.work, dirs_exist_ok=True)
        for name, content in case.files.items():
            (path := sandbox.work / name).parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        if case.special:
            path, kind = sandbox.work / case.special[0], case.special[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            {"pipe": os.mkfifo, "folder": Path.mkdir, "endless": lambda p: p.symlink_to("/dev/zero")}[kind](path)
        return sandbox

    def _once(self, case: Case) -> tuple[Ended, list[str]]:
        sandbox = self._sandbox(case)
        try:
            ended = sandbox.run(case.arguments)
            return ended, list(ended.wrong(case.arguments[0]))
        finally:
            shutil.rmtree(sandbox.folder, ignore_errors=True)

    def _apart(self, case: Case) -> list[str]:
        """The same by a command of its own, as a user gives it; its start alone takes seconds."""
        if any("\0" in word for word in case.arguments):  # no system takes them
            return []
        sandbox = self._sandbox(case)
        home = {"HOME": str(sandbox.folder / "home"), "DISENTANGLE_BENCH_OFFLINE": "1", "PYTHONSAFEPATH": "1"}
        home |= {"PYTHONFAULTHANDLER": "1"}
        words = [word.encode("utf-8", "surrogatepass") for word in case.arguments]
        start = time.monotonic()
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+", errors="replace") as err:
            command = [*COMMAND, *words]
            given = subprocess.Popen(
                command, cwd=sandbox.work, env=os.environ | home, stdout=out, stderr=err, process_group=0
            )
            given.returncode, _, seconds = wait(given.pid, start, APART_SECONDS)
            for file in (out, err):
                file.seek(0)
            said = Ended(given.returncode, out.read(), err.read(), 0.0, 0.0, frozenset(), ())
        shutil.rmtree(sandbox.folder, ignore_errors=True)
        found = list(said.wrong(case.arguments[0]))
        if seconds > APART_SECONDS:
            found = [f"hang: {seconds:.1f} s, at {said.err[-600:]}"]
        return [f"{line} (a command of its own)" for line in found]


def fuzz(state: Fuzz, number: int, count: int) -> None:
    """Give so many cases, those that the number `seed` decides."""

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases(state.run, state.config))
    def each(case: Case) -> None:
        if state.count < count:
            state.give(case)

    each()


def main() -> int:
    """Exit code 0 if nothing was wrong, 1 if something was, 130 if it was cut off."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", type=int, default=500)
    options = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    begun = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    state, cut = Fuzz(folder), False
    try:
        fuzz(state, options.seed, options.cases)
    except KeyboardInterrupt:
        cut = True
    shutil.rmtree(folder, ignore_errors=True)
    classes = ("traceback", "hang", "wrote though refused", "wrote outside")
    counts = {word: sum(line.startswith(word) for line in state.wrong) for word in classes}
    took = time.monotonic() - begun
    asked = f" of {options.cases}, cut off" if cut else ""
    print(f"{state.count} cases{asked} in {took:.0f} s, {state.apart} of them by commands of their own besides")
    print(f"by kind: {dict(state.kinds)}; by exit code: {dict(state.codes)}; the slowest took {state.slowest:.1f} s")
    print(f"seed {options.seed}: {counts}, {len(state.wrong)} wrong in all")
    return 130 if cut else 1 if state.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
