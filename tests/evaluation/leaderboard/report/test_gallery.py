"""Pictures of one run."""

import numpy as np
import pytest

from disentangle_bench.evaluation.leaderboard.report import gallery
from disentangle_bench.evaluation.leaderboard.report.output import Output
from disentangle_bench.evaluation.outcomes import FILE, Measured, Outcomes, write_outcomes


@pytest.mark.parametrize(
    ("predicted", "drawn"),
    [([0, 1, 1], True), ([0, 1], False), ([0, 1, -1], False), ([[0, 1, 1]], False), ([0, 1, 60], False)],
)
def test_a_confusion_matrix_is_drawn_of_outcomes_that_fit_together(predicted, drawn, tmp_path):
    """What somebody else has made may hold others; `bench verify` says so."""
    found = Outcomes()
    ids = {"predicted": np.array(predicted), "labels": np.array([0, 1, 0])}
    found.add("linear@1", "features", "class", Measured({}, ids=ids))
    write_outcomes(tmp_path / FILE, found)
    with Output(tmp_path / "report") as out:
        made = gallery.build(tmp_path, "digits", "simclr", 0, out)
    assert [picture.title for picture in made.pictures] == ["Confusions of class in features"] * drawn
    assert any(line.startswith("Confusion matrix: no outcomes") for line in made.missing) != drawn
