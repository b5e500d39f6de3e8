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
import copy
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.evaluation.leaderboard.conftest import make_record, write_run
from tests.sandbox import SECONDS, Ended, Sandbox, wait

COMMAND = [sys.executable, "-m", "disentangle_bench.benchmarks"]
APART = 50
"""Every so many cases one is given to a command of its own, too."""
APART_SECONDS = 12 * SECONDS
"""That such a command may take: most of it is imports."""
REQUEST = ["run", "--dry-run", "--suite", "smoke", "--method", "simclr", "--dataset", "digits"]
SUITE = {
    "datasets": ["digits"],
    "measures": ["linear@1"],
    "budget": {"epochs": 1},
    "methods": ["simclr"],
    "seeds": [0, 1],
    "precision": "fp32",
    "threads": 1,
    "description": "a suite",
    "settings": {"method": {"lr": 0.1}, "simclr": {"temperature": 0.2}, "data": {"batch_size": 64}},
    "resources": {"timeout_min": 10, "mem_gb": 2.5, "setup": ["module load x"]},
}
KEYS = (
    *("method.lr", "method.temperature", "method.optimizer", "method.backbone", "method.init", "method.augmentation"),
    *(
        "method.augmentation.crop_scale",
        "simclr.warmup",
        "simclr.data",
        "data.batch_size",
        "data.shift",
        "data.balance",
    ),
    *("budget.epochs", "budget.steps", "budget.minutes", "budget", "resources.setup", "resources.mem_gb", "threads"),
    *(
        "precision",
        "data.balance",
        "digits.split_seed",
        "vicreg.lr",
        "pixels",
        "method",
        "data",
        "",
        "a.b",
        "my_file.MyMethod.lr",
    ),
)
OPTIONS = ("--suite", "--method", "--dataset", "--seeds", "--measures", "--set", "--out", "--devices", "--jobs")
OPTIONS += ("--launcher", "--logger", "--sweep", "--config", "--nodes", "--sui", "--set+")
ODD_TEXTS = (
    *(
        "",
        " ",
        ".",
        "..",
        "../../x",
        "/",
        "/dev/zero",
        "/dev/full",
        "a/b",
        "\x00",
        "\x1b[31mred",
        "\x1b]0;x\x07",
        "\ud800",
    ),
    *(
        "\r\n",
        "a\nb",
        "x" * 5000,
        "=1+1",
        "@x",
        "-1",
        "nan",
        ".nan",
        ".inf",
        "1e400",
        "9" * 400,
        "9" * 5000,
        "null",
        "~",
    ),
    *(
        "true",
        "[",
        "{",
        "[]",
        "{}",
        "[1, 2]",
        "{a: 1}",
        "&a [*a]",
        "*a",
        "!!python/name:os.system",
        "? a",
        "<<: {a: 1}",
    ),
    *(
        "[" * 900,
        "os.system",
        "os.path",
        "torch.nn.Linear",
        "this.x",
        "simclr",
        "digits",
        "all",
        "<script>",
        "\u202e",
        "é",
    ),
    *("2020-01-01", "!!binary aa", "!!set {a}", "0x1F", "1:30", "a: b", "- x", "%x", "--", "--out"),
)
ODD_NUMBERS = (0, -1, 1, 1.5, 1e308, -1e308, 2**31, 2**63, -(2**70), 10**400, float("nan"), float("inf"), -float("inf"))
RAW = (b"", b"null", b"5", b"[]", b"{}", b"{", b'"x"', b"\xff\xfe", b"\x00" * 99, b"[" * 99_999, b"NaN", b"9" * 5000)
RAW += (b'{"a":' * 9_999, b"a: &a [*a]\n", b"a: &a [x,x,x]\nb: &b [*a,*a,*a]\nc: [*b,*b]\n")

texts = st.sampled_from(ODD_TEXTS) | st.text(max_size=30)
scalars = st.none() | st.booleans() | st.sampled_from(ODD_NUMBERS) | st.integers() | st.floats() | texts
values = st.recursive(
    scalars, lambda parts: st.lists(parts, max_size=3) | st.dictionaries(texts, parts, max_size=3), max_leaves=6
)


def places(part: Any, path: tuple = ()) -> list[tuple]:
    """Paths to everything inside of plain values."""
    items = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    return [place for key, value in items for place in [(*path, key), *places(value, (*path, key))]]


@st.composite
def spoiled(draw: Callable, content: Any) -> Any:
    """A copy with one to three parts changed, renamed or removed."""
    wrong = copy.deepcopy(content)
    for _ in range(draw(st.integers(1, 3))):
        if not (found := places(wrong)):
            break
        *path, last = draw(st.sampled_from(found))
        part = wrong
        for key in path:
            part = part[key]
        how = draw(st.integers(0, 4))
        if how == 0:
            del part[last]
        elif how == 1 and isinstance(part, dict):
            part[draw(texts)] = part.pop(last)
        else:
            part[last] = draw(values)
    return wrong


