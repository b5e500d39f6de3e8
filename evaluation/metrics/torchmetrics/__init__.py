"""The metrics as torchmetrics classes: update with the rows of each batch, compute when the split is complete.

Each class gives the figures of the function that its docstring names, on the rows of all processes: states are lists
that a process group concatenates. What torchmetrics has itself is not wrapped: `torchmetrics.clustering` has
`NormalizedMutualInfoScore`, `AdjustedRandScore` and `AdjustedMutualInfoScore` (the figures of `cluster_scores`),
`torchmetrics.classification` accuracy and `MulticlassCalibrationError`.
"""

from disentangle_bench.evaluation.metrics.torchmetrics.base import RowMetric
from disentangle_bench.evaluation.metrics.torchmetrics.disentanglement import (
    DCI,
    IRS,
    MIG,
    SAP,
    BetaVAEScore,
    FactorVAEScore,
    ModularityExplicitness,
)
from disentangle_bench.evaluation.metrics.torchmetrics.invariance import (
    Alignment,
    CrossDomainRetrieval,
    DomainLeakage,
    TransformInvariance,
)
from disentangle_bench.evaluation.metrics.torchmetrics.probes import (
    Informativeness,
    KNNProbe,
    LinearProbe,
    MLPProbe,
    RidgeProbe,
)
from disentangle_bench.evaluation.metrics.torchmetrics.structure import (
    EffectiveRank,
    IntrinsicQuality,
    KMeansAgreement,
    MatchedAccuracy,
    Silhouette,
    Uniformity,
)

__all__ = [
    "DCI",
    "IRS",
    "MIG",
    "SAP",
    "Alignment",
    "BetaVAEScore",
    "CrossDomainRetrieval",
    "DomainLeakage",
    "EffectiveRank",
    "FactorVAEScore",
    "Informativeness",
    "IntrinsicQuality",
    "KMeansAgreement",
    "KNNProbe",
    "LinearProbe",
    "MLPProbe",
    "MatchedAccuracy",
    "ModularityExplicitness",
    "RidgeProbe",
    "RowMetric",
    "Silhouette",
    "TransformInvariance",
    "Uniformity",
]
