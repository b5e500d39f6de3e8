"""What holds for every measure: its card, undefined inputs, threads, and the outcomes behind its figures."""

import json
import re
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from disentangle_bench.evaluation import protocol
from disentangle_bench.evaluation.measures.base import Score, Space
from disentangle_bench.evaluation.measures.own import accepted, describe, described, wrong
from disentangle_bench.evaluation.metrics.clustering import cluster_scores
from disentangle_bench.evaluation.outcomes import read_outcomes, write_outcomes
from tests.evaluation.measures.planted import (
    COUNTS,
    NEED_ENCODER,
    ON_FEATURES,
    PATTERN,
    QUICK,
    TARGETS,
    all_told,
    bank,
    content_only,
    labels,
    measured,
    network,
    noise,
)


def test_every_measure_is_described_and_its_parameters_can_be_written():
    for title, measure in protocol.MEASURES.items():
        assert measure.source, title
        assert measure.splits, title
        assert measure.targets.text, title
        assert json.loads(json.dumps(measure.parameters)) == measure.parameters
        for score in measure.scores.values():
            assert score.low < score.high, title
            assert score.chance, title
            assert score.unit == "plain" or (score.low >= -1 and score.high == 1), title
        assert any(score.direction for score in measure.scores.values()) or measure.aspect == "descriptive"
        told = described(title, json.loads(json.dumps(describe(measure))))
        assert (told.scores, told.spaces, told.matrix, told.aspect) == (
            measure.scores,
            measure.spaces,
            measure.matrix,
            measure.aspect,
        )
    assert protocol.newest()[-1].partition("@")[0] == "finetune"
    assert "leakage@4" in protocol.newest()


class Watched(dict):
    """Splits of a space, which remember what was taken of them."""

    def __init__(self, splits):
        super().__init__(splits)
        self.taken = set()

    def __getitem__(self, split):
        self.taken.add(split)
        return super().__getitem__(split)


@pytest.mark.parametrize("title", QUICK)
def test_a_measure_takes_the_splits_that_it_says_and_no_other(title):
    """Who learns on the test images, or chooses on those that report, has another figure than the docs say."""
    measure = protocol.MEASURES[title]
    features = bank(all_told, labels(counts=dict.fromkeys(COUNTS, 240)))
    space = Space("features", Watched(features.features["features"]), features.targets)
    small = {"hidden": 8, "layers": 1} if measure.name == "mlp" else {}
    measure.run(space, *measure.targets.choose(TARGETS)[0][1], **small)
    assert space.x.taken == set(re.findall(r"\w+", measure.splits.replace("never on test", ""))) & set(COUNTS)


@pytest.mark.parametrize("title", ON_FEATURES)
def test_not_a_number_is_an_outcome_with_a_reason(title):
    space = "assignment" if title.startswith("clusters") else "features"
    broken = bank(lambda y: np.full((len(y["class"]), 4), np.nan), space=space)
    for row in measured(broken, [title]).values():
        assert row["scores"] is None
        assert "non-finite" in row["reason"]


@pytest.mark.parametrize("title", QUICK)
def test_constant_features_never_pass_for_a_figure_above_chance(title):
    space = "assignment" if title.startswith("clusters") else "features"
    constant = bank(lambda y: np.ones((len(y["class"]), 4)), space=space)
    for (measure, target), row in measured(constant, [title]).items():
        if row["scores"] is None:
            assert row["reason"], (measure, target)
        else:
            told = [row["scores"].get(key, 0) for key in ("nmi", "ari", "told", "leakage", "recall@1")]
            assert max(told) <= 0.01
            assert row["scores"].get("top1", 0) < 0.45


def test_what_is_missing_is_named():
    y = labels()
    for split in y:
        y[split]["color"] = np.zeros_like(y[split]["color"])
    found = measured(bank(content_only, y), ["leakage@4", "retrieval@1", "unseen_domain@1"])
    assert [row["scores"] for row in found.values()] == [None] * 3
    assert all("domain" in row["reason"] or "color" in row["reason"] for row in found.values())
    few = labels(counts={"train": 12, "val": 4, "test": 3})
    found = measured(bank(content_only, few), ["knn@1", "kmeans@2"])
    assert "12 training samples" in found["knn@1", "class"]["reason"]
    assert "4 clusters on 3 samples" in found["kmeans@2", "class"]["reason"]


def test_figures_do_not_depend_on_the_number_of_threads():
    features = bank(all_told)
    names = {"linear", "knn", "mlp", "kmeans", "leakage", "informativeness", "modularity", "retrieval", "uniformity"}
    titles = [title for title in QUICK if protocol.MEASURES[title].name in names]
    found = []
    for threads in (1, 2, 8):
        torch.set_num_threads(threads)
        with threadpool_limits(threads):
            found.append(measured(features, titles))
    for key, row in found[0].items():
        for other in found[1:]:
            assert other[key]["scores"] == row["scores"], key


