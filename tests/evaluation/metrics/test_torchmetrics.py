"""The torchmetrics classes give the functions' figures, in one process and in two, and their examples hold."""

import doctest
import socket
from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist

from disentangle_bench import metrics as public
from disentangle_bench.evaluation.metrics import (
    MetricUndefined,
    clustering,
    disentanglement,
    intrinsic,
    invariance,
    probes,
    retrieval,
)
from disentangle_bench.evaluation.metrics import torchmetrics as classes
from disentangle_bench.evaluation.metrics.invariance import adversaries

CLOSE = 1e-6
"""Relative: figures are handed out in single precision."""


@pytest.fixture(autouse=True)
def short_training(monkeypatch):
    """Fewer steps of the MLP adversary, for the class as for the function."""
    monkeypatch.setattr(adversaries, "EPOCHS", 2)
    monkeypatch.setattr(adversaries, "STEPS", 30)


@cache
def rows() -> dict[str, torch.Tensor]:
    """Features of 90 training and 90 test rows, of three classes and two domains, and what else is asked of them."""
    torch.manual_seed(0)
    target, domain = torch.arange(180) % 3, torch.arange(180) // 3 % 2
    x = torch.randn(180, 6)
    x[:, 0] += 2 * target
    x[:, 1] += 1.5 * domain
    factors = torch.stack([target, domain], dim=1)
    unit = torch.nn.functional.normalize(x, dim=1)
    return {"x": x, "unit": unit, "moved": unit.roll(1, 0), "target": target, "domain": domain, "factors": factors}


def fitted(name: str) -> tuple[list[dict], list[dict]]:
    """Batches of both splits of a target, and what a function is given."""
    r = rows()
    parts = {"train": slice(0, 90), "test": slice(90, 180)}
    return [
        {"features": r["x"][part], "targets": r[name][part], "split": split, "index": torch.arange(90)}
        for split, part in parts.items()
    ], [array for part in parts.values() for array in (r["x"][part], r[name][part])]


def sample(*names: str) -> tuple[list[dict], list]:
    keys = {"x": "features", "unit": "features", "factors": "targets", "target": "targets", "domain": "domains"}
    given = {keys.get(name, name): rows()[name] for name in names}
    return [given | {"index": torch.arange(180)}], [rows()[name] for name in names]


def pooled(*names: str):
    batches, given = sample(*names)
    return [{("other" if key == "moved" else key): value for key, value in b.items()} for b in batches], given


def groups():
    return [{"features": rows()["domain"], "targets": rows()["target"], "index": torch.arange(180)}], [
        rows()["target"],
        rows()["domain"],
    ]


def factor_vae(train_z, train_f, test_z, test_f):
    votes, factor = disentanglement.sample_votes(train_z, train_f, num_votes=50)
    held, held_factor = disentanglement.sample_votes(test_z, test_f, num_votes=50)
    spread = train_z.double().numpy().var(axis=0, ddof=1)
    return disentanglement.factor_vae(votes, factor, spread, eval_local_variances_z=held, eval_factor_index=held_factor)


def beta_vae(train_z, train_f, test_z, test_f):
    points, factor = disentanglement.sample_pairs(train_z, train_f, num_points=50)
    held, held_factor = disentanglement.sample_pairs(test_z, test_f, num_points=50)
    return disentanglement.beta_vae(points, factor, eval_pairs_z=held, eval_factor_index=held_factor)


