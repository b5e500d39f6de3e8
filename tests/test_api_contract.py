"""What programs of others rely on: names, their parameters and defaults, and what happens at the edges."""

import inspect
import re
from pkgutil import resolve_name

import pytest
import torch
from torchmetrics import Metric

import disentangle_bench
from disentangle_bench import datamodules, methods, metrics

NONE = inspect.Parameter.empty
CONTRACT = {
    "methods.objectives.contrastive": """
        info_nce(z1, z2, temperature=0.5, *, gather=None)
        barlow_twins(z1, z2, off_diagonal_weight=0.0051, *, gather=None)
        vicreg(z1, z2, invariance=25., variance=25., covariance=1., *, gather=None)""",
    "methods.objectives.ip_irm": """
        irm_penalty(z1, z2, temperature=0.5, *, gather=None)
        invariant_loss(z1, z2, assignments, *, num_subsets=2, temperature=0.5, irm_temperature=0.5, penalty_weight=0.2,
                       keep_global=True, gather=None)
        soft_info_nce(z1, z2, membership, temperature=0.5, *, gather=None)
        partition_risk(z1, z2, logits, *, temperature=0.5, irm_temperature=0.5, irm_weight=0.5, balance=True,
                       gather=None)
        learn_partition(z1, z2, *, num_subsets=2, irm_weight=0.5, temperature=0.5, irm_temperature=0.5, balance=True,
                        batch_size=3096, max_epochs=61, generator=None, init=None, order=None, gather=None)""",
    "methods.objectives.style_blocks": """
        block_slices(dim, fractions)
        style_info_nce(query, keys, blocks, *, weights=None, temperature=0.15, all_keys_for_content=False,
                       content_negatives=False, trim=0.0, gather=None)
        style_vicreg(query, keys, blocks, *, weights=None, variance=25., covariance=1., all_keys_for_content=False,
                     content_negatives=False, trim=0.0, gather=None)
        update_weights(weights, constraints, lr, tolerance)
        StyleLoss(loss, alignment, entropy)""",
    "methods.objectives.domain_contrastive": """
        domain_info_nce(codes, positives, domains, temperature=0.2, *, gather=None)""",
    "methods.objectives.clustering": """
        student_t_assignment(h, centers, alpha=1.0)
        target_distribution(q, *, gather=None)
        cluster_loss(q, *, gather=None)
        anchor_loss(q_view, q_anchor, *, gather=None)""",
    "evaluation.metrics.clustering": """
        cluster_scores(labels, clusters)
        kmeans_scores(features, labels, num_clusters, seed=0, n_init=10)""",
    "evaluation.metrics.probes": """
        linear_probe(train_x, train_y, test_x, test_y, *, num_classes, val=0.1, l2_grid=None, seed=0)
        mlp_probe(train_x, train_y, test_x, test_y, *, num_classes, hidden=128, layers=6, epochs=100, seed=0)
        ridge_probe(train_x, train_y, test_x, test_y, *, circular=False)
        knn(train_x, train_y, test_x, test_y, *, num_classes, k=200, temperature=0.5)""",
    "evaluation.metrics.invariance": """
        domain_leakage(train_x, train_d, test_x, test_d, *, num_domains, val=None, weights=None, seed=0)
        alignment(z1, z2)
        uniformity(z, t=2.0)
        transform_invariance(embed, images, transforms, seed=0)""",
    "evaluation.metrics.disentanglement": """
        dci(train_z, train_factors, test_z, test_factors, *, regressor="gbt", seed=0)
        mig(z, factors, *, bins=20)
        sap(train_z, train_factors, test_z, test_factors, *, continuous=False)
        modularity_explicitness(train_z, train_factors, test_z, test_factors, *, bins=20)
        irs(z, factors, *, quantile=0.99, bins=20)
        factor_vae(local_variances_z, factor_index, global_variances)
        beta_vae(pairs_z, factor_index)""",
    "evaluation.metrics.retrieval": "cross_domain(features, labels, domains, ks=(1, 5))",
    "evaluation.leaderboard.statistics": "column(outcomes, *, level=0.95)",
    "datamodules": "build(name, **options)\navailable()\nregister(cls)",
    "methods": "build(name, *, image_shape, data, **options)\navailable()\nregister(cls)",
    "": "load_encoder(path_or_name)\npush_to_hub(path, repo)",
}
CASES = [
    (module, *re.match(r"(\w+)\((.*)\)", call, flags=re.S).groups())
    for module, calls in CONTRACT.items()
    for call in re.findall(r"\w+\([^()]*(?:\([^()]*\)[^()]*)*\)", calls)
]
METRICS = ["DCI", "MIG", "SAP", "Modularity", "IRS", "DomainLeakage", "LinearProbe", "KNNProbe", "ClusterScores"]


