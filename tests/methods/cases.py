"""Every method in each of its forms, for tests of what a training step asks of a device."""

from typing import Any

from disentangle_bench.methods.field.augself import TASKS
from disentangle_bench.methods.views import Augmentation

AUGMENTATION = Augmentation(rotation=10.0, flip=0.5, blur_p=0.5, solarize_p=0.2)
RECONSTRUCTION = {"reconstruction": True, "perceptual": "none", "generator_channels": 8}
CASES: dict[str, tuple[dict[str, Any], int]] = {  # options, and copies to the device in a step
    "simclr": ({}, 1),
    "vicreg": ({}, 1),
    "barlow_twins": ({}, 1),
    "supervised": ({}, 1),
    "ip_irm": ({}, 2),  # views; rows of all subsets
    "ip_irm-mixup": ({"mixup": True, "num_subsets": 3}, 10),  # views; partner, share and rows of three mixtures
    "style_blocks": ({"separate_style": True, "trim": 0.1}, 1),
    "style_blocks-vicreg": ({"form": "vicreg", "all_keys_for_content": True}, 1),
    "domain_contrastive": ({"num_positives": 2}, 1),
    "domain_contrastive-reconstruction": (RECONSTRUCTION, 1),
    "contrastive_clustering": ({}, 1),
    "contrastive_clustering-instance": ({"start": 0.9}, 1),
    "byol": ({}, 1),
    "simsiam": ({}, 1),
    "moco": ({}, 1),
    "swav": ({}, 1),
    "swav-frozen": ({"freeze": 1.0}, 1),
    "dino": ({}, 1),
    "looc": ({}, 1),
    "looc-queue": ({"form": "queue"}, 1),
    "augself": ({"tasks": dict.fromkeys(TASKS, 1.0)}, 1),
    "cc": ({}, 1),
    "odr": ({}, 2),  # views; noise
    "beta_vae": ({}, 1),  # noise
    "factor_vae": ({"discriminator_dim": 32}, 2),  # noise; permutations
}
