"""Hostile requests, suites, settings, records, side files and metadata, as hypothesis draws them."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import yaml
from hypothesis import strategies as st

from tests.evaluation.leaderboard.conftest import make_record

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
    *("method.augmentation.crop_scale", "simclr.warmup", "simclr.data", "data.batch_size", "data.shift"),
    *("data.balance", "budget.epochs", "budget.steps", "budget.minutes", "budget", "resources.setup"),
    *("resources.mem_gb", "threads", "precision", "data.balance", "digits.split_seed", "vicreg.lr", "pixels", "method"),
    *("data", "", "a.b", "my_file.MyMethod.lr"),
)
OPTIONS = ("--suite", "--method", "--dataset", "--seeds", "--measures", "--set", "--out", "--devices", "--jobs")
OPTIONS += ("--launcher", "--logger", "--sweep", "--config", "--nodes", "--sui", "--set+")
ODD_TEXTS = (
    *("", " ", ".", "..", "../../x", "/", "/dev/zero", "/dev/full", "a/b", "\x00", "\x1b[31mred", "\x1b]0;x\x07"),
    *("\ud800", "\r\n", "a\nb", "x" * 5000, "=1+1", "@x", "-1", "nan", ".nan", ".inf", "1e400", "9" * 400, "9" * 5000),
    *("null", "~", "true", "[", "{", "[]", "{}", "[1, 2]", "{a: 1}", "&a [*a]", "*a", "!!python/name:os.system", "? a"),
    *("<<: {a: 1}", "[" * 900, "os.system", "os.path", "torch.nn.Linear", "this.x", "simclr", "digits", "all"),
    *("<script>", "\u202e", "é", "2020-01-01", "!!binary aa", "!!set {a}", "0x1F", "1:30", "a: b", "- x", "%x", "--"),
    *("--out",),
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