CASES = {
    "LinearProbe": ({"num_classes": 3}, lambda: fitted("target"), probes.linear_probe),
    "KNNProbe": ({"num_classes": 3, "k": 5}, lambda: fitted("target"), probes.knn),
    "MLPProbe": ({"num_classes": 3, "layers": 2, "epochs": 2}, lambda: fitted("target"), probes.mlp_probe),
    "RidgeProbe": ({}, lambda: fitted("target"), probes.ridge_probe),
    "Informativeness": ({"num_classes": 3}, lambda: fitted("target"), probes.informativeness),
    "DCI": ({}, lambda: fitted("factors"), disentanglement.dci),
    "SAP": ({}, lambda: fitted("factors"), disentanglement.sap),
    "Modularity": ({}, lambda: fitted("factors"), disentanglement.modularity_explicitness),
    "FactorVAEScore": ({"train_votes": 50, "test_votes": 50}, lambda: fitted("factors"), factor_vae),
    "BetaVAEScore": ({"train_points": 50, "test_points": 50}, lambda: fitted("factors"), beta_vae),
    "MIG": ({}, lambda: sample("x", "factors"), disentanglement.mig),
    "IRS": ({}, lambda: sample("x", "factors"), disentanglement.irs),
    "DomainLeakage": ({"num_domains": 2}, lambda: fitted("domain"), invariance.domain_leakage),
    "CrossDomainRetrieval": ({}, lambda: sample("x", "target", "domain"), retrieval.cross_domain),
    "TransformInvariance": ({}, lambda: sample("unit", "moved"), invariance.similarity),
    "Alignment": ({}, lambda: pooled("unit", "moved"), invariance.alignment),
    "Uniformity": ({}, lambda: sample("unit"), invariance.uniformity),
    "EffectiveRank": ({}, lambda: sample("x"), intrinsic.effective_rank),
    "IntrinsicQuality": ({}, lambda: sample("x"), intrinsic.intrinsic_quality),
    "ClusterScores": ({"num_clusters": 3}, lambda: sample("x", "target"), clustering.kmeans_scores),
    "Silhouette": ({}, lambda: sample("x", "target"), clustering.silhouette),
}


def computed(name: str, rank: int = 0, processes: int = 1) -> dict[str, float]:
    """A metric's figures, with a batch of 8 rows at a time; of several processes, each has every n-th batch.

    The last batch of a split goes to all of them, as a DistributedSampler repeats rows to make them even.
    """
    options, batches, _ = CASES[name]
    metric = getattr(classes, name)(**options)
    for given in batches()[0]:
        split = {"split": given.pop("split")} if "split" in given else {}
        starts = list(range(0, len(given["index"]), 8))
        for number, start in enumerate(starts):
            if number % processes == rank or number == len(starts) - 1:
                metric.update(**{key: value[start : start + 8] for key, value in given.items()}, **split)
    found = metric.compute()
    return {key: float(value) for key, value in found.items()} if isinstance(found, dict) else {"": float(found)}


@cache
def expected(name: str) -> dict[str, float]:
    options, given, function = CASES[name]
    options = {key: value for key, value in options.items() if not key.endswith(("votes", "points"))}
    found = function(*given()[1], **options)
    return found if isinstance(found, dict) else {"": found}


def test_every_class_is_tested():
    assert {*CASES, "RowMetric"} == set(classes.__all__) == set(public.__all__)
    assert all(getattr(public, name) is getattr(classes, name) for name in classes.__all__), "not a second copy"


@pytest.mark.parametrize("name", CASES)
def test_a_class_gives_the_figures_of_its_function(name):
    assert computed(name) == pytest.approx(expected(name), rel=CLOSE, abs=CLOSE)


FITTED = [name for name in CASES if "train" in getattr(classes, name).splits]


@pytest.mark.parametrize("name", FITTED)
def test_without_splits_one_half_is_learnt_on_and_the_other_scored(name):
    """Whatever the batches; the halves are the function's own two splits then."""
    options, given, _ = CASES[name]
    train, test = given()[0]
    whole = {key: torch.cat([train[key], test[key]]) for key in ("features", "targets")}
    drawn = np.random.default_rng(0).permutation(180)
    halves = {"train": np.sort(drawn[:90]), "test": np.sort(drawn[90:])}
    unnamed, named = getattr(classes, name)(**options), getattr(classes, name)(**options)
    for start in range(0, 180, 64):
        unnamed.update(*(values[start : start + 64] for values in whole.values()))
    for split, part in halves.items():
        named.update(*(values[part] for values in whole.values()), split=split)
    assert unnamed.compute() == named.compute()


def test_batches_say_their_split_or_none_does():
    metric = classes.KNNProbe(num_classes=3)
    metric.update(rows()["x"], rows()["target"], split="train")
    metric.update(rows()["x"], rows()["target"])
    with pytest.raises(ValueError, match=r"some batches say their split \(train\), others don't"):
        metric.compute()


