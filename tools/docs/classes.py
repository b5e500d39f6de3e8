"""A card for every method and every data set, from the declarations and docstrings of its class."""

from __future__ import annotations

from collections.abc import Iterator

from disentangle_bench import datamodules, methods
from disentangle_bench.benchmarks import plain_yaml
from disentangle_bench.benchmarks.planning import claims
from disentangle_bench.datamodules.base import ImageDataModule
from disentangle_bench.methods.base import Method
from tools.docs.commands import suites
from tools.docs.words import about, code, facts, options, paragraphs, table

BY_THE_RUN = ("image_shape", "data", "seed")
"""Arguments that no option sets."""


def method_pages() -> Iterator[tuple[str, str]]:
    """(path in the docs, markdown) of the list of methods and of each one's card."""
    found = {name: methods.find(name) for name in methods.available()}
    rows = [(f"[{name}]({name}.md)", seen(cls), spaces(cls), cls.source) for name, cls in found.items()]
    yield (
        "methods/index.md",
        "# Methods\n\n"
        "Each is one file in `methods/`, over the same encoder, views and budget. *Labels seen* are those that a "
        "method may see while it trains ([the firewall](../concepts.md#firewall)); *judged by* is the "
        "[space](../concepts.md#space) that the main table takes.\n\n"
        f"{table(('method', 'labels seen', 'judged by', 'paper'), rows)}\n\n"
        "## Options of all methods\n\n"
        "`--set method.lr=0.001` sets one for all methods, `--set simclr.lr=0.001` for one.\n\n"
        f"{options(Method.__init__, Method, skip=BY_THE_RUN)}\n",
    )
    for name, cls in found.items():
        yield f"methods/{name}.md", method_card(name, cls)


def method_card(name: str, cls: type[Method]) -> str:
    """The card of a method, as markdown, from its class's declarations and docstrings."""
    summary, *rest = paragraphs(about(cls))
    deviations = [part for part in rest if part.startswith("Deviation")]
    known = [
        ("paper", cls.source),
        ("labels seen while training", seen(cls)),
        ("judged by the space", code(cls.primary_space)),
        ("its claim of invariance is about", code(cls.invariant_space)),
        ("file", code(f"{cls.__module__.removeprefix('disentangle_bench.').replace('.', '/')}.py")),
    ]
    parts = [f"# {name}", summary, facts(known), *(part for part in rest if part not in deviations)]
    parts += ["## Spaces", about(cls.embed)]
    if cls.trains:
        parts += ["## Loss", about(cls.training_step)]
    if deviations:
        parts += ["## Deviations from the paper and its code", *deviations]
    if own := options(cls.__init__, cls) if "__init__" in vars(cls) else "":
        parts += ["## Options", own, "Besides those [of all methods](index.md#options-of-all-methods)."]
    if cls.trains:
        values = [(code(option), ", ".join(map(str, tried))) for option, tried in cls.search.items()]
        parts += ["## What `bench tune` tries", table(("option", "values"), values)]
    if said := claims_of(name):
        parts += ["## What its paper claims", said, "`bench claims` says of each whether runs bear it out."]
    parts += ["## Run it", f"```bash\nbench run --suite smoke --method {name}\n```"]
    named = [f"`{key}`" for key, one in suites().items() if any(row.method == name for row in one.experiments)]
    if named:
        parts.append(f"Rows of papers with it, or near it, are in the suites {', '.join(named)}.")
    return "\n\n".join(parts) + "\n"


def claims_of(name: str) -> str:
    """Table of the claims in the file of a method's name, if there is one."""
    if name not in claims.names():
        return ""
    file = claims.FOLDER / f"{name}.yaml"
    rows = [
        (code(claim["name"]), claim["statement"], claim.get("published", "not found"))
        for claim in plain_yaml.read(file, str(file))["claims"]
    ]
    return table(("claim", "in words", "published"), rows)


def seen(cls: type[Method]) -> str:
    """Roles that a method declares."""
    return ", ".join(sorted(cls.uses_targets)) or "none"


def spaces(cls: type[Method]) -> str:
    """The space it is judged by, and that of its invariance where it is another one."""
    other = "" if cls.invariant_space == cls.primary_space else f"; invariance: `{cls.invariant_space}`"
    return code(cls.primary_space) + other


def data_pages() -> Iterator[tuple[str, str]]:
    """(path in the docs, markdown) of the list of data sets and of each one's page."""
    found = {name: datamodules.find(name) for name in datamodules.available()}
    rows = [(f"[{name}]({name}.md)", cls.licence, cls.source) for name, cls in found.items()]
    yield (
        "data/index.md",
        "# Data sets\n\n"
        "They are read in the layout in which they are published, from `$DISENTANGLE_BENCH_DATA/NAME` or "
        "`--set NAME.root=FOLDER`. `bench data check NAME` says of one that is missing what to get and where to put "
        "it; `bench data show NAME` draws some of its images.\n\n"
        f"{table(('data set', 'licence', 'source'), rows)}\n\n"
        "## Options of all data sets\n\n"
        "`--set data.batch_size=64` sets one for all data sets, `--set digits.batch_size=64` for one.\n\n"
        f"{options(ImageDataModule.__init__, ImageDataModule, skip=BY_THE_RUN)}\n",
    )
    for name, cls in found.items():
        known = [
            ("source", cls.source),
            ("licence", cls.licence),
            ("a mirror image means the same", "yes" if cls.mirror_symmetric else "no"),
        ]
        parts = [f"# {name}", about(cls), facts(known)]
        if own := options(cls.__init__, cls) if "__init__" in vars(cls) else "":
            parts += ["## Options", own, "Besides those [of all data sets](index.md#options-of-all-data-sets)."]
        parts += ["## Look at it", f"```bash\nbench data check {name}\nbench data show {name}\n```"]
        yield f"data/{name}.md", "\n\n".join(parts) + "\n"
