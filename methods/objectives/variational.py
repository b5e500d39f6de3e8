"""Terms of variational objectives: divergence from a prior, reconstruction, uninformativeness, total correlation.

beta-VAE: Higgins et al. (ICLR 2017); FactorVAE: Kim & Mnih (ICML 2018, arXiv 1802.05983); ODR: Sarhan et al. (ECCV
2020, arXiv 2003.05707). Each function is a mean over the images of one process: nothing is pooled.
"""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from disentangle_bench.methods.objectives.inputs import check_matrix, check_same_shape, prepare


def gaussian_kl(mean: Tensor, log_variance: Tensor, prior_mean: Tensor | float = 0.0) -> Tensor:
    """KL(N(mean, exp log_variance) || N(prior_mean, I)), summed over d, a mean over the batch.

    mean, log_variance: [B, d]; prior_mean: [d] or a number.

    Raises:
        ValueError: shapes differ or aren't [B, d].
    """
    check_matrix("mean", mean)
    check_same_shape(mean=mean, log_variance=log_variance)
    mean, log_variance = prepare(mean, log_variance)
    terms = log_variance.exp() + (mean - prior_mean).square() - 1 - log_variance
    return 0.5 * terms.sum(1).mean()


def cross_entropy_to_uniform(logits: Tensor) -> Tensor:
    """Mean over the batch of -(1/K) sum_k ln softmax(logits)_k, least (ln K) for uniform predictions (ODR's L_E).

    logits: [B, K].

    Raises:
        ValueError: logits isn't [B, K].
    """
    check_matrix("logits", logits)
    (logits,) = prepare(logits)
    return -logits.log_softmax(1).mean()


def bernoulli_nll(logits: Tensor, images: Tensor) -> Tensor:
    """Negative log-likelihood of pixels in [0, 1], summed over an image, a mean over the batch: [B, C, H, W] both.

    Raises:
        ValueError: shapes differ.
    """
    check_same_shape(logits=logits, images=images)
    logits, images = prepare(logits, images)
    return binary_cross_entropy_with_logits(logits, images, reduction="sum") / len(images)


def total_correlation(logits: Tensor) -> Tensor:
    """Estimate of KL(q(z) || prod_j q(z_j)): mean of the discriminator's log-odds that a code is whole (eq. 3).

    logits: [B, 2], of the classes whole and permuted.

    Raises:
        ValueError: logits isn't [B, 2].
    """
    check_matrix("logits", logits)
    if logits.shape[1] != 2:
        raise ValueError(f"logits is {list(logits.shape)} but must be [B, 2]")
    (logits,) = prepare(logits)
    return (logits[:, 0] - logits[:, 1]).mean()


def permute_dimensions(z: Tensor, order: Tensor) -> Tensor:
    """Each dimension taken from another image: result[i, j] = z[order[i, j], j] (1802.05983, algorithm 1).

    z: [N, d]; order: int64 [B, d], B rows of a matrix whose d columns are permutations of the N images.
    """
    return torch.gather(z, 0, order)
