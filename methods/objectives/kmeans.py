"""k-means on the features' own device, in pieces: centres of millions of images without a copy to the CPU.

Lloyd (1982) from greedy k-means++ starts (Arthur & Vassilvitskii, 2007). With many images the starts are compared on a
random part of them, 256 a cluster, and only the best one continues with all images.
"""

import math

import torch
from torch import Generator, Tensor

from disentangle_bench.methods.objectives.inputs import check_matrix, matmul, upcast, upload

IMAGES_A_CLUSTER = 256
"""Images a cluster in the random part on which starts are compared."""
PIECE = 1 << 25
"""Distances held at a time: 128 MB in float32."""


def kmeans(
    features: Tensor,
    num_clusters: int,
    generator: Generator,
    *,
    starts: int = 10,
    iterations: int = 300,
    tolerance: float = 1e-4,
) -> Tensor:
    """Centres [K, d] of features [N, d]: those with the least sum of squared distances of several starts.

    A start ends when the centres move by less than `tolerance` of the features' variance, as in scikit-learn. A cluster
    without images is moved to the image farthest from its own centre. Sums are products of matrices, so that on one
    machine the same features and generator give the same centres.

    Args:
        features: any scale; half precision is raised to float32.
        num_clusters: K.
        generator: of the processor.
        starts: number of starts.
        iterations: most iterations of a start.
        tolerance: share of the features' variance, see above.

    Raises:
        ValueError: features aren't [N, d], or fewer than K.
    """
    check_matrix("features", features, min_rows=num_clusters)
    features = upcast(features.detach())
    enough = features.var(0, correction=0).mean() * tolerance
    part, most = features, num_clusters * IMAGES_A_CLUSTER
    if len(features) > most:
        part = features[upload(torch.randperm(len(features), generator=generator)[:most], features.device)]
    tried = [lloyd(part, spread_out(part, num_clusters, generator), iterations, enough) for _ in range(starts)]
    best = tried[int(torch.stack([spread for _, spread in tried]).argmin())][0]
    return best if part is features else lloyd(features, best, iterations, enough)[0]


def spread_out(features: Tensor, num_clusters: int, generator: Generator) -> Tensor:
    """Initial centres by greedy k-means++: K rows [K, d] of features [N, d].

    Each is the best of 2 + log K candidates, the one that leaves the least sum of squared distances; candidates are
    drawn in proportion to the squared distance from the nearest centre so far.
    """
    candidates = 2 + int(math.log(num_clusters))
    draws = upload(torch.rand(num_clusters, candidates, generator=generator, dtype=torch.float64), features.device)
    chosen = (draws[0, :1] * len(features)).long()
    lengths = features.square().sum(1)
    nearest = _squared_distances(features, features[chosen], lengths)[:, 0]
    for draw in draws[1:]:
        total = nearest.double().cumsum(0)
        rows = torch.searchsorted(total, draw * total[-1]).clamp(max=len(features) - 1)
        after = torch.minimum(nearest[:, None], _squared_distances(features, features[rows], lengths))
        best = after.sum(0).argmin()[None]
        chosen, nearest = torch.cat([chosen, rows[best]]), after.index_select(1, best)[:, 0]
    return features[chosen]


def lloyd(features: Tensor, centers: Tensor, iterations: int, enough: Tensor) -> tuple[Tensor, Tensor]:
    """Centres [K, d] after Lloyd's iterations from given ones, and the sum of squared distances before the last.

    Ends when the squared distance that all centres have moved is at most `enough`.
    """
    count, rows = len(centers), max(1, PIECE // len(centers))
    pieces = list(zip(features.split(rows), features.square().sum(1).split(rows), strict=True))
    for _ in range(iterations):
        sums, sizes = torch.zeros_like(centers), centers.new_zeros(count)
        distances = []
        for part, lengths in pieces:
            distance, nearest = _squared_distances(part, centers, lengths).min(1)
            members = part.new_zeros(len(part), count).scatter_(1, nearest[:, None], 1.0)
            sums += matmul(members.T, part)
            sizes += members.sum(0)
            distances.append(distance)
        distance = torch.cat(distances)
        moved = sums / sizes.clamp(min=1)[:, None]
        if empty := int((sizes == 0).sum()):
            moved[sizes == 0] = features[distance.topk(empty).indices]
        step, centers = (moved - centers).square().sum(), moved
        if bool(step <= enough):
            break
    return centers, distance.sum()


def _squared_distances(features: Tensor, centers: Tensor, lengths: Tensor) -> Tensor:
    """[N, K], by products of matrices; `lengths` [N] are the features' squared ones."""
    products = matmul(features, centers.T)
    return products.mul_(-2).add_(lengths[:, None]).add_(centers.square().sum(1)).clamp_(min=0)
