"""The house rules on imports: methods, data and evaluation meet in plain dicts, benchmarks wires them."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {"benchmarks", "methods", "datamodules", "evaluation"}
ALLOWED = {
    "benchmarks": PACKAGES,
    "methods": {"methods"},
    "datamodules": {"datamodules"},
    "evaluation": {"evaluation", "disentangle_bench.datamodules.targets"},
}


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module)
    return names


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_imports_point_one_way(package):
    for path in (ROOT / package).rglob("*.py"):
        for name in imported(path):
            if name.partition(".")[0] in PACKAGES:
                allowed = any(name == a or name.startswith(f"{a}.") for a in ALLOWED[package])
                assert allowed, f"{path.relative_to(ROOT)} imports {name}"


def test_objectives_need_only_torch():
    for path in (ROOT / "methods" / "objectives").rglob("*.py"):
        roots = {name.partition(".")[0] for name in imported(path)}
        assert not roots & {"lightning", "timm", "numpy", "kornia", "sklearn"}, path


def test_methods_folder_holds_methods_only():
    """One LightningModule a file; beside them only the base and the views."""
    for path in (ROOT / "methods").glob("*.py"):
        if path.stem in ("__init__", "base", "views"):
            continue
        classes = [n for n in ast.parse(path.read_text()).body if isinstance(n, ast.ClassDef)]
        own = [c for c in classes if any(isinstance(b, ast.Name) and b.id == "Method" for b in c.bases)]
        assert len(own) == 1, path
