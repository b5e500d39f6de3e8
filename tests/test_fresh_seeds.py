"""Means of other seeds beside the intervals of a board."""

import pytest

from tests.evaluation.leaderboard.conftest import at, make_record
from tools.fresh_seeds import beside, figures


def test_the_mean_of_other_seeds_is_inside_or_it_is_not():
    def runs(seeds, **of_method):
        pairs = [(method, seed) for method in of_method for seed in seeds]
        return figures(at([make_record(method=m, seed=s, top1=of_method[m] + 0.01 * (s % 3)) for m, s in pairs]))

    board = runs(range(3), simclr=0.5, vicreg=0.7, moco=0.6, swav=0.6)
    found = beside(board, runs((6, 7), simclr=0.51, vicreg=0.75, moco=0.55)).reset_index("method").set_index("method")
    assert found["inside"].to_dict() == {"simclr": True, "vicreg": False, "moco": False}
    assert found["fresh"].to_dict() == pytest.approx({"simclr": 0.515, "vicreg": 0.755, "moco": 0.555})
    assert found["mean"].to_dict() == pytest.approx({"simclr": 0.51, "vicreg": 0.71, "moco": 0.61})
    with pytest.raises(ValueError, match="seed 2 is the board's own"):
        beside(board, runs((2, 5), simclr=0.5))