def test_no_call_of_the_contract_is_left_out():
    assert len(CASES) == sum(calls.count("(") for calls in CONTRACT.values()) - 1 == 45, "one default is a tuple"


@pytest.mark.parametrize(("module", "name", "parameters"), CASES, ids=[f"{m}.{n}" for m, n, _ in CASES])
def test_a_function_takes_what_was_promised(module, name, parameters):
    """Parameters in their order, with their defaults, by keyword where it says so; more may come if they may lack."""
    found = inspect.signature(resolve_name(f"disentangle_bench{'.' * bool(module)}{module}:{name}"))
    promised = inspect.signature(eval(f"lambda {' '.join(parameters.split())}: 0"))
    for kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY):
        there = {p.name: p.default for p in found.parameters.values() if p.kind == kind}
        wanted = {p.name: p.default for p in promised.parameters.values() if p.kind == kind}
        if kind == inspect.Parameter.POSITIONAL_OR_KEYWORD:
            assert list(there)[: len(wanted)] == list(wanted)
            assert not any(default is NONE for default in list(there.values())[len(wanted) :])
        assert wanted.items() <= there.items(), "by another name, or with another default"
        assert all(default is not NONE for parameter, default in there.items() if parameter not in wanted)


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_takes_features_and_targets(name):
    cls = getattr(metrics, name)
    options = {
        "DomainLeakage": {"num_domains": 2},
        "LinearProbe": {"num_classes": 2},
        "KNNProbe": {"num_classes": 2, "k": 5},
    }
    metric = cls(**options.get(name, {}))
    assert isinstance(metric, Metric)
    factors = torch.cartesian_prod(torch.arange(2), torch.arange(2)).repeat(10, 1)
    several = name in ("DCI", "MIG", "SAP", "Modularity", "IRS")
    for part in factors.chunk(2):
        metric.update(features=part.float(), targets=part if several else part[:, 0])
    found = metric.compute()
    assert len(found) >= 1
    assert all(torch.isfinite(value) for value in found.values())


def test_names_are_there_without_importing_them_first():
    """What is heavy is imported when it is asked for; that nothing is before is tested with `load_encoder`."""
    for name in disentangle_bench.__all__:
        assert disentangle_bench.__getattr__(name) is not None
        assert name in dir(disentangle_bench)
    assert disentangle_bench.__getattr__("metrics") is metrics
    with pytest.raises(AttributeError, match="no attribute 'metric'"):
        disentangle_bench.metric  # noqa: B018


@pytest.mark.parametrize("name", methods.available())
def test_a_method_is_built_without_data_or_says_what_they_lack(name):
    needs = {"supervised": "content", "odr": "content/domain", "domain_contrastive": "domain"}
    needs |= dict.fromkeys(("cc", "contrastive_clustering"), "lacks num_classes")
    if name not in needs:
        method = methods.build(name, image_shape=(3, 32, 32), data={})
        assert method.image_shape == (3, 32, 32)
        return
    with pytest.raises(ValueError, match=rf"{needs[name]}.*give data=datamodule\.describe\(\)"):
        methods.build(name, image_shape=(3, 32, 32), data={})


def test_what_data_say_holds_and_the_rest_is_as_without():
    """A classifier has as many classes as the target that it learns."""
    content = {"name": "digit", "role": "content", "kind": "class", "size": 3}
    method = methods.build("simclr", image_shape=(3, 32, 32), data={"mean": [0.1] * 3, "std": [1.0] * 3})
    assert method.mean.flatten().tolist() == pytest.approx([0.1] * 3)
    built = methods.build("supervised", image_shape=(3, 32, 32), data={"targets": [content]})
    assert built.classifier.out_features == 3
    with pytest.raises(ValueError, match="ContrastiveClustering: `data` lacks num_classes"):
        methods.build("contrastive_clustering", image_shape=(3, 32, 32), data={"targets": [content]})


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(LookupError, match=r"no method 'simclrr': did you mean simclr\?"):
        methods.build("simclrr", image_shape=(3, 32, 32), data={})
    with pytest.raises(LookupError, match="no data set 'digit': did you mean digits"):
        datamodules.build("digit")
    with pytest.raises(ValueError, match=r"unknown backbone 'resnet19': did you mean resnet18"):
        methods.build("simclr", image_shape=(3, 32, 32), data={}, backbone="resnet19")


def test_a_data_set_has_its_splits():
    data = datamodules.build("digits")
    assert set(data.splits) == {"train", "val", "test", "probe", "probe_val"}
    assert (data.num_classes, data.image_shape[0]) == (10, 3)
    assert data.fingerprint
    for name, split in data.splits.items():
        assert sum(len(batch["index"]) for batch in data.eval_dataloader(name)) == len(split)
    with pytest.raises(ValueError, match="no split 'tst' of digits: did you mean test"):
        data.eval_dataloader("tst")
