"""YAML as plain values: within bounds, and without what reads otherwise than it looks."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any, NoReturn

import yaml

from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.files import read_text

LARGEST_FILE = 100_000
"""Bytes of a YAML text; reading more takes seconds."""
DEEPEST = 50
"""Most levels of lists and mappings inside of each other."""
MOST_VALUES = 100_000
"""Most values in a text once its aliases are written out."""


def read(path: Path, where: str) -> Any:
    """The content of a file; RequestError, which begins with `where`, if it isn't a regular file or can't be read."""
    try:
        text = read_text(path, LARGEST_FILE)
    except OSError as error:
        raise RequestError(f"{where}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise RequestError(f"{where}: not readable as YAML ({error})") from error
    return parse(text, where)


def parse(text: str, where: str) -> Any:
    """The content of a text; RequestError, which begins with `where`, if it can't be read."""
    if len(text) > LARGEST_FILE:
        raise RequestError(f"{where}: more than {LARGEST_FILE:,} bytes")
    try:
        return yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise RequestError(f"{where}: not readable as YAML ({' '.join(str(error).split()):.300})") from error


class _Loader(yaml.SafeLoader):
    """YAML without keys that stand twice, and without aliases that unfold into more than anybody writes."""

    def fetch_flow_collection_start(self, token: type) -> None:
        """Called by YAML for every [ and {; the time it takes grows with the square of their depth."""
        if self.flow_level >= DEEPEST:
            raise yaml.YAMLError(f"nested deeper than {DEEPEST} levels")
        super().fetch_flow_collection_start(token)

    def get_single_node(self) -> yaml.Node | None:
        """Called by YAML once the text is parsed, before values are made of it."""
        node = super().get_single_node()
        if node is not None and self._size(node, {}) > MOST_VALUES:
            raise yaml.YAMLError("its aliases unfold into too much, or it holds too many values")
        return node

    def _size(self, node: yaml.Node, sizes: dict[int, int]) -> int:
        """Values of a node with all aliases written out, as far as they don't go round in circles."""
        if id(node) not in sizes:
            sizes[id(node)] = MOST_VALUES + 1  # until it is known: a node that holds itself has no end
            pairs = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
            parts = () if isinstance(node, yaml.ScalarNode) else pairs
            sizes[id(node)] = 1 + sum(self._size(part, sizes) for part in parts)
        return sizes[id(node)]

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Called by YAML for every mapping."""
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        if twice := {key for key in keys if keys.count(key) > 1}:
            raise yaml.YAMLError(f"{', '.join(sorted(twice))} stands twice, at line {node.start_mark.line + 1}")
        return super().construct_mapping(node, deep)

    def as_text(self, node: yaml.ScalarNode) -> str:
        """Read a date such as 2020-01-01 as text."""
        return str(node.value)

    def refuse(self, node: yaml.Node) -> NoReturn:
        """Refuse a value of a kind that JSON, and so a record, doesn't have."""
        raise yaml.YAMLError(f"{node.tag.rpartition(':')[2]} at line {node.start_mark.line + 1} is no plain value")


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _Loader.as_text)
for _kind in ("binary", "omap", "pairs", "set"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _Loader.refuse)
