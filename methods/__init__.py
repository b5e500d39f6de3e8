"""Methods: one LightningModule a name, all over the same encoder, views and budget.

A new method is one file, here or in `field/`, and one line in `BUILT_IN`; from outside the package, the decorator
`register` or an entry point of the group `disentangle_bench.methods`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from disentangle_bench.registry import Registry

if TYPE_CHECKING:
    from disentangle_bench.methods.base import Method

BUILT_IN = {
    "simclr": "simclr:SimCLR",
    "ip_irm": "ip_irm:IPIRM",
    "style_blocks": "style_blocks:StyleBlocks",
    "domain_contrastive": "domain_contrastive:DomainContrastive",
    "contrastive_clustering": "contrastive_clustering:ContrastiveClustering",
    "vicreg": "vicreg:VICReg",
    "barlow_twins": "barlow_twins:BarlowTwins",
    "supervised": "supervised:Supervised",
    "byol": "field.byol:BYOL",
    "simsiam": "field.simsiam:SimSiam",
    "moco": "field.moco:MoCo",
    "swav": "field.swav:SwAV",
    "dino": "field.dino:DINO",
    "looc": "field.looc:LooC",
    "augself": "field.augself:AugSelf",
    "cc": "field.cc:CC",
    "odr": "field.odr:ODR",
    "beta_vae": "field.beta_vae:BetaVAE",
    "factor_vae": "field.factor_vae:FactorVAE",
    "random_init": "random_init:RandomInit",
    "pixels": "pixels:Pixels",
}
_registry: Registry[Method] = Registry("method", "disentangle_bench.methods", "base:Method", BUILT_IN)
register, available, find = _registry.register, _registry.available, _registry.find
attribute = _registry.attribute


def build(name: str, *, image_shape: tuple[int, int, int], data: dict[str, Any], **options: Any) -> Method:
    """Make the method `name`; `options` are the arguments of its class, `data` is `datamodule.describe()`.

    Its initial weights depend on the option `seed` alone, not on torch's global stream. `data` may say less, or nothing
    (`{}`), where the method needs no more, see `methods.base.Method`.

    Raises:
        LookupError: there is no such method.
        ValueError: an option is wrong, or `data` lacks what the method needs, such as labels that it trains with.
    """
    import torch

    from disentangle_bench.methods.base import stream_seed

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(options.get("seed", 0), "weights"))
        return find(name)(image_shape=image_shape, data=data, **options)
