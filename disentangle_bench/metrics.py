"""The metrics as torchmetrics classes, for a loop of your own: `update(features, targets)` with the rows of each batch,
`compute()` at the end.

    from disentangle_bench.metrics import DCI, DomainLeakage
"""

from disentangle_bench.evaluation.metrics.torchmetrics import *  # noqa: F403
from disentangle_bench.evaluation.metrics.torchmetrics import __all__ as __all__
