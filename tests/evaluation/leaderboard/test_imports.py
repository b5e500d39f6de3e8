"""What the command line pays for: records cost nothing, tables no plotting and no torch."""

import subprocess
import sys

import pytest

HEAVY = {"torch", "scipy", "sklearn", "matplotlib", "statsmodels", "jinja2", "PIL"}


@pytest.mark.parametrize(
    ("module", "spared"), [("records", HEAVY | {"numpy", "pandas"}), ("leaderboard.summary", HEAVY)]
)
def test_importing_is_cheap(module, spared):
    code = f"import sys, disentangle_bench.evaluation.{module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout.split()
    assert not spared & set(loaded)
    assert f"disentangle_bench.evaluation.{module}" in loaded
