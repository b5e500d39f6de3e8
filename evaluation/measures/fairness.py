"""Does a classifier on these features answer alike in every domain?"""

from __future__ import annotations

from disentangle_bench.datamodules.targets import TargetSpec
from disentangle_bench.evaluation.measures.base import CONTENT_BY_DOMAIN, Measure, Score, Space
from disentangle_bench.evaluation.measures.probing import training_head


def fairness(space: Space, content: TargetSpec, domain: TargetSpec, *, least: int = 10) -> dict[str, float]:
    """Gaps between domains in what the linear probe of the training images says of the test images.

    `demographic_parity` is the largest difference in how often it says a class, `equalised_odds` the largest in how
    often it does rightly or wrongly; groups of fewer than `least` images don't count. Small groups differ by chance.
    """
    from disentangle_bench.evaluation.metrics.invariance.fairness import gaps

    predicted = training_head(space, content).predict(space.x["test"])
    y = space.y["test"]
    return gaps(predicted, y[content.name], y[domain.name], num_classes=content.size, least=least)


_GAP = Score("down", 0, 1, "above 0, the more so the smaller the groups", "percent")

MEASURES = (
    Measure(
        name="fairness",
        version=1,
        targets=CONTENT_BY_DOMAIN,
        splits="fit on train, strength picked on val, scored on test",
        source="Hardt et al.: Equality of Opportunity in Supervised Learning (NeurIPS 2016); Calders et al.: Building "
        "Classifiers with Independency Constraints (2009)",
        aspect="domain",
        scores={"demographic_parity": _GAP, "equalised_odds": _GAP},
        run=fairness,
    ),
)
