"""Multinomial logistic regression for a path of L2 strengths, on features that may fill a good part of memory.

The objective for N standardised rows x_i, weights W [K, D] and biases b is

    f(W, b) = sum_i v_i (-log softmax(W x_i + b)[y_i]) + (l2 / 2) ||W||^2,

with weights v_i that sum to 1 (1/N where none are given: scikit-learn's objective with C = 1 / (l2 N) for three
classes or more). It is minimised by L-BFGS in the coordinates
U = W P^-1, with P = (c S + l2 I)^(-1/2), S the covariance of the features and c the mean of p(1 - p) at the start:
there the curvature is close to one in every direction, so some ten evaluations of f do for most strengths. One copy
of the features is held, in float32; the products with it are float32, what is summed over many rows is float64, and
every sum has one order, whatever the number of threads.
"""

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from disentangle_bench.evaluation.metrics.arrays import ROWS, Array, one_thread

CHUNK = 2048
"""Rows whose contributions to the gradient are added in float32."""
LOGITS = 2**25
"""Logits held at a time."""


class Standardizer:
    """(x - mean) / std by column, with the biased std; a column that doesn't vary is divided by 1."""

    def __init__(self, parts: Sequence[Array], device: torch.device):
        rows = sum(len(part) for part in parts)
        self.device = device
        self.mean = sum(part.sum(axis=0, dtype=np.float64) for part in parts) / rows
        square = np.zeros_like(self.mean)
        for part in parts:
            for start in range(0, len(part), ROWS):
                square += ((part[start : start + ROWS] - self.mean) ** 2).sum(axis=0)
        std = np.sqrt(square / rows)
        self.scale = np.where(std > np.finfo(np.float32).eps * np.abs(self.mean), std, 1.0)

    def __call__(self, x: Array, rows: Array | None = None, out: Tensor | None = None) -> Tensor:
        """Standardise x[rows], or all of x, into `out` or a new tensor: float32, on the device."""
        count = len(x) if rows is None else len(rows)
        if out is None:
            out = torch.empty((count, x.shape[1]), dtype=torch.float32, device=self.device)
        for start in range(0, count, ROWS):
            window = slice(start, start + ROWS)
            block = (x[window if rows is None else rows[window]] - self.mean) / self.scale
            out[window] = torch.from_numpy(block.astype(np.float32))
        return out


