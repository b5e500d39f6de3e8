"""Files of claims: those that ship fit the suites, measures and methods that there are."""

import pytest

from disentangle_bench import methods
from disentangle_bench.benchmarks.__main__ import main
from disentangle_bench.benchmarks.planning import claims
from disentangle_bench.benchmarks.planning.suite import read

PAPERS = ("ip_irm", "style_blocks", "domain_contrastive", "contrastive_clustering")
SHIPPED = claims.read([])


def rows_of(name):
    suite = read(name)
    names = methods.available() if suite.methods == "all" else suite.methods
    matrix = {(dataset, method) for dataset in suite.datasets for method in names}
    return matrix, {(one.dataset, one.label) for one in suite.experiments}


@pytest.mark.parametrize("claim", SHIPPED, ids=lambda claim: claim.name)
def test_a_claim_fits_its_suite(claim):
    claims.check(claim, set.union(*rows_of(claim.suite)))
    assert set(claim.seeds) <= set(read(claim.suite).seeds)
    assert len(claim.seeds) >= 5
    assert claim.source.strip()


def test_every_paper_has_claims_and_every_experiment_of_the_suite_serves_one():
    assert claims.names() == sorted(PAPERS)
    assert len(SHIPPED) >= 16
    used = {(one.dataset, side.row) for one in SHIPPED for side in (one.a, one.b)}
    assert rows_of("cpu/claims")[1] <= used


def test_claims_are_chosen_by_name_or_by_file():
    assert [one.name for one in claims.read(["ip_irm_knn"])] == ["ip_irm_knn"]
    assert {one.paper for one in claims.read(["style_blocks"])} == {claims.read(["style_blocks"])[0].paper}


GOOD = """
paper: somebody
suite: smoke
seeds: [0]
claims:
  - {name: one, statement: s, source: t, dataset: digits, a: {row: simclr}, b: {row: pixels},
     measure: linear@1, score: top1, target: class, at_least: 0.1}
"""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("at_least: 0.1", "at_most: 0.1", "unknown key 'at_most'"),
        ("at_least: 0.1", "at_least: much", "at_least: float expected"),
        ("b: {row: pixels}", "b: {}", "either a row or a value"),
        ("b: {row: pixels}", "b: {row: pixels, spaces: x}", "unknown key 'spaces'"),
        (", at_least: 0.1", "", "at_least is missing"),
        ("claims:", "claim:", "`claims` must be a list"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_it(tmp_path, capsys, old, new, words):
    file = tmp_path / "mine.yaml"
    file.write_text(GOOD.replace(old, new))
    assert main(["claims", str(file), "--out", str(tmp_path / "runs")]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert words in line
    assert "mine.yaml" in line


def test_an_unknown_claim_and_a_folder_without_runs(tmp_path, capsys):
    assert main(["claims", "ip_irm_knm"]) == 2
    assert "did you mean ip_irm_knn" in capsys.readouterr().err
    assert main(["claims", "--out", str(tmp_path)]) == 2
