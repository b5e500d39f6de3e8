"""Somebody else's class comes in by a dotted path, or a reason why not in one line."""

import sys
from pathlib import Path

import pytest

from disentangle_bench import datamodules, methods
from disentangle_bench.registry import dotted

ROOT = Path(__file__).parent.parent
MINE = """
from disentangle_bench.methods.base import Method

class Mine(Method):
    name = "mine"
    source = "a test"

class Nameless(Method):
    source = "a test"

an_instance = 3
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    elsewhere = [
        entry for entry in sys.path if Path(entry or ".").resolve() != ROOT
    ]  # as where the package is installed
    monkeypatch.setattr(sys, "path", [*elsewhere, str(tmp_path)])
    yield tmp_path
    for name in ("methods", "methods.mine", "their_file", "leaves", "breaks", "needs"):
        sys.modules.pop(name, None)


def test_a_class_of_the_users_own(folder):
    (folder / "methods").mkdir()
    (folder / "methods" / "mine.py").write_text(MINE)
    assert methods.find("methods.mine.Mine").name == "mine"


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("os.system", "found a builtin_function_or_method"),
        ("collections.OrderedDict", "found a class OrderedDict"),
        ("their_file.an_instance", "found a int"),
        ("their_file.Nameless", "says no `name`"),
        ("their_file.Min", r"no 'Min' in .*their_file\.py: did you mean Mine\?"),
        ("their_file.py", r"write it as Python imports it, my_file\.MyName"),
        ("./their_file.py:Mine", r"write it as Python imports it, my_file\.MyName"),
        ("os.Method", r"no 'Method' in .*os\.py: "),
        ("nowhere.Method", r"there is no nowhere\.py in /.*, and no package of that name"),
        ("os.nowhere.Method", r"no module 'nowhere' in .*os\.py"),
        ("needs.Mine", "importing it ended with ModuleNotFoundError: No module named 'nowhere'"),
        ("leaves.Mine", "SystemExit: 0"),
        ("breaks.Mine", "ZeroDivisionError"),
        ("..", "no method"),
    ],
)
def test_what_is_no_method_is_told_in_a_line(folder, path, why):
    (folder / "their_file.py").write_text(MINE)
    (folder / "leaves.py").write_text("import sys\nsys.exit(0)\n")
    (folder / "breaks.py").write_text("1 / 0\n")
    (folder / "needs.py").write_text("import nowhere\n")
    with pytest.raises(LookupError, match=why):
        methods.find(path)


def test_a_colon_says_the_same(folder):
    (folder / "their_file.py").write_text(MINE)
    assert methods.find("their_file:Mine") is methods.find("their_file.Mine")
    for path, form in {
        "their_file:Mine": "their_file.Mine",
        "pkg.their_file:Mine": "pkg.their_file.Mine",
        "simclr": "simclr",
        "timm:resnet18,checkpoint=a.pth": "timm:resnet18,checkpoint=a.pth",
    }.items():
        assert dotted(path) == form


def test_a_method_is_no_data_set():
    with pytest.raises(LookupError, match=r"no data set: expected a class derived from .*ImageDataModule"):
        datamodules.find("disentangle_bench.methods.simclr.SimCLR")


def test_a_decorator_makes_it_known():
    before = methods.available()

    @methods.register
    class Own(methods.find("random_init")):
        name = "own_random_init"

    try:
        assert methods.find("own_random_init") is Own
        assert set(methods.available()) == {*before, "own_random_init"}
    finally:
        methods._registry._registered.clear()
