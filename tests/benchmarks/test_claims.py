"""Files of claims: those that ship fit the suites, measures and methods that there are."""

import re
import shlex
from pathlib import Path

import pytest

from disentangle_bench.benchmarks.__main__ import main, make_parser, normalize
from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.planning import claims
from disentangle_bench.benchmarks.planning.suite import read

ROOT = Path(__file__).parents[2]
PAPERS = ("ip_irm", "style_blocks", "domain_contrastive", "contrastive_clustering")
SHIPPED = claims.read([])


def test_every_paper_has_claims_and_every_experiment_of_the_suite_serves_one():
    """Reading has checked them against rows, measures, scores and seeds of their suites."""
    assert claims.names() == sorted(PAPERS)
    assert len(SHIPPED) >= 16
    assert all(len(claim.seeds) >= 5 and claim.source.strip() for claim in SHIPPED)
    used = {(one.dataset, side.row) for one in SHIPPED for side in (one.a, one.b)}
    assert {(one.dataset, one.label) for one in read("cpu/claims").experiments} <= used


def test_claims_are_chosen_by_name_or_by_file():
    names = [one.name for one in claims.read(["ip_irm_knn", "style_blocks"])]
    assert names[0] == "ip_irm_knn"
    assert all(name.startswith("style_blocks_") for name in names[1:])
    assert len(names) == 7


OWN = """
from disentangle_bench.datamodules.datasets.digits import ColoredDigits
from disentangle_bench.methods.random_init import RandomInit

class Mine(RandomInit):
    name = source = "claimed"

class Data(ColoredDigits):
    name = source = licence = "claimed_data"
"""
GOOD = """
paper: somebody
suite: smoke
seeds: [0]
claims:
  - {name: one, statement: s, source: t, dataset: colored_digits, a: {row: simclr}, b: {row: pixels},
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
        ("row: pixels", "row: pixel", "unknown row of colored_digits in suite smoke 'pixel'"),
        ("measure: linear@1", "measure: mlp@1", "unknown measure of suite smoke 'mlp@1'"),
        ("score: top1", "score: top2", "unknown score 'top2'"),
        ("seeds: [0]", "seeds: [0, 7]", "no seed 7"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_it(tmp_path, capsys, old, new, words):
    file = tmp_path / "mine.yaml"
    file.write_text(GOOD.replace(old, new))
    assert main(["claims", str(file), "--out", str(tmp_path / "runs")]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert words in line
    assert "mine.yaml" in line or "claim one" in line


def test_two_claims_of_one_name_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(GOOD)
    Path("b.yaml").write_text(GOOD.replace("at_least: 0.1", "at_least: 0.2"))
    with pytest.raises(RequestError, match=r"claim one: a\.yaml and b\.yaml have different claims of this name"):
        claims.read(["a.yaml", "b.yaml"])
    assert len(claims.read(["a.yaml", "a.yaml"])) == 1


def test_a_file_of_ones_own_is_named_by_the_command_that_judges_it_again(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(GOOD)
    assert [claim.file for claim in claims.read([str(file)])] == [str(file)]
    assert not any(claim.file for claim in SHIPPED)


def test_a_method_and_data_of_ones_own_are_called_as_their_table_calls_them(tmp_path, monkeypatch):
    """Whichever way the file of claims names them."""
    monkeypatch.chdir(tmp_path)
    Path("claimed_file.py").write_text(OWN)
    Path("own_suite.yaml").write_text(
        "{datasets: [claimed_file.Data], methods: [claimed_file.Mine, pixels], budget: {epochs: 1}, measures: [linear]}"
    )
    for dataset, row in (("claimed_file.Data", "claimed_file.Mine"), ("claimed_data", "claimed")):
        given = GOOD.replace("colored_digits", dataset).replace("row: simclr", f"row: {row}")
        Path("mine.yaml").write_text(given.replace("suite: smoke", "suite: own_suite.yaml"))
        (claim,) = claims.read(["mine.yaml"])
        assert (claim.dataset, claim.a.row, claim.b.row) == ("claimed_data", "claimed", "pixels")


def test_each_command_of_the_committed_page_can_be_copied(monkeypatch, capsys):
    """In a fresh copy of the repository; one of those that only judge is run."""
    monkeypatch.chdir(ROOT)
    commands = re.findall(r"`(bench [^`]+)`", Path("results/claims.md").read_text())
    judging = [f"bench claims {claim.name} --out results/claims/records" for claim in SHIPPED]
    assert commands == [*judging, "bench claims --out results/claims/records --to results/claims.md"]
    for command in (judging[0], commands[-1]):
        make_parser().parse_args(normalize(shlex.split(command)[1:]))  # ends the program where it is wrong
    assert main(shlex.split(judging[0])[1:]) == 0
    assert "1 contradicted of 1 claims." in capsys.readouterr().out


def test_without_runs_the_next_step_is_said(tmp_path, monkeypatch, capsys):
    """In a copy of the repository its own records, elsewhere the suite that the claims are about."""
    monkeypatch.chdir(tmp_path)
    assert main(["claims", "ip_irm_knn"]) == 2
    line = capsys.readouterr().err
    assert "`bench run --suite cpu/claims --out results/runs` makes them" in line
    assert "results/claims" not in line
    Path("results/claims/records").mkdir(parents=True)
    assert main(["claims", "ip_irm_knn"]) == 2
    assert "`--out results/claims/records` takes those of this repository" in capsys.readouterr().err


def test_an_unknown_claim_and_a_folder_without_runs(tmp_path, capsys):
    assert main(["claims", "ip_irm_knm"]) == 2
    assert "ip_irm_knn" in capsys.readouterr().err
    assert main(["claims", "--out", str(tmp_path)]) == 2
