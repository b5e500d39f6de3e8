"""IP-IRM: invariance over learned partitions (Wang et al., NeurIPS 2021, arXiv 2110.15255, section 4).

Minimisation step: `invariant_loss` over the partitions kept so far. Maximisation step: `learn_partition`. Both lay
negatives out in the same way, see `layout`. The MixUp variant's one-directional losses are in `objectives.mixup`.

Left out of the authors' code: `nonorm` (memberships not rescaled, sum divided by 2B), the unrelaxed entropy
constraint (-H instead of relu(0.6365 - H)), the variance mode (variance over subsets instead of the penalty).
Differs from it: an empty subset is left out of the means (there: an error); everything is log-sum-exp (there:
0/0 where one image holds all the weight of a subset).
"""

from disentangle_bench.methods.objectives.ip_irm.minimisation import invariant_loss, irm_penalty
from disentangle_bench.methods.objectives.ip_irm.partition import learn_partition, partition_risk, soft_info_nce

__all__ = ["invariant_loss", "irm_penalty", "learn_partition", "partition_risk", "soft_info_nce"]
