"""Each paper's preset names options that its data set and method have, with values that they take."""

import pytest

from disentangle_bench import datamodules, methods
from disentangle_bench.benchmarks.planning import suite
from disentangle_bench.benchmarks.planning.options import resolve

PRESETS = [name for name in suite.names() if name.startswith("paper/")]


def test_there_is_one_a_paper():
    assert {name.removeprefix("paper/") for name in PRESETS} == {
        "ip_irm",
        "style_blocks",
        "domain_contrastive",
        "contrastive_clustering",
    }


@pytest.mark.parametrize("name", PRESETS)
def test_options_exist_and_each_has_a_source(name):
    preset = suite.read(name)
    (method,), (dataset,) = preset.methods, preset.datasets
    assert name == f"paper/{method}"
    assert preset.settings.keys() == {"data", method}
    own = dict(preset.settings[method])
    resolve(datamodules.find(dataset), preset.settings["data"] | own.pop("data", {}), dataset)
    resolve(methods.find(method), own, method)
    lines = (suite.FOLDER / f"{name}.yaml").read_text().split(f"\n  {method}:\n")[1].splitlines()
    bare = [line.strip() for line in lines if not line.rstrip().endswith(":") and "#" not in line]
    assert bare in ([], ["form: simclr"], ["init: timm"])
