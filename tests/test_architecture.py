"""The house rules: what may import what, in which order rooms lie, and how much a room holds."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PREFIX = "disentangle_bench."
ALLOWED = {
    "benchmarks": {"benchmarks", "methods", "datamodules", "evaluation"},
    "methods": {"methods"},
    "datamodules": {"datamodules"},
    "evaluation": {"evaluation", "datamodules.targets"},
}
"""What a package may import of ours; besides, all of them may import the registry."""
ROOMS = {
    "benchmarks": [
        {"__main__"},
        {"commands", "completion", "parsing_errors"},
        {"launchers"},
        {"execution"},
        {"runs"},
        {"planning"},
        {"layout"},
        {"signals", "machine", "own_code", "plain_yaml", "terminal"},
        {"errors"},
    ],
    "methods": [{"*"}, {"base"}, {"batches"}, {"views", "networks", "schedule"}, {"objectives"}],
    "datamodules": [
        {"inspection"},
        {"datasets"},
        {"families"},
        {"base"},
        {"splits"},
        {"batches"},
        {"storage"},
        {"targets", "errors"},
    ],
    "evaluation": [
        {"verify", "stress"},
        {"leaderboard"},
        {"pictures"},
        {"records"},
        {"record_checks"},
        {"protocol"},
        {"measures"},
        {"sgd_probe", "online_probe"},
        {"augmentation", "transforms"},
        {"network"},
        {"features"},
        {"metrics"},
        {"outcomes", "published"},
    ],
}
"""Rooms (a folder, or a file that lies beside the folders) from top to bottom; imports go down only. `*`: any other."""
MOST_FILES = 14


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path, known: set[str]) -> set[str]:
    """Our modules that a file imports, at its top or inside of its functions; without the prefix."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    ours = {name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX)}
    found = {name for name in ours if name in known}
    return {name for name in found if not any(other.startswith(f"{name}.") for other in found)}


@pytest.fixture(scope="module")
def graph() -> dict[str, set[str]]:
    """Module -> modules that it imports, over all four packages."""
    paths = [path for package in ALLOWED for path in sources(package)]
    known = {module_of(path) for path in paths}
    return {module_of(path): imported(path, known) - {module_of(path)} for path in paths}


@pytest.mark.parametrize("package", ALLOWED)
def test_packages_meet_only_where_they_may(package, graph):
    for module, names in graph.items():
        for name in names if module.partition(".")[0] == package else ():
            allowed = any(name == a or name.startswith(f"{a}.") for a in ALLOWED[package])
            assert allowed, f"{module} imports {name}"


def test_no_circles(graph):
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail(" -> ".join(circle.args[1]))


@pytest.mark.parametrize("package", ROOMS)
def test_rooms_import_down_only(package, graph):
    order = {room: level for level, rooms in enumerate(ROOMS[package]) for room in rooms}

    def level_of(module: str) -> tuple[str, int]:
        room = module.split(".")[1]
        assert room in order or "*" in order, f"{module}: a room that stands in no order"
        return room, order.get(room, order.get("*", 0))

    for module, names in graph.items():
        for name in names:
            if module.count(".") and name.count(".") and {module.split(".")[0], name.split(".")[0]} == {package}:
                (room, above), (other, below) = level_of(module), level_of(name)
                assert room == other or above < below, f"{module} imports {name}"


@pytest.mark.parametrize("package", ALLOWED)
def test_no_room_is_crowded(package):
    for folder in {path.parent for path in sources(package)}:
        files = [path.name for path in folder.iterdir() if path.is_file()]
        assert len(files) <= MOST_FILES, f"{folder.relative_to(ROOT)}: {len(files)} files"


@pytest.mark.parametrize("package", ALLOWED)
def test_each_room_says_what_it_is_for(package):
    for path in (ROOT / package).rglob("__init__.py"):
        assert len(ast.get_docstring(ast.parse(path.read_text())) or "") > 30, path


def test_objectives_need_only_torch():
    for path in (ROOT / "methods" / "objectives").rglob("*.py"):
        tree = ast.parse(path.read_text())
        roots = {a.name.partition(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
        roots |= {n.module.partition(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        assert not roots & {"lightning", "timm", "numpy", "kornia", "sklearn"}, path


def test_diagrams_keep_their_lines():
    """A backslash at the end of a line joins it to the next, unless the docstring is raw."""
    for path in (ROOT / "methods").glob("*.py"):
        for node in ast.parse(path.read_text()).body:
            lines = (ast.get_docstring(node) or "").splitlines() if isinstance(node, ast.ClassDef) else []
            assert all(len(line) <= 120 for line in lines), f"{path}: a line of a docstring is longer than its file's"


def test_methods_folder_holds_methods_only():
    """One LightningModule a file; beside them only what all derive from, and its schedule."""
    for path in [*(ROOT / "methods").glob("*.py"), *(ROOT / "methods" / "field").glob("*.py")]:
        if path.stem in ("__init__", "base", "schedule"):
            continue
        classes = [n for n in ast.parse(path.read_text()).body if isinstance(n, ast.ClassDef)]
        own = [c for c in classes if any(isinstance(b, ast.Name) and b.id in ("Method", "VAE") for b in c.bases)]
        assert len(own) == 1, path


def test_each_kind_of_hostile_input_is_answered_somewhere():
    """SECURITY names one place each; none is stale."""
    text = (ROOT / "SECURITY.md").read_text().split("## Where it is answered")[1].split("\n## ")[0]
    paths = [line.split("`")[1] for line in text.splitlines() if line.endswith("` |")]
    assert len(paths) == text.count("\n| ") - 1
    assert all((ROOT / path).is_file() for path in paths), paths


def test_the_map_leads_somewhere():
    """CONTRIBUTING answers "where do I find ...?" by one path each; none is stale."""
    text = (ROOT / "CONTRIBUTING.md").read_text().split("## Where do I find ...?")[1].split("\n## ")[0]
    rows = [
        line.split("|") for line in text.splitlines() if line.startswith("| ") and not line.startswith("| question")
    ]
    paths = [row[2].strip().strip("`") for row in rows]
    assert len(paths) == 26
    assert all((ROOT / path).exists() for path in paths), paths