def test_clusters_of_a_method_are_taken_as_they_are_and_k_is_that_of_the_labels():
    given, arguments = groups()
    metric = classes.ClusterScores()
    metric.update(**given[0])
    assert {k: float(v) for k, v in metric.compute().items()} == pytest.approx(clustering.cluster_scores(*arguments))
    grouped, told = classes.ClusterScores(), classes.ClusterScores(num_clusters=3)
    for one in (grouped, told):
        one.update(rows()["x"], rows()["target"])
    assert grouped.compute() == told.compute()


@pytest.mark.parametrize("name", ["DomainLeakage", "MLPProbe", "LinearProbe"])
def test_a_validation_loop_may_compute(name):
    """Lightning runs them in inference mode, and probes have to be trained there."""
    with torch.inference_mode():
        found = computed(name)
    assert found == pytest.approx(expected(name), rel=CLOSE, abs=CLOSE)


def worker(rank: int, port: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    found = {name: computed(name, rank, 2) for name in CASES}
    lonely = classes.EffectiveRank()  # of a split of which this process has nothing, or in another type
    if rank == 1:
        lonely.update(torch.eye(4))
    found["lonely"] = {"": float(lonely.compute())}
    torch.save(found, folder / f"{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_have_the_figures_of_one(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.start_processes(worker, (port, tmp_path), nprocs=2, start_method="fork")
    for rank in (0, 1):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert found.pop("lonely")[""] == pytest.approx(4, rel=1e-4)
        for name, figures in found.items():
            assert figures == pytest.approx(expected(name), rel=CLOSE, abs=CLOSE), name


@pytest.mark.parametrize("module", ["probes", "disentanglement", "invariance", "structure"])
def test_the_examples_hold(module):
    found = import_module(f"{classes.__name__}.{module}")
    own = [name for name, value in vars(found).items() if getattr(value, "__module__", "") == found.__name__]
    result = doctest.testmod(found)
    assert result.failed == 0
    assert result.attempted >= 3 * len([name for name in own if name in classes.__all__])


def test_one_score_is_a_scalar_and_a_wrong_one_is_told():
    batches, _ = sample("x", "factors")
    metric, wrong = classes.MIG(score="mig"), classes.MIG(score="gap")
    for one in (metric, wrong):
        one.update(**batches[0])
    assert metric.compute().shape == ()
    with pytest.raises(ValueError, match="MIG has no score 'gap': known are mig"):
        wrong.compute()


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_what_is_wrong_is_told():
    probe = classes.LinearProbe(num_classes=3)
    with pytest.raises(ValueError, match="no rows of split 'train'"):
        probe.compute()
    with pytest.raises(ValueError, match="different numbers of rows"):
        probe.update(torch.eye(3), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="split 'fit' is none of train, test"):
        probe.update(torch.eye(3), torch.arange(3), split="fit")
    with pytest.raises(TypeError, match="a figure of whole splits"):
        probe(torch.eye(3), torch.arange(3))
    constant = classes.MIG()
    constant.update(torch.ones(4, 2), torch.arange(4)[:, None])
    with pytest.raises(MetricUndefined):
        constant.compute()


def test_informativeness_is_that_of_the_protocol():
    """The measure fits one head for all that ask for it; the function is the same figure of arrays."""
    from disentangle_bench.datamodules.targets import TargetSpec
    from disentangle_bench.evaluation.measures import factors
    from disentangle_bench.evaluation.measures.base import Space

    x, y = rows()["x"].numpy(), rows()["target"].numpy()
    parts = {"probe": slice(0, 60), "probe_val": slice(60, 90), "test": slice(90, 180)}
    number = np.asarray(x[:, 1] + 0.1 * x[:, 2], np.float32)
    for values, spec in (
        (y, TargetSpec("t", "class", 3, "content")),
        (number, TargetSpec("t", "continuous", 1, "style")),
    ):
        space = Space("features", {k: x[p] for k, p in parts.items()}, {k: {"t": values[p]} for k, p in parts.items()})
        measured = factors.informativeness(space, spec).scores["told"]
        train, val, test = ((x[part], values[part]) for part in parts.values())
        found = probes.informativeness(*train, *test, val=val, num_classes=3 if spec.discrete else None)
        assert found["told"] == pytest.approx(measured, abs=1e-6)
