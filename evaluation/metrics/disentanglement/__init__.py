"""Whether single codes carry single ground-truth factors.

DCI, MIG, SAP, modularity, IRS, FactorVAE, beta-VAE, and those made for wide codes: DCI-ES, InfoMEC, MED, and MCC,
whose factors are numbers.

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

from disentangle_bench.evaluation.metrics.disentanglement.beta_vae import beta_vae, beta_vae_of_codes, sample_pairs
from disentangle_bench.evaluation.metrics.disentanglement.dci import dci, dci_from_importance
from disentangle_bench.evaluation.metrics.disentanglement.dci_es import dci_es, explicitness
from disentangle_bench.evaluation.metrics.disentanglement.factor_vae import (
    factor_vae,
    factor_vae_of_codes,
    factor_vae_votes,
    sample_votes,
)
from disentangle_bench.evaluation.metrics.disentanglement.infomec import infomec, normalized_information
from disentangle_bench.evaluation.metrics.disentanglement.irs import irs, irs_matrix
from disentangle_bench.evaluation.metrics.disentanglement.mcc import correlations, mcc
from disentangle_bench.evaluation.metrics.disentanglement.med import best_codes, information_shares, med
from disentangle_bench.evaluation.metrics.disentanglement.mig import discretize, mig, mutual_information
from disentangle_bench.evaluation.metrics.disentanglement.modularity import modularity_explicitness
from disentangle_bench.evaluation.metrics.disentanglement.sap import sap, sap_matrix

__all__ = [
    "best_codes",
    "beta_vae",
    "beta_vae_of_codes",
    "correlations",
    "dci",
    "dci_es",
    "dci_from_importance",
    "discretize",
    "explicitness",
    "factor_vae",
    "factor_vae_of_codes",
    "factor_vae_votes",
    "infomec",
    "information_shares",
    "irs",
    "irs_matrix",
    "mcc",
    "med",
    "mig",
    "modularity_explicitness",
    "mutual_information",
    "normalized_information",
    "sample_pairs",
    "sample_votes",
    "sap",
    "sap_matrix",
]
