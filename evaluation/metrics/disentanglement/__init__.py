"""Whether single codes carry single ground-truth factors: DCI, MIG, SAP, modularity, IRS, FactorVAE, beta-VAE.

Codes are float [N, D], factors int [N, F] (the values' names don't matter, except where `sap` is told that they are
numbers). The figures are those of disentanglement_lib (Locatello et al. 2019), without its faults: active codes are
counted, constant codes don't reach a division by their deviation, and a representation in which no code is active is
undefined, not 0. All of these raise

    ValueError: wrong shapes (both named), or factors that are not integers;
    MetricUndefined: empty or non-finite codes, no code that varies, a factor with a single value in the sample that
        the metric learns from, or fewer codes or factors than the metric compares (two, where it compares).

The study's sample sizes are 10 000 points to learn from and 5 000 to test. Trees (`dci`) and single-code classifiers
(discrete `sap`) cost time in proportion to codes x factors: with 512 codes a caller may want a smaller sample.
"""

from disentangle_bench.evaluation.metrics.disentanglement.beta_vae import beta_vae, sample_pairs
from disentangle_bench.evaluation.metrics.disentanglement.dci import dci, dci_from_importance
from disentangle_bench.evaluation.metrics.disentanglement.factor_vae import factor_vae, factor_vae_votes, sample_votes
from disentangle_bench.evaluation.metrics.disentanglement.irs import irs, irs_matrix
from disentangle_bench.evaluation.metrics.disentanglement.mig import discretize, mig, mutual_information
from disentangle_bench.evaluation.metrics.disentanglement.modularity import modularity_explicitness
from disentangle_bench.evaluation.metrics.disentanglement.sap import sap, sap_matrix

__all__ = [
    "beta_vae",
    "dci",
    "dci_from_importance",
    "discretize",
    "factor_vae",
    "factor_vae_votes",
    "irs",
    "irs_matrix",
    "mig",
    "modularity_explicitness",
    "mutual_information",
    "sample_pairs",
    "sample_votes",
    "sap",
    "sap_matrix",
]
