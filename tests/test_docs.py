"""The documentation: its commands are those of the program, its pages are made from the code."""

import ast
import re
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest

from disentangle_bench import datamodules, methods
from disentangle_bench.benchmarks.__main__ import COMMANDS, make_parser, normalize
from disentangle_bench.benchmarks.planning import suite
from disentangle_bench.evaluation.leaderboard.grid import Column, Grid, TableCell
from disentangle_bench.evaluation.protocol import MEASURES
from tools.docs import classes, commands, heat, hook, links, measures, notebooks, pictures, words
from tools.docs.execute import Block, blocks, pages

ROOT = Path(__file__).parent.parent
WRITTEN = {page.name: [block for block in blocks(page) if block.language == "bash"] for page in pages()}
README = [Block("bash", "", block.text) for block in blocks(ROOT / "README.md") if not block.language]


@pytest.fixture(scope="module")
def parser():
    return make_parser()


@pytest.fixture(scope="module")
def paper():
    return {"paper/domain_contrastive": suite.read("paper/domain_contrastive")}


@pytest.fixture(autouse=True)
def one_suite(monkeypatch, paper):
    """Reading all of them takes seconds."""
    monkeypatch.setattr(classes, "suites", lambda: paper)


@pytest.mark.parametrize("page", [*WRITTEN, "README.md"])
def test_commands_are_understood(page, parser):
    """Also those that no test runs: every command and option that a page names is there, every value of a choice."""
    found = [one for block in WRITTEN.get(page, README) for one in block.commands]
    for command in found:
        if command[0] == "bench":
            parser.parse_args(normalize(command[1:]))  # ends the program where it is wrong
        elif command[0] == "make":
            targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
            assert command[1] in targets, command
    assert found or "bash" not in (ROOT / "docs" / page).read_text()


def test_a_wrong_command_is_noticed(parser):
    with pytest.raises(SystemExit):
        parser.parse_args(normalize(["run", "--suite", "quick", "--dry-rum"]))


def test_what_is_not_run_says_why():
    """A block without a title is run by `make docs-commands`, which knows our command and programs of the page."""
    for page, found in WRITTEN.items():
        for block in found:
            known = {command[0] for command in block.commands} <= {"bench", "python"}
            assert block.title or (block.commands and known), f"{page}: {block.text}"
            assert not block.title or re.search(r"[Nn]eeds|[Tt]akes|[Tt]rains|[Dd]ownloads", block.title), block.title


def test_every_method_data_set_and_measure_has_a_page():
    made = dict(classes.method_pages()) | dict(classes.data_pages()) | dict(measures.measure_pages())
    assert {f"methods/{name}.md" for name in methods.available()} < set(made)
    assert {f"data/{name}.md" for name in datamodules.available()} < set(made)
    assert {f"measures/{measure.name}.md" for measure in MEASURES.values()} < set(made)


def test_a_card_says_what_its_class_declares():
    card = classes.method_card("domain_contrastive", methods.find("domain_contrastive"))
    for word in (
        "- **paper**: Kahana, Hoshen: A Contrastive Objective",
        "- **labels seen while training**: domain",
        "- **judged by the space**: `code`",
        "image    -> backbone -> linear -> code  \\\n",  # the diagram, line by line
        "## Deviations from the paper and its code\n\nDeviations from the authors' code: pixels are normalised",
        "| `temperature` | `PositiveFloat` | `0.2` | tau. |",
        "| `temperature` | 0.1, 0.2, 0.5 |",
        "`paper/domain_contrastive`",
        "| `domain_contrastive_",  # a claim of its paper
    ):
        assert word in card, word
    assert "Args:" not in card


def test_diagrams_keep_their_lines():
    """In a docstring that isn't raw, a backslash at a line's end joins it with the next one."""
    for file in (ROOT / "methods").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.Module) and ast.get_docstring(node):
                text = node.body[0].value
                assert text.end_lineno - text.lineno == text.value.count("\n"), f"{file}:{text.lineno}: make it raw"


def test_a_measures_page_says_what_it_declares():
    page = measures.page("knn@1", MEASURES["knn@1"])
    for word in ("# knn@1", "neighbours from train, scored on test", "| `top1` | higher | 0 to 1 |", "| `k` | `20` |"):
        assert word in page, word


def test_the_page_of_commands_has_all_of_them():
    ((_, text),) = commands.command_page()
    assert re.findall(r"^## bench (\w+)$", text, re.M) == list(COMMANDS)
    assert "| `dry_run` | `bool` | `False` | only list what would be done. |" in text


def test_the_page_of_suites_explains_every_key():
    text = commands.key_table()
    assert (
        "| `budget.epochs` | `int >0 and <=1000000 | None` | `None` | passes over the training images. | `30` |" in text
    )
    assert "| `experiments[].label` | `str` | `required` | name of the row." in text


def test_options_need_no_docstring():
    def function(*, number: int = 3):
        pass

    assert words.options(function, function).splitlines()[-1] == "| `number` | `int` | `3` |  |"


def test_dead_links_are_named(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "index.html").write_text('<h1 id="there">a</h1> <a href="../a.html?x=1">a</a>')
    page = tmp_path / "a.html"
    page.write_text('<a href="sub/#there"> <a href="https://elsewhere.org/x"> <img src="sub/index.html"> <a href="#">')
    assert links.dead(tmp_path) == []
    page.write_text('<a href="sub/#gone"> <a href="none.html"> <script src="none.js"></script>')
    links._anchors.cache_clear()
    assert links.dead(tmp_path) == ["a.html: none.html", "a.html: none.js", "a.html: sub/#gone"]


