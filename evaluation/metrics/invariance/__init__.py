"""How much of what should not matter is in the features: leakage, alignment, uniformity, transforms, fairness."""

from disentangle_bench.evaluation.metrics.invariance.alignment import alignment, distances
from disentangle_bench.evaluation.metrics.invariance.leakage import domain_leakage
from disentangle_bench.evaluation.metrics.invariance.transforms import closeness, similarity, transform_invariance
from disentangle_bench.evaluation.metrics.invariance.uniformity import uniformity

__all__ = ["alignment", "closeness", "distances", "domain_leakage", "similarity", "transform_invariance", "uniformity"]
