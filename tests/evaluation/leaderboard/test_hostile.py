"""Whatever stands in one record: it is refused with a line, or shown as text; the others keep their table."""

import copy
import json
import random
import warnings

import pytest

from disentangle_bench.evaluation.leaderboard.compare import NothingToCompare, compare_records
from disentangle_bench.evaluation.leaderboard.foot import cautions
from disentangle_bench.evaluation.leaderboard.summary import document, leaderboard, to_html, to_latex
from disentangle_bench.evaluation.leaderboard.writers.formats import csv
from disentangle_bench.evaluation.records import FILE, find_records
from disentangle_bench.json_files import write_json

VALUES = (None, True, 0, -1, 1.5, 10**400, "", "x", "=1+1", "cost", "features", "linear@1", [], [1], {}, {"a": [1]})


def places(part, path=()):
    """Paths to everything inside of a record."""
    items = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


def spoiled(record, rng):
    """A copy with one to three of its parts changed, renamed or removed."""
    wrong = copy.deepcopy(record)
    for _ in range(rng.randint(1, 3)):
        *path, last = rng.choice(list(places(wrong)))
        part = wrong
        for key in path:
            part = part[key]
        kind = rng.randrange(4)
        if kind == 0:
            del part[last]
        elif kind == 1 and isinstance(part, dict):
            part[str(rng.choice(VALUES))] = part.pop(last)
        else:
            part[last] = copy.deepcopy(rng.choice(VALUES))
    return wrong


@pytest.mark.parametrize("seed", range(2))
def test_a_spoiled_record_costs_the_others_nothing(record, tmp_path, seed):
    rng = random.Random(seed)
    rows = [{"measure": "leakage@4", "target": "color", "scores": {"leakage": 0.3}}]
    good = [record(method=m, seed=s, metrics=rows) for m in ("simclr", "vicreg") for s in range(3)]
    for each in good:
        (tmp_path / each["cell"]["hash"]).mkdir()
        write_json(tmp_path / each["cell"]["hash"] / FILE, each)
    (tmp_path / "zz").mkdir()
    for _ in range(15):
        (tmp_path / "zz" / FILE).write_text(json.dumps(spoiled(record(method="bad", metrics=rows), rng)))
        found, problems = find_records(tmp_path)
        assert len(found) + len(problems) == 7
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            frame = leaderboard(found)
            for text in (document(found), csv(frame), to_latex(frame), to_html(frame)):
                assert "simclr" in text
            assert cautions(found.values()) is not None
            try:
                assert len(compare_records(found, found).table) >= 4
            except NothingToCompare:
                pytest.fail("the good records have figures in common")
