"""What makes two cells the same, and which are left out."""

from dataclasses import replace

import pytest

from benchmarks import commands
from benchmarks.errors import RequestError
from benchmarks.plan import plan


def planned(method, dataset="colored_digits", *settings):
    return plan(commands.choose("smoke", method, dataset, "0", list(settings)))


def test_hash_is_of_what_decides_the_result():
    (cell,) = planned("simclr")
    assert planned("simclr")[0].hash == cell.hash
    for setting in ("simclr.temperature=0.3", "data.split_seed=1", "colored_digits.correlation=0.5", "budget.epochs=2"):
        assert planned("simclr", "colored_digits", setting)[0].hash != cell.hash, setting
    assert replace(cell, seed=1).hash != cell.hash
    assert replace(cell, seed=1).settings == cell.settings


def test_hash_is_not_of_where_data_lie_or_what_is_measured():
    (cell,) = planned("simclr")
    assert replace(cell, data=cell.data | {"root": "/elsewhere", "num_workers": 8}).hash == cell.hash
    assert replace(cell, fingerprint="other data").hash != cell.hash
    assert replace(cell, measures=["knn@1"], suite="other").hash == cell.hash


def test_method_whose_labels_the_data_lack(capsys):
    """Left out of `all` with a word; asked for by name it is a mistake."""
    assert "domain_contrastive" not in {cell.method for cell in planned("all", "digits")}
    assert (
        "left out: domain_contrastive trains with domain labels, which digits does not have" in capsys.readouterr().err
    )
    assert "domain_contrastive" in {cell.method for cell in planned("all")}
    with pytest.raises(RequestError, match="domain labels, which digits does not have"):
        planned("domain_contrastive", "digits")


def test_settings_merge_over_the_suite():
    suite = commands.choose(
        "smoke", None, None, None, ["simclr.augmentation.rotation=10", "simclr.augmentation.flip=0.1"]
    )
    assert suite.settings["simclr"] == {"augmentation": {"rotation": 10, "flip": 0.1}}
    assert suite.settings["method"] == {"backbone": "convnet"}