def test_every_link_of_a_written_page_leads_somewhere_in_the_repository():
    """Where most people read them; `make docs` checks the site's."""
    written = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")]
    written += [*(ROOT / "docs").rglob("*.md"), *(ROOT / "results").glob("*.md"), *(ROOT / "results").glob("*/*.md")]
    assert links.dead_in_repository(ROOT, written) == []


def test_links_of_the_repository(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "code.py").touch()
    (tmp_path / "docs" / "b.md").write_text("# An `odd` heading, too\n\n```bash\n# none\n```\n")
    page = tmp_path / "docs" / "a.md"
    page.write_text(
        "# Top\n[t](#top) [b](b.md#an-odd-heading-too) [c](../code.py) [![p](b.md)](https://x.org/y)\n"
        "```python\nf[0](gone.md)\n```\n"
    )
    assert links.dead_in_repository(tmp_path, [page]) == []
    places = {"docs/b.md": "guides/b.md", "code.py": "made/code.md"}
    text = "[b](b.md#x) [c [1]](../code.py) [t](#top) [no](gone.md) [the docs](../docs)\n```\n[b](b.md)\n```\n"
    moved = links.for_the_site(text, "docs/a.md", "a.md", places, tmp_path)
    assert moved.splitlines()[0] == "[b](guides/b.md#x) [c [1]](made/code.md) [t](#top) [no](gone.md) the docs (`docs`)"
    assert "\n[b](b.md)\n" in moved, "code is left alone"
    assert "(../guides/b.md)" in links.for_the_site("[b](b.md)", "docs/a.md", "sub/a.md", places, tmp_path)
    page.write_text("[g](gone.md) [n](b.md#none)")
    assert links.dead_in_repository(tmp_path, [page]) == ["docs/a.md: gone.md", "docs/a.md: b.md#none"]


def test_notebooks_are_kept_without_outputs():
    for file in (ROOT / "docs").rglob("*.ipynb"):
        notebook = nbformat.read(file, as_version=4)
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells), file
        assert file.stat().st_size < 10_000


def test_a_notebook_with_outputs_is_refused(tmp_path):
    cell = nbformat.v4.new_code_cell("1", outputs=[nbformat.v4.new_output("stream", text="1")])
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "kept.ipynb")
    with pytest.raises(ValueError, match="keep it without outputs"):
        notebooks.page(tmp_path / "kept.ipynb")


def test_boards_side_by_side_are_coloured_column_by_column():
    leakage, nmi = Column("", key=("leakage@4", "leakage", "color")), Column("", key=("kmeans@2", "nmi", "class"))
    low, high, none = TableCell(0.3, 0.1), TableCell(0.5, 0.1, (1, 2), bold=True), TableCell()

    def grid(title: str, columns: list[Column], **rows: list[TableCell]) -> Grid:
        columns = [Column("method", "text"), *columns]
        return Grid(title, title, columns, [[TableCell(name), *cells] for name, cells in rows.items()])

    mine = grid(
        "mine",
        [leakage, nmi],
        first=[replace(low, bold=True), high],
        second=[replace(high, bold=False, space="code"), low],
        third=[none, none],
    )
    svg = heat.criteria(mine, grid("yours", [nmi], first=[high], other=[low]))
    colours = re.findall(r'fill-opacity="([\d.]+)"( stroke)?', svg)
    assert colours == [("0.70", " stroke"), ("0.06", ""), ("0.70", " stroke"), ("0.06", ""), ("0.70", " stroke")]
    assert svg.count(">\N{EN DASH}<") == 4, "what a board has no figure of"
    assert svg.count(">0.500*<") == 1, "of another space than features; its name has no room"
    assert "code" not in svg
    assert ">mine<" in svg
    assert ">yours<" in svg
    assert svg.count(">first<") == 1
    many = heat.criteria(*(grid(f"board {k}", [nmi], first=[high]) for k in range(heat.ABREAST + 1)))
    assert many.count(">first<") == 2, "the last board has no room beside the others: names stand again, below"


@pytest.mark.parametrize(
    "name",
    ["board.svg", *(pytest.param(name, marks=pytest.mark.slow) for name in ("dial.svg", "heat.svg", "rank-set.svg"))],
)
def test_the_pictures_of_boards_are_those_of_their_records(name):
    """Words to the letter; where things lie to a pixel or two, which versions of matplotlib differ by."""
    kept, drawn = ((pictures.PICTURES / name).read_text(encoding="utf-8"), pictures.OF_BOARDS[name]().decode())
    told, places = r">([^<>\n]+)</text>", r'<(?:use|rect) [^>]*?x="([\d.]+)" y="([\d.]+)"'
    assert re.findall(told, kept) == re.findall(told, drawn), "draw them anew: python -m tools.docs.pictures"
    before, now = ([[float(x) for x in place] for place in re.findall(places, svg)] for svg in (kept, drawn))
    assert len(now) > 20
    assert now == [pytest.approx(place, abs=2) for place in before], "draw them anew: python -m tools.docs.pictures"


def test_pictures_become_part_of_the_page():
    """What they show is told to who can't see them; of a file only the SVG is taken."""
    page = '<p><img alt="a b" src="../pictures/a.svg"> <img src="photo.png"></p>'
    html = hook.inlined(page, {"a.svg": "<?xml?>\n<svg/>"})
    assert html == '<p><span class="picture" role="img" aria-label="a b"><svg/></span> <img src="photo.png"></p>'
