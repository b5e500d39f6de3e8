"""The metrics as torchmetrics classes: update with the rows of each batch, compute when the split is complete.

Programs import them from `disentangle_bench.metrics`. Each class gives the figures of the function that its docstring
names, on the rows of all processes: states are lists that a process group concatenates. What torchmetrics has itself
is not wrapped: `torchmetrics.classification` has accuracy and `MulticlassCalibrationError`.
"""

from disentangle_bench.evaluation.metrics.torchmetrics.base import RowMetric
from disentangle_bench.evaluation.metrics.torchmetrics.disentanglement import (
    DCI,
    IRS,
    MIG,
    SAP,
    BetaVAEScore,
    FactorVAEScore,
    Modularity,
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
    ClusterScores,
    EffectiveRank,
    IntrinsicQuality,
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
    "ClusterScores",
    "CrossDomainRetrieval",
    "DomainLeakage",
    "EffectiveRank",
    "FactorVAEScore",
    "Informativeness",
    "IntrinsicQuality",
    "KNNProbe",
    "LinearProbe",
    "MLPProbe",
    "Modularity",
    "RidgeProbe",
    "RowMetric",
    "Silhouette",
    "TransformInvariance",
    "Uniformity",
]
