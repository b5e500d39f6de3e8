"""Layout of the logits of two views' similarities: [positive, negatives by increasing row].

Negatives are laid out as in the authors' code: by increasing row of [view 1; view 2], leaving out the anchor
and its positive. Both are the anchor's own image, once a view, so in each view the k-th negative of anchor
image r is image k where k < r and image k + 1 otherwise. Column k is therefore another image in other rows,
and **the penalty depends on the order of the images in the batch** (kept: the published numbers have it).
"""

import torch
from torch import Tensor

from disentangle_bench.methods.objectives.inputs import matmul


def without_own(rows: Tensor) -> Tensor:
    """[..., B, views, B] without each image's own column: [..., B, views, B-1]. A select of two shifted views."""
    image = torch.arange(rows.shape[-1], device=rows.device)
    return torch.where(image[:-1] < image[:, None, None], rows[..., :-1], rows[..., 1:])


def laid_out(z1: Tensor, z2: Tensor) -> Tensor:
    """Similarities of the 2B anchors, [2B, 2B-1]: the positive, then view 1's other images, then view 2's."""
    z = torch.cat([z1, z2])
    similarity = matmul(z, z.T).view(2, len(z1), 2, len(z1))
    positive = similarity[0, :, 1].diagonal().repeat(2)
    return torch.cat([positive[:, None], without_own(similarity).reshape(len(z), -1)], 1)


def column_gradients(logits: Tensor) -> Tensor:
    """d/dw CE(w * logits) at w = 1 of each row and column, the positive being the first: (softmax - [k = 0]) l_k."""
    weighted = logits.softmax(1) * logits
    return torch.cat([weighted[:, :1] - logits[:, :1], weighted[:, 1:]], 1)