def as_yaml(content: Any) -> bytes:
    """Text of a YAML file."""
    return yaml.safe_dump(content, allow_unicode=False).encode()


def as_json(content: Any) -> bytes:
    """Text of a JSON file, NaN included."""
    return json.dumps(content).encode()


@dataclass(frozen=True)
class Case:
    """A request, and files that lie in its folder; `kind` of the case, for the count."""

    kind: str
    arguments: list[str]
    files: dict[str, bytes] = field(default_factory=dict)
    special: tuple[str, str] | None = None
    """A file that is a pipe, a folder or a link to an endless device instead."""


SIDE_FILES: dict[str, Any] = {
    "status.json": {"phase": "train", "done": 3, "total": 9, "note": "loss 1", "since": 1e9, "stopped": ""},
    "failure.json": {"reason": "x", "time": 1e9, "traceback": "y"},
    "job.json": {"id": "123", "time": 1e9, "cancelled": False},
    ".lock": {"host": "h", "pid": 5, "created": 1.0},
    "not_finite.json": {"step": 1, "epoch": 0, "what": "loss", "batch": 0, "index": [1, 2]},
    "artefacts/artefacts.json": {"schema": 2, "images": 3, "targets": [], "spaces": {"features": 2}, "neighbours": []},
}
KINDS = ("set", "set", "option", "suite", "suite", "record", "record", "side file", "side file", "metadata")
READERS = (
    *(["status"], ["cancel"], ["cancel", "simclr"], ["leaderboard"], ["leaderboard", "--format", "csv"], ["report"]),
    *(["leaderboard", "--format", "html"], ["leaderboard", "--format", "latex"], ["leaderboard", "--board", "board"]),
    *(["compare", "simclr", "vicreg"], ["compare", "results/runs", "results/runs"], ["verify", "results/runs"]),
    *(["leaderboard", "--to", "board.md"], ["leaderboard", "--matched", "epochs"], [*REQUEST, "--seeds", "7"]),
)


@st.composite
def cases(draw: Callable, folder: str, config: dict[str, Any]) -> Case:
    """One hostile case; `folder` is the run whose side files are spoiled, `config` its configuration."""
    kind = draw(
        st.sampled_from(["set", "set", "option", "suite", "suite", "record", "record", "side file", "metadata"])
    )
    if kind == "set":
        value = draw(texts | values.map(lambda value: yaml.safe_dump(value, default_flow_style=True).strip()))
        return Case(kind, [*REQUEST, "--set", f"{draw(st.sampled_from(KEYS) | texts)}={value}"])
    if kind == "option":
        return Case(kind, [*REQUEST, draw(st.sampled_from(OPTIONS)), *draw(st.lists(texts, max_size=1))])
    if kind == "metadata":
        note = draw(spoiled(NOTE | {"whole": draw(st.sampled_from(["false", "true"]))}))
        note = {key: value if isinstance(value, str) else str(value) for key, value in note.items()}
        arguments = ["eval", "--encoder", "e.safetensors", "--dataset", "digits", "--measures", "intrinsic"]
        return Case(kind, arguments, {"e.safetensors": encoder(note)})
    if kind == "suite":
        content = draw(spoiled(SUITE).map(as_yaml) | st.sampled_from(RAW) | st.binary(max_size=60))
        name, arguments, file = "s.yaml", ["run", "--dry-run", "--suite", "s.yaml"], content
    elif kind == "record":
        name, arguments = "results/runs/zz/zz/zz/result.json", draw(st.sampled_from(READERS))
        file = draw(spoiled(dict(make_record(method="vicreg"))).map(as_json) | st.sampled_from(RAW))
    else:
        which = draw(st.sampled_from([*SIDE_FILES, "config.json"]))
        name, arguments = f"{folder}/{which}", draw(st.sampled_from(READERS))
        file = draw(spoiled(SIDE_FILES.get(which, config)).map(as_json) | st.sampled_from(RAW))
    if draw(st.integers(0, 24)) == 0:
        return Case(kind, arguments, special=(name, draw(st.sampled_from(["pipe", "folder", "endless"]))))
    return Case(kind, arguments, {name: file})


NOTE = {
    "backbone": "convnet",
    "stem": "auto",
    "image_shape": "[3, 32, 32]",
    "eval_shape": "[32, 32]",
    "eval_crop": "1.0",
    "mean": "[0.5, 0.5, 0.5]",
    "std": "[0.25, 0.25, 0.25]",
    "labels": "[]",
    "budget": '{"steps": 5}',
    "options": "{}",
    "data": "{}",
    "whole": "false",
    "step": "5",
    "method": "simclr",
    "dataset": "digits",
}


def encoder(note: dict[str, str]) -> bytes:
    """A file of weights with these metadata; there are none in it, so that nothing is judged."""
    text = json.dumps({"__metadata__": note}).encode()
    return len(text).to_bytes(8, "little") + text


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
