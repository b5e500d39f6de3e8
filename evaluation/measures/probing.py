"""Linear heads that several measures share, each fitted once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from disentangle_bench.datamodules.targets import TargetSpec
from disentangle_bench.evaluation.measures.base import Space
from disentangle_bench.evaluation.metrics.errors import MetricUndefined

if TYPE_CHECKING:  # tables read measures too, and should not wait for torch
    from disentangle_bench.evaluation.metrics.probes import Design, LinearProbe


UNKNOWN = 0.01
"""Share of the test images that may have a value that no probe image has; they count as errors."""


def training_head(space: Space, target: TargetSpec) -> LinearProbe:
    """The linear head as it would be used: fitted on train, picked on val, refitted on both."""
    x, y = space.x, space.labels(target)

    def fit() -> LinearProbe:
        from disentangle_bench.evaluation.metrics.probes import Design

        design = space.cached("train design", lambda: Design.of(x["train"], x["val"]))
        return design.classifier(np.concatenate([y["train"], y["val"]]), num_classes=target.size)

    return space.cached(("training head", target.name), fit)


def probe_design(space: Space) -> Design:
    """The features of the splits in which content and domain are independent, ready for any head."""
    space.need_probe()

    def make() -> Design:
        from disentangle_bench.evaluation.metrics.probes import Design

        return Design.of(space.x["probe"], space.x["probe_val"])

    return space.cached("probe design", make)


def probe_weights(space: Space) -> np.ndarray | None:
    """Weights of the design's rows, or None."""
    from disentangle_bench.evaluation.metrics.probes.scoring import joint_weights

    fit, val = space.weigh("probe"), space.weigh("probe_val")
    return joint_weights(fit, val, len(space.x["probe"]), len(space.x["probe_val"]))


def probe_labels(space: Space, target: TargetSpec) -> np.ndarray:
    """A target's values for the design's rows."""
    y = space.labels(target)
    return np.concatenate([y["probe"], y["probe_val"]])


def share_unknown(space: Space, target: TargetSpec) -> float:
    """Share of the test images whose value of a target with classes no image of probe has; those of no weight aside."""
    y = space.labels(target)
    weights = {split: space.weigh(split) for split in ("probe", "test")}
    seen = y["probe"] if weights["probe"] is None else y["probe"][weights["probe"] > 0]
    return float(np.average(~np.isin(y["test"], seen), weights=weights["test"]))


def need_known(space: Space, target: TargetSpec) -> None:
    """MetricUndefined where more than `UNKNOWN` of the test values can't be learnt on probe, whatever a space holds."""
    if (unknown := share_unknown(space, target)) > UNKNOWN:
        raise MetricUndefined(f"{unknown:.0%} of the test images have a {target.name} that no image of probe has")


def independent_head(space: Space, target: TargetSpec) -> LinearProbe:
    """The linear head that knows nothing of the training split's correlation: fitted on probe, picked on probe_val."""
    design = probe_design(space)

    def fit() -> LinearProbe:
        from disentangle_bench.evaluation.metrics.probes.linear import COARSE_GRID

        return design.classifier(
            probe_labels(space, target),
            num_classes=target.size,
            l2_grid=COARSE_GRID,
            weights=probe_weights(space),
            refit=False,
        )

    return space.cached(("independent head", target.name), fit)
