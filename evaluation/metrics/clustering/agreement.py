"""Agreement of a grouping with labels: NMI, ARI, AMI and matched accuracy."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.stats import entropy
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix, expected_mutual_information

from disentangle_bench.evaluation.metrics.arrays import check_integers
from disentangle_bench.evaluation.metrics.errors import MetricUndefined

Ints = NDArray[np.int64]


def cluster_scores(labels: Any, clusters: Any) -> dict[str, float]:
    """Agreement of a grouping with labels; only who shares a group counts, not what the groups are called.

    Args:
        labels: int [N], any values.
        clusters: int [N], any values; their number may differ from the number of labels.

    Returns:
        nmi: mutual information over the arithmetic mean of both entropies, in [0, 1].
        ari: Rand index, adjusted: 0 for chance, 1 for equal groups; may be negative.
        ami: mutual information, adjusted in the same way (arithmetic mean).
        acc: share of samples whose cluster is the one matched with their label, under the best one-to-one
            matching (Hungarian algorithm on the rectangular table); clusters left over match nothing.

    Raises:
        ValueError: shapes that differ or are not [N], or values that are not integers.
        MetricUndefined: no samples, or labels of one kind only (nothing to agree with).
    """
    truth, groups = check_integers(labels, "labels"), check_integers(clusters, "clusters")
    if truth.shape != groups.shape or truth.ndim != 1:
        raise ValueError(f"labels has shape {truth.shape} but clusters {groups.shape}: both must be [N]")
    if len(np.unique(truth)) < 2:
        raise MetricUndefined(f"clustering scores need two labels or more, got {len(np.unique(truth))}")
    return {
        "nmi": float(normalized_mutual_info_score(truth, groups, average_method="arithmetic")),
        "ari": float(adjusted_rand_score(truth, groups)),
        "acc": float(matched(truth, groups).mean()),
        "ami": float(adjusted_mutual_info_score(truth, groups, average_method="arithmetic")),
    }


def matched(labels: Ints, clusters: Ints) -> NDArray[np.bool_]:
    """Whether each sample lies in the cluster that the best one-to-one matching assigns to its label, bool [N]."""
    truth, groups, table = _contingency(labels, clusters)
    partner = np.full(len(table), -1)
    rows, columns = linear_sum_assignment(table, maximize=True)
    partner[rows] = columns
    return partner[truth] == groups


def nmi_terms(labels: Ints, clusters: Ints) -> NDArray[np.float64]:
    """Terms of the NMI by sample, float64 [N], whose mean it is.

    The NMI is a function of the shares p_ij of the table of labels and clusters; a sample in cell (i, j) moves it along
    (delta_ij - p), and a term is the NMI and that first-order move (the influence curve; Hampel, J. Am. Stat. Assoc.
    1974). Their variance over N is that of the NMI over other samples, for the clusters as they are; it is
    somewhat too small where many cells of the table hold few samples, since it is of first order.

    Args:
        labels: int [N], of two kinds or more.
        clusters: int [N], any values.
    """
    truth, groups, table = _contingency(labels, clusters)
    p = table / len(truth)
    rows, columns = p.sum(axis=1), p.sum(axis=0)
    told = np.log(np.where(p > 0, p, 1) / np.outer(rows, columns))
    surprise = -(np.log(rows)[:, None] + np.log(columns)) / 2
    information, mean = (p * told).sum(), (p * surprise).sum()
    nmi = information / mean
    terms = nmi + (told - information - nmi * (surprise - mean)) / mean
    return np.asarray(terms[truth, groups])


def _contingency(labels: Ints, clusters: Ints) -> tuple[Ints, Ints, Ints]:
    """Rows [N] and columns [N] of samples in the contingency table of labels and clusters, and its counts [L, K]."""
    kinds, truth = np.unique(labels, return_inverse=True)
    names, groups = np.unique(clusters, return_inverse=True)
    counts = np.bincount(truth * len(names) + groups, minlength=len(kinds) * len(names))
    return truth, groups, counts.reshape(len(kinds), len(names))


def chance_nmi(labels: Ints, clusters: Ints) -> float:
    """NMI that groups of these sizes have with the labels by chance: its mean over all permutations (Vinh et al. 2010).

    The entropies stay under a permutation, so it is the expected mutual information over their arithmetic mean.
    """
    table = contingency_matrix(labels, clusters, sparse=True)
    sizes = [np.asarray(table.sum(axis=axis)).ravel() for axis in (0, 1)]
    mean = float(np.mean([entropy(size) for size in sizes]))
    return float(expected_mutual_information(table, len(labels)) / mean) if mean > 0 else 0.0
