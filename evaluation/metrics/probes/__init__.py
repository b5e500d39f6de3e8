"""What can be read off frozen features: linear, nearest-neighbour, MLP and ridge probes, informativeness.

Every class probe scores the test set once, after all choices are made, and returns fractions, not percent.
"""

from disentangle_bench.evaluation.metrics.probes.informative import informativeness
from disentangle_bench.evaluation.metrics.probes.knn import knn, knn_scores
from disentangle_bench.evaluation.metrics.probes.linear import L2_GRID, Design, LinearProbe, fit_linear, linear_probe
from disentangle_bench.evaluation.metrics.probes.mlp import mlp_answers, mlp_probe
from disentangle_bench.evaluation.metrics.probes.ridge import explained, ridge_probe
from disentangle_bench.evaluation.metrics.probes.scoring import scores_of

__all__ = [
    "L2_GRID",
    "Design",
    "LinearProbe",
    "explained",
    "fit_linear",
    "informativeness",
    "knn",
    "knn_scores",
    "linear_probe",
    "mlp_answers",
    "mlp_probe",
    "ridge_probe",
    "scores_of",
]
