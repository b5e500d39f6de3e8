"""`bench list`: what there is, at once; and all that is known of what is named."""

import subprocess
import sys
from copy import deepcopy

import pytest
import yaml

from disentangle_bench import datamodules, methods
from disentangle_bench.benchmarks.__main__ import main
from disentangle_bench.benchmarks.planning import keys, suite
from disentangle_bench.benchmarks.planning.options import described
from disentangle_bench.registry import NOT_PLAIN, declared

KINDS = ("methods", "datasets", "suites", "measures", "claims", "backbones", "views", "keys")


def shown(capsys, *words: str) -> str:
    """What `bench list` prints, without its line breaks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "1000")
        assert main(["list", *words]) == 0
    return " ".join(capsys.readouterr().out.split())


def test_lists_import_nothing_that_takes_seconds():
    code = "import sys\nfrom disentangle_bench.benchmarks.__main__ import main\n"
    code += f"for kind in {KINDS}: assert main(['list', kind]) == 0\n"
    code += "print(sorted({'torch', 'lightning', 'timm', 'sklearn', 'pandas', 'scipy'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("registry", "attributes"),
    [(methods, ("source", "uses_targets", "primary_space")), (datamodules, ("source", "licence", "mirror_symmetric"))],
)
def test_what_is_read_from_files_is_what_classes_say(registry, attributes):
    for name in registry.available():
        for attribute in attributes:
            assert registry.attribute(name, attribute) == getattr(registry.find(name), attribute), name


def test_what_is_no_plain_value_is_asked_of_the_class_itself():
    assert declared("disentangle_bench.datamodules.datasets.factors.dsprites:DSprites").layout is NOT_PLAIN
    assert datamodules.attribute("dsprites", "layout") == datamodules.find("dsprites").layout
    with pytest.raises(LookupError):
        methods.attribute("nobody", "source")


@pytest.mark.parametrize("width", [60, 80, 100, 200])
@pytest.mark.parametrize("kind", KINDS)
def test_lines_fit_and_addresses_stay_whole(kind, width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(["list", kind]) == 0
    printed = capsys.readouterr().out
    if width >= 80:
        assert max(map(len, printed.splitlines())) <= width


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize(("kind", "name"), [("methods", "beta_vae"), ("datasets", "dsprites"), ("measures", "leakage")])
def test_a_card_has_the_width_for_its_words_and_addresses_stay_whole(kind, name, width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(["list", kind, name]) == 0
    lines = capsys.readouterr().out.splitlines()
    if name == "dsprites":
        assert any("https://github.com/google-deepmind/dsprites-dataset" in line for line in lines)
    if name == "beta_vae":
        (place,) = [k for k, line in enumerate(lines) if line.startswith("stem (auto | small | imagenet")]
        help_of = next(one.help for one in described(methods.find("beta_vae")) if one.name == "stem")
        end = next(k for k, line in enumerate(lines[place + 1 :], place + 1) if line.startswith("init ("))
        told = [line for line in lines[place + 1 : end] if line.startswith("    ")]
        assert " ".join(" ".join(told).split()) == help_of
        assert len(told) <= len(help_of) // (width - 16) + 1, "an explanation has nearly the whole width"
    if width >= 80:
        assert max(len(line) for line in lines if "://" not in line) <= width


def test_the_card_of_a_method(capsys):
    told = shown(capsys, "methods", "simclr,ip_irm")
    for words in (
        "Contrastive learning of representations",
        "labels seen none",
        "spaces `features` [B, d] and `projection`",
        "judged by its space features",
        "temperature (float >0; default: 0.2) tau of the loss.",
        "options, set by --set simclr.OPTION=VALUE",
        "options, set by --set method.OPTION=VALUE; None is written null",
        "optimizer (sgd | adam | adamw | lars; default: adamw) sgd (with plain momentum)",
        "claims bench list claims ip_irm",
    ):
        assert words in told, words
    assert told.index("ip_irm") > told.index("options, set by --set method.OPTION=VALUE")


def test_the_card_of_a_data_set(capsys, monkeypatch, tmp_path):
    told = shown(capsys, "datasets", "colored_digits")
    for words in ("licence CC BY 4.0", "splits train 1293", "color domain class 10", "class content class 10"):
        assert words in told, words
    monkeypatch.setenv("DISENTANGLE_BENCH_DATA", str(tmp_path))
    absent = shown(capsys, "datasets", "shapes3d")
    assert f"splits, targets known once its files are there (not in {tmp_path}/shapes3d; data.root names" in absent
    assert "files 3dshapes.h5" in absent
    assert "cannot be reached" not in shown(capsys, "datasets", "stl10")  # a card asks no network: it downloads nothing


def test_the_card_of_a_suite(capsys):
    told = shown(capsys, "suites", "quick")
    for words in (
        "about 5 minutes",
        "seeds 0, 1, 2",
        "budget 400 steps",
        "cells 30: 10 methods x 1 data set x 3 seeds",
        'domain_contrastive data={"balance": "domain"}',
    ):
        assert words in told, words
    told = shown(capsys, "suites", "paper/ip_irm")
    assert "IP-IRM + MixUp (1000 epochs) ip_irm stl10 mixup=true" in told
    assert "data sets" not in told, "it is made of rows"


def test_the_cards_of_measures_claims_backbones_and_views(capsys):
    assert shown(capsys, "metrics", "knn") == shown(capsys, "measures", "knn@1")
    assert "ip_irm above simclr at the same temperature, in linear@1 top1" in shown(capsys, "claims", "ip_irm_shift")
    assert "parameters 0.39 M" in shown(capsys, "backbones", "convnet")
    told = shown(capsys, "views", "augmentation")
    assert "options, set by --set method.augmentation.OPTION=VALUE" in told
    assert "crop_scale (tuple[float, float]; default: [0.2, 1.0])" in told, "as --set takes it"


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_name_is_one_line(kind, capsys):
    assert main(["list", kind, "nobodys"]) == 2
    error = capsys.readouterr().err
    assert "nobodys" in error
    assert error.count("\n") == 1


def test_every_key_of_a_suite_is_explained_by_an_example_that_is_right():
    whole: dict = {"datasets": ["digits"], "name": "mine"}
    for key in keys.every_key():
        assert key.help, key
        assert key.type, key
        place, value = whole, yaml.safe_load(key.example)
        *path, last = key.name.split(".")
        for part in path:
            place = place.setdefault(part.removesuffix("[]"), [{}] if part.endswith("[]") else {})
            place = place[0] if isinstance(place, list) else place
        place[last] = value
    assert {one.name.partition(".")[0].removesuffix("[]") for one in keys.every_key()} == {*whole} - {"name"}
    for unit in ("epochs", "steps", "minutes"):  # one at a time
        suite._typed(deepcopy(whole | {"budget": {unit: whole["budget"][unit]}}))
    assert {one.name for one in described(suite.Suite)} - {"name", "experiments"} < {
        one.name for one in keys.every_key()
    }


def test_a_key_and_a_part_of_a_suite_are_shown(capsys):
    told = shown(capsys, "keys", "seeds,resources")
    assert "what it says one run each of every method on every data set." in told
    assert "default [0] example [0, 1, 2]" in told
    assert "resources.partition" in told
    assert "budget" not in told


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("epochs: 3", "unknown key 'epochs': it belongs under `budget`, budget: {epochs: VALUE}. Known are budget, "),
        (
            "seds: [0]",
            "unknown key 'seds': did you mean seeds or threads or methods? Known are budget, datasets, description, ",
        ),
        ("zzz: 1", "unknown key 'zzz': known are budget, datasets, description"),
    ],
)
def test_an_unknown_key_is_told_with_those_that_there_are(line, message, tmp_path, capsys):
    file = tmp_path / "mine.yaml"
    file.write_text(f"datasets: [digits]\nmeasures: [linear@1]\nbudget: {{steps: 1}}\n{line}\n")
    assert main(["run", "--suite", str(file), "--dry-run"]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.endswith("tuned; `bench list keys` explains them\n")
    assert told.count("\n") == 1