class Axes:
    """Principal axes of features: coordinates in which the curvature of the objective is nearly diagonal.

    With more features than rows, the minimum lies in the span of the rows: `reduce` then expresses the features in an
    orthonormal basis of it, which changes neither the objective nor its minimum, and makes it far cheaper.

    Args:
        x: standardised float32 features [N, D].
    """

    def __init__(self, x: Tensor):
        self.span: Tensor | None = None
        self.basis: Tensor | None = None
        with one_thread():
            if x.shape[1] > len(x):
                rows = x.double()
                values, vectors = torch.linalg.eigh(rows @ rows.T)
                kept = values > values[-1] * len(x) * torch.finfo(torch.float64).eps
                self.span = rows.T @ (vectors[:, kept] / values[kept].sqrt())
                self.spectrum = values[kept] / len(x)
            else:
                sample = x[:: max(1, len(x) // (16 * x.shape[1]))]  # enough rows for a preconditioner
                values, self.basis = torch.linalg.eigh((sample.T @ sample).double() / len(sample))
                self.spectrum = values.clamp(min=0)

    def reduce(self, x: Tensor) -> Tensor:
        """Features [N, D] in the basis of the span [N, r], or as they are where D <= N."""
        return x if self.span is None else (x.double() @ self.span).float()

    def restore(self, weight: Tensor) -> Tensor:
        """Weights [K, r] of reduced features as weights [K, D] of the features."""
        return weight if self.span is None else weight @ self.span.T

    def turn(self, weight: Tensor) -> Tensor:
        """Weights of features (reduced ones, if they are) as weights of principal components."""
        return weight if self.basis is None else weight @ self.basis

    def turn_back(self, weight: Tensor) -> Tensor:
        """The inverse of `turn`."""
        return weight if self.basis is None else weight @ self.basis.T


class SoftmaxRegression:
    """The problem of one data set; `search` and `minimum` solve it for one strength.

    Args:
        x: standardised, reduced float32 features [N, D].
        y: int64 classes [N] in [0, num_classes), every class present or not.
        num_classes: K.
        axes: of the features.
        weights: of the rows [N], zero or more, whatever their sum; None: all equal.
    """

    def __init__(self, x: Tensor, y: Tensor, num_classes: int, axes: Axes, weights: Tensor | None = None):
        self.x, self.y, self.num_classes, self.axes = x, y, num_classes, axes
        self.weights = None if weights is None else weights.double() * (len(x) / weights.sum(dtype=torch.float64))

    def start(self) -> tuple[Tensor, Tensor]:
        """Zero weights [K, D] and biases [K], float64."""
        weight = torch.zeros(self.num_classes, self.x.shape[1], dtype=torch.float64, device=self.x.device)
        return weight, torch.zeros_like(weight[:, 0])

    def loss(self, weight: Tensor, bias: Tensor) -> tuple[float, Tensor, Tensor, float]:
        """Weighted mean of the negative log-likelihood, its gradient by weight and bias, and the mean of p(1 - p)."""
        n, (k, d) = len(self.x), weight.shape
        total, spread = 0.0, 0.0
        grad_weight, grad_bias = torch.zeros_like(weight), torch.zeros_like(bias)
        block = max(1, LOGITS // (k * CHUNK)) * CHUNK
        for first in range(0, n, block):
            x, y = self.x[first : first + block], self.y[first : first + block, None]
            logits = torch.addmm(bias.float(), x, weight.float().T)
            logits -= logits.amax(dim=1, keepdim=True)
            target = logits.gather(1, y)
            p = logits.clamp_(min=-60.0).exp_()  # no denormal numbers: they slow the products tenfold
            own = p.gather(1, y)
            # 1 - p[y] and -log p[y] from the other classes, or float32 loses them where p[y] is close to 1
            others = p.scatter_(1, y, 0.0).sum(dim=1, keepdim=True)
            loss = (others / own).log1p() + own.log() - target
            norm = own + others
            p /= norm
            miss = others / norm
            spread += (miss * own / norm).sum(dtype=torch.float64).item()
            spread += (p.sum(dtype=torch.float64) - (p * p).sum(dtype=torch.float64)).item()
            p.scatter_(1, y, -miss)
            if self.weights is not None:
                share = self.weights[first : first + block, None]
                loss, p = loss * share, p * share.float()
            total += loss.sum(dtype=torch.float64).item()
            whole = len(x) // CHUNK * CHUNK if len(x) >= 2 * CHUNK else 0
            products = torch.bmm(p[:whole].view(-1, CHUNK, k).transpose(1, 2), x[:whole].view(-1, CHUNK, d))
            grad_weight += products.sum(dim=0, dtype=torch.float64)
            with one_thread():  # a single product is otherwise cut along the rows, differently for each number
                grad_weight += (p[whole:].T @ x[whole:]).double()
            grad_bias += p.sum(dim=0, dtype=torch.float64)
        return total / n, grad_weight / n, grad_bias / n, spread / (n * k)

    def minimum(self, l2: float, start: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Minimise f from `start` as far as float32 goes: search again in new coordinates while c more than halves."""
        curvature = self.loss(*start)[3]
        while True:
            start = self.search(l2, start, gtol=1e-5, ftol=1e-11)
            before, curvature = curvature, self.loss(*start)[3]
            if curvature > before / 2 or curvature < 1e-9:
                return start

    def search(self, l2: float, start: tuple[Tensor, Tensor], *, gtol: float, ftol: float) -> tuple[Tensor, Tensor]:
        """Minimise f from `start`, a weight and a bias.

        `gtol` bounds the largest entry of the gradient in the coordinates U, `ftol` the decrease of f in a step,
        relative where f is above 1: either ends the search.
        """
        weight, bias = start
        k, d = weight.shape
        curvature = max(self.loss(weight, bias)[3], 1e-9)
        scale = (curvature * self.axes.spectrum + l2).rsqrt()
        bias_scale = curvature**-0.5

        def unpack(u: np.ndarray) -> tuple[Tensor, Tensor]:
            point = torch.from_numpy(u).to(self.x.device)
            return self.axes.turn_back(point[: k * d].view(k, d) * scale), point[k * d :] * bias_scale

        def objective(u: np.ndarray) -> tuple[float, np.ndarray]:
            weight, bias = unpack(u)
            value, grad_weight, grad_bias, _ = self.loss(weight, bias)
            value += l2 / 2 * (weight * weight).sum().item()
            turned = self.axes.turn(grad_weight + l2 * weight) * scale
            return value, torch.cat([turned.flatten(), grad_bias * bias_scale]).cpu().numpy()

        u = torch.cat([(self.axes.turn(weight) / scale).flatten(), bias / bias_scale]).cpu().numpy()
        options = {"maxiter": 2000, "maxfun": 4000, "maxcor": 20, "gtol": gtol, "ftol": ftol}
        result = minimize(objective, u, jac=True, method="L-BFGS-B", options=options)
        if result.status == 1:
            warnings.warn(f"logistic regression (l2 {l2:.1e}) not converged: {result.message}", stacklevel=2)
        return unpack(result.x)
