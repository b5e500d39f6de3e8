"""Judging and training need no extra; what does need one says which, in a line, before anything is written."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from disentangle_bench.benchmarks.__main__ import main
from disentangle_bench.extras import EXTRAS

ROOT = Path(__file__).parent.parent
PACKAGES = ("benchmarks", "methods", "datamodules", "evaluation")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NEED = [
    ("wandb", ["run", "--suite", "smoke", "--logger", "wandb"], "--logger wandb needs wandb"),
    ("matplotlib", ["data", "show", "digits"], "this needs matplotlib"),
    ("matplotlib", ["report", "--out", str(ROOT / "results" / "quick")], "this needs matplotlib"),
]


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=~!; ]", one, maxsplit=1)[0].lower().replace("_", "-") for one in requirements}


@pytest.fixture(scope="module")
def trees() -> dict[str, ast.Module]:
    found = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text()) for path in found}


def roots(nodes) -> set[str]:
    """Top names that are imported by some statements."""
    nodes = list(nodes)
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    modules |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in modules}


def test_what_is_imported_is_declared(trees):
    """Each package by a requirement, or by the extra that `extras.py` names for it."""
    core = names(PROJECT["dependencies"])
    extra_of = {one: extra for extra in set(EXTRAS.values()) for one in names(PROJECT["optional-dependencies"][extra])}
    distributions = packages_distributions()
    for file, tree in trees.items():
        for root in roots(ast.walk(tree)) - set(sys.stdlib_module_names) - {"disentangle_bench"}:
            declared = names(distributions[root])
            if root in EXTRAS:
                assert {extra_of.get(one) for one in declared} == {EXTRAS[root]}, f"{file}: {root}"
            else:
                assert declared & core, f"{file} imports {root}, which pyproject.toml doesn't name"


def test_nothing_that_all_need_needs_an_extra(trees):
    """At a module's top an extra's package is imported only by modules that are themselves imported late."""
    modules = {
        file.removesuffix(".py").removesuffix("/__init__").replace("/", "."): tree for file, tree in trees.items()
    }
    top = {
        name: {
            f"{node.module}.{alias.name}" if f"{node.module}.{alias.name}"[18:] in modules else str(node.module)
            for node in tree.body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        for name, tree in modules.items()
    }
    late = {name for name, tree in modules.items() if roots(tree.body) & set(EXTRAS)}
    assert late, "wandb's own file at least"
    while more := {name for name in top if name not in late and {one[18:] for one in top[name]} & late}:
        late |= more
    needed_by_all = ("benchmarks.commands", "benchmarks.planning", "benchmarks.__main__", "methods", "datamodules")
    needed_by_all += ("benchmarks.execution.run_cell", "benchmarks.execution.pretrained", "evaluation.measures")
    assert {name for name in late if name.startswith(needed_by_all)} == {"methods.views.fused"}  # looked for with care


@pytest.mark.parametrize(("package", "arguments", "message"), NEED)
def test_a_missing_one_is_named(package, arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in [name for name in sys.modules if name.startswith("disentangle_bench.evaluation.leaderboard.report")]:
        monkeypatch.delitem(sys.modules, name)  # to be imported anew
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)  # as if it weren't installed
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert f"{message}: pip install 'disentangle-bench[{EXTRAS[package]}]'" in error
    assert len(error.splitlines()) == 1
    assert not list(tmp_path.iterdir())