def recomputed(network_too):
    """Every measure's figures and outcomes, on features that tell something and are not perfect."""

    def blurred(y):
        return all_told(y) * 0.3 + np.concatenate([noise(y), noise(y)[:, :4]], axis=1)

    if not network_too:
        titles = [title for title in QUICK if not title.startswith("clusters")]
        made = [protocol.evaluate(bank(blurred), TARGETS, titles)]
        own = bank(lambda y: np.eye(4)[np.where(noise(y)[:, 0] > 0, y["class"], 0)], space="assignment")
        return [*made, protocol.evaluate(own, TARGETS, [title for title in QUICK if title not in titles])]
    features, encoder = network(600)
    titles = [title for title in protocol.MEASURES if title not in ON_FEATURES and not title.startswith("finetune")]
    return [protocol.evaluate(features, PATTERN, titles, network=encoder)]


@pytest.mark.parametrize("network_too", [False, True])
def test_every_figure_with_terms_is_exactly_their_mean(network_too, tmp_path, monkeypatch):
    if network_too:
        for title in ("linear_augmented@1", "linear_ip_irm@1"):
            augmented = protocol.MEASURES[title]
            short = partial(augmented.run.func, **augmented.run.keywords | {"epochs": 2})
            monkeypatch.setitem(protocol.MEASURES, title, replace(augmented, run=short))
    seen = set()
    for rows, outcomes in recomputed(network_too):
        write_outcomes(tmp_path / "outcomes.npz", outcomes)
        stored = read_outcomes(tmp_path / "outcomes.npz")
        scored = {(row["space"], row["measure"], row["target"]): row["scores"] for row in rows}
        for key, outcome in stored.outcomes.items():
            figure = scored[key.space, key.measure, key.target][key.score]
            assert outcome.figure == figure, key
            assert outcome.terms.mean() == pytest.approx(figure, abs=1e-9)
            seen.add((key.measure.partition("@")[0], key.score))
        for key, ids in stored.ids.items():
            if key.score == "predicted" and key.measure.startswith(("linear", "knn", "mlp", "linear_augmented")):
                truth = stored.ids[key._replace(score="labels")]
                assert (ids == truth).mean() == pytest.approx(
                    scored[key.space, key.measure, key.target]["top1"], abs=1e-9
                )
            if key.score == "clusters":
                truth = stored.ids[key._replace(score="labels")]
                nmi = np.mean([cluster_scores(truth.astype(int), group.astype(int))["nmi"] for group in ids])
                assert nmi == pytest.approx(scored[key.space, key.measure, key.target]["nmi"], abs=1e-12)
    wanted = {
        False: "linear top1, linear_1pct top1, linear_10pct top1, knn top1, mlp top1, leakage leakage, leakage linear, "
        "leakage mlp, leakage knn, leakage rising, informativeness told, worst_group top1, unseen_domain top1, "
        "retrieval recall@1, retrieval map, kmeans acc, clusters acc, unseen_domain worst, worst_group worst_domain, "
        "worst_group worst_group, worst_group refitted_worst_group",
        True: "transforms mean, recovery mean, alignment alignment, linear_augmented top1, linear_ip_irm top1",
    }
    assert {tuple(pair.split()) for pair in wanted[network_too].split(", ")} <= seen
    if not network_too:
        tested = [m for m in protocol.MEASURES.values() if m.name != "validation"]  # which looks at no test image
        shown = {(m.name, s) for m in tested for s in m.scores if s == "top1"}
        assert {pair for pair in shown if pair[0] not in NEED_ENCODER} <= seen


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": "a@b"}, "name 'a@b'"),
        ({"version": "1"}, "version '1'"),
        ({"targets": "content"}, "targets 'content'"),
        ({"aspect": "quality"}, "aspect 'quality'"),
        ({"spaces": "features"}, "spaces 'features': a tuple"),
        ({"run": 3}, "run 3"),
        ({"scores": {}}, "scores {}"),
        ({"scores": {"top1": Score("higher", 0, 1, "none")}}, "direction 'higher'"),
        ({"scores": {"top1": Score("up", 1, 0, "none")}}, "low 1 is more than high 0"),
        ({"scores": {"top1": Score("up", 0, 1, 0.1)}}, "chance 0.1"),
        ({"scores": {"top1": Score("up", 0, 1, "none", "%")}}, "unit '%'"),
    ],
)
def test_what_is_wrong_with_a_declaration_is_told(change, told):
    linear = protocol.MEASURES["linear@1"]
    assert not list(wrong(linear))
    assert told in next(wrong(replace(linear, **change)))


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (0.5, "a dict of its scores"),
        ({"accuracy": 0.5}, "returned accuracy: top1"),
        ({"top1": float("nan")}, "raises MetricUndefined"),
        ({"top1": 1.5}, "outside 0 to 1"),
        ({"top1": "half"}, "a number is expected"),
        ({"top1": True}, "top1 is True, a number is expected"),
        ({"top1": np.bool_(True)}, "top1 is True, a number is expected"),
    ],
)
def test_what_no_record_can_hold_is_refused(found, told):
    with pytest.raises(ValueError, match=told):
        accepted(protocol.MEASURES["linear@1"], found)


def test_figures_of_numpy_and_torch_are_taken_as_plain_numbers():
    for figure in (np.float32(0.5), np.array(0.5), torch.tensor(0.5)):
        (value,) = accepted(protocol.MEASURES["linear@1"], {"top1": figure}).scores.values()
        assert json.dumps(value) == "0.5"
