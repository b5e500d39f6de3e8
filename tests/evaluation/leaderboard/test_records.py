"""Records: what is accepted, what is skipped and why."""

import copy
import hashlib
import json
import math

import pytest

from disentangle_bench.evaluation.records import (
    FILE,
    SCHEMA,
    BadRecord,
    different_figures,
    digest_of,
    find_records,
    read_record,
    seal,
)
from disentangle_bench.json_files import write_json


def put(root, record, folder=None):
    cell = record["cell"]
    path = root / (folder or f"{cell['dataset']}/{cell['method']}/{cell['hash']}") / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, record)
    return path


def test_a_record_comes_back_as_written(tmp_path, record):
    written = record(seed=3, cost={"peak_memory_mb": None})
    assert read_record(put(tmp_path, written)) == written


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda r: r.update(schema=1), "schema version 1"),
        (lambda r: r.update(schema=True), "schema version True"),
        (lambda r: r.pop("schema"), "schema version None"),
        (lambda r: r.pop("cost"), "`cost` is missing"),
        (lambda r: r.update(labels="content"), "`labels` is missing or not a list"),
        (lambda r: r.update(labels=[1]), "`labels` is not a list of roles"),
        (lambda r: r["cell"].pop("settings"), "`cell.settings`"),
        (lambda r: r["cell"].update(seed=True), "`cell.seed`"),
        (lambda r: r["cell"].update(method=["simclr"]), "`cell.method`"),
        (lambda r: r["cost"].update(train_seconds="long"), "`cost.train_seconds`"),
        (lambda r: r["metrics"].append(copy.deepcopy(r["metrics"][0])), "stands twice"),
        (lambda r: r["metrics"][0].pop("scores"), "lacks space, measure, target or scores"),
        (lambda r: r["metrics"][0].update(space=None), "lacks space, measure, target or scores"),
        (lambda r: r["metrics"][0].update(width=0), "`width` is not a number of codes"),
        (lambda r: r["metrics"][0].update(width="8"), "`width` is not a number of codes"),
        (lambda r: r["metrics"][0]["scores"].update(top1=None), "not a finite number"),
        (lambda r: r["metrics"][0]["scores"].update(top1=True), "not a finite number"),
        (lambda r: r["metrics"][0]["scores"].update(top1=10**400), "not a finite number"),
        (lambda r: r["metrics"][0]["scores"].update(top1=1.01), "linear@1 of features: top1 is 1.01, outside 0 to 1"),
        (lambda r: r["metrics"][0]["scores"].update(top1=-0.01), "top1 is -0.01"),
        (lambda r: r["cost"].update(train_seconds=-1), r"`cost.train_seconds` is negative \(-1\)"),
        (lambda r: r["cost"].update(ranks=[{"seconds": -1}]), r"`cost.ranks\[0\].seconds` is negative"),
        (lambda r: r.pop("primary_space"), "`primary_space` is missing or not a str"),
        (lambda r: r.update(outcomes=3), "`outcomes` is missing or not a str or null"),
        (lambda r: r.pop("digest"), "`digest`"),
        (lambda r: r["config"].update(budget=[3]), "`config.budget` is missing or not a dict"),
        (lambda r: r["provenance"].update(git="abc"), "`provenance.git` is missing or not a dict"),
    ],
)
def test_a_wrong_record_is_refused_with_what_is_wrong(tmp_path, record, spoil, said):
    wrong = record()
    spoil(wrong)
    path = tmp_path / FILE
    path.write_text(json.dumps(wrong))
    with pytest.raises(BadRecord, match=said) as refused:
        read_record(path)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize("text", ["", "[]", "null", '{"schema": 2, "cell":', "[" * 100_000, "\x00"])
def test_what_is_no_record_is_refused(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(BadRecord):
        read_record(tmp_path / FILE)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_has_not_are_refused(tmp_path, record, number):
    (tmp_path / FILE).write_text(json.dumps(record(top1=0.123)).replace("0.123", number))
    with pytest.raises(BadRecord, match="is not a number"):
        read_record(tmp_path / FILE)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / FILE).write_bytes(b"\xff\xfe{}")
    with pytest.raises(BadRecord, match="not readable"):
        read_record(tmp_path / FILE)


def test_bad_and_second_records_are_skipped_and_reported(tmp_path, record):
    good = [record(seed=s) for s in (10, 2, 1)]
    for each in good:
        put(tmp_path, each)
    put(tmp_path, good[0], "copies/a")
    again = record(seed=2)
    again["cell"]["hash"] = "f" * 16  # the same run under another hash would count twice
    put(tmp_path, again, "zz")
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / FILE).write_text(json.dumps(good[0])[:-20])
    found, problems = find_records(tmp_path)
    assert [r["cell"]["seed"] for r in found.values()] == [1, 2, 10]
    reasons = " ".join(problem.reason for problem in problems)
    assert len(problems) == 3
    assert reasons.count("a second record of simclr on digits") == 2
    assert "not readable as JSON" in reasons


def test_an_empty_folder_has_no_records(tmp_path):
    assert find_records(tmp_path / "nowhere") == ({}, [])


def test_writing_what_json_has_not_leaves_the_old_file(tmp_path):
    path = tmp_path / FILE
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == [FILE]


def test_a_sealed_record_knows_its_outcomes_and_itself(tmp_path, record):
    outcomes = tmp_path / "outcomes.npz"
    outcomes.write_bytes(b"bits")
    content = {key: value for key, value in record().items() if key not in ("primary_space", "schema", "digest")}
    sealed = seal(content, outcomes)
    assert sealed["schema"] == SCHEMA
    assert sealed["primary_space"] == "features"
    assert sealed["outcomes"] == hashlib.sha256(b"bits").hexdigest()
    assert read_record(put(tmp_path, sealed)) == sealed
    assert sealed["digest"] == digest_of(sealed) == digest_of(json.loads(json.dumps(sealed)))
    sealed["metrics"][0]["scores"]["top1"] += 1e-9
    assert sealed["digest"] != digest_of(sealed)


def test_each_figure_that_differs_by_a_digit_or_is_gone_is_told(record):
    knn = {"measure": "knn@1", "scores": {"top1": 0.5}}
    before = record(metrics=[knn])

    def told(spoil):
        after = copy.deepcopy(before)
        spoil(after)
        return different_figures(before, after)

    what, more = "linear@1 features class", math.nextafter(0.25, 1)
    assert told(lambda r: r) == []
    assert told(lambda r: r["metrics"][0]["scores"].update(nll=more)) == [(f"{what} nll", 0.25, more)]
    assert told(lambda r: r["metrics"][0]["scores"].pop("nll")) == [(f"{what} nll", 0.25, None)]
    both = [(f"{what} top1", 0.9, None), (f"{what} nll", 0.25, None)]
    assert told(lambda r: r["metrics"][0].update(scores=None)) == both
    assert told(lambda r: r["metrics"].pop(0)) == both
    assert told(lambda r: (r["metrics"].pop(0), r["config"].update(measures=["knn@1"]))) == []
