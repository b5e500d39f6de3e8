"""What the authors' code of each paper says, typed a second time on purpose."""

from tests.datamodules.published_files import (
    PLACES,
)

ADAM, FIXED = {"optimizer": "Adam", "lr": [1e-3], "momentum": 0.9, "decay": 1e-6}, [1.0, 1.0, 1.0]
IP_IRM = ADAM | {
    **{"epochs": 400, "batch": 256, "schedule": FIXED, "mean": [0.4914, 0.4822, 0.4465], "stem": (3, 1)},
    **{"crop": (0.08, 1), "jitter": (0.4, 0.4, 0.4, 0.1), "coins": (0.8, 0.2, 0.5, 0), "blur": 3, "sigma": (0.1, 2)},
    **{"num_subsets": 2, "partition_every": 50, "keep_global": True, "retain": None, "sum_partitions": False},
    **{"penalty_weight": 0.2, "irm_weight": 0.5, "tau": 0.5, "tau_irm": 0.5, "mixup": False, "widths": (512, 128)},
    **{"partition_batch_size": 3096, "partition_epochs": 61, "partition_online": False, "backbone": "resnet50"},
}
STL10, CIFAR100 = {"view": 32, "judged": 96, "trained_on": 400}, {"view": 32, "judged": 32, "trained_on": 600}
MIXED = {"tau": 0.2, "mixup": True, "sum_partitions": True}
ONLINE = MIXED | {"partition_online": True, "partition_batch_size": 2048, "partition_epochs": 31}
BASELINE = {"mixup": True, "partition_every": 0}
LARS = {"optimizer": "Lars", "momentum": 0.9, "decay": 1e-6}
IMAGENET = LARS | {
    **{"epochs": 100, "batch": 512, "view": 224, "judged": 224, "backbone": "resnet50", "stem": (7, 2)},
    **{"schedule": [0.1, 0.5005, 0.001], "mean": [0.485, 0.456, 0.406], "widths": (8192, 2048)},
    **{"crop": (0.08, 1), "jitter": (0.4, 0.4, 0.2, 0.1), "coins": (0.8, 0.2, 1, 0), "key_coins": (0.8, 0.2, 0.1, 0.2)},
}
BLOCKS = {"form": "simclr", "lr": [1.0], "tau": 0.15, "weight": 1, "weights_lr": 0, "layers": 3, "last_bias": False}
VICREG_BLOCKS = {name: value for name, value in BLOCKS.items() if name != "tau"}
VICREG_BLOCKS |= {"form": "vicreg", "lr": [0.6], "weight": 25, "variance": 25, "covariance": 1}
PHASES = {"init": "encoder.safetensors", "epochs": 150, "schedule": [0.3, 0.5005, 0.001], "heads_first": 0.3333}
SMALL = LARS | {"epochs": 1000, "batch": 256, "schedule": [1.0, 0.5005, 0.001], "stem": (3, 1), "backbone": "resnet18"}
SPRITES = LARS | {
    **{"epochs": 50, "batch": 128, "schedule": [0.1, 0.5005, 0.001], "stem": (7, 2), "backbone": "resnet18"},
    **{"lr": [0.15], "view": 64, "judged": 64, "crop": (1, 1), "jitter": (0.4, 0.4, 0.4, 0.3)},
    **{"coins": (1, 0.2, 0, 0), "zoom": (0.5, 1.34), "shift": 0.2, "turn": (60, 0.5)},
}
DCODR = {
    **{"epochs": 200, "batch": 128, "domains": 4, "view": 64, "optimizer": "Adam", "momentum": 0.5, "decay": 0},
    **{"lr": [1e-4], "schedule": [1.0, 0.33**3, 0.33**6], "mean": [0, 0, 0], "backbone": "resnet50", "stem": (7, 2)},
    **{"tau": 0.2, "num_positives": 1, "hidden_dim": 2048, "projection_dim": 128, "code_layers": 0},
    **{"init": "moco_v2_800ep_pretrain.pth", "reconstruction": False, "all_negatives": False, "chained": False},
    "positives": {"blur": (1, 1), "contrast": (1.8, 3), "crop": (0.5, 1), "saturation": (1.8, 3)},
}
REC = DCODR | {
    **{"reconstruction": True, "reconstruction_weight": 0.3, "perceptual": "vgg16", "generator_channels": 256},
    **{"lr": [1e-4, 3e-4, 3e-3], "domain_dim": 256},
}
TOYS = {"told": "object elevation azimuth lighting"}
VIEWS, FACES = {"told": "model view"}, {"told": " ".join(["identity", "Smiling", *PLACES])}
SOLIDS = {"told": "shape floor_hue wall_hue object_hue scale orientation"}
RAISED, NORB = REC | {"lr": [1e-3, 3e-3]}, REC | {"lr": [3e-4, 3e-3], "code_layers": 3} | TOYS
SHOES, TENTH = {"batch": 64, "domains": 2, "tau": 0.1, "trained_on": 146, "told": "domain pair"}, {"tau": 0.1}
PLAIN_BATCHES = {"all_negatives": True, "batch": 64, "domains": None}
CADE = {
    **{"epochs": 2000, "batch": 128, "view": 224, "judged": 224, "optimizer": "Adam", "lr": [3e-4], "decay": 0},
    **{
        "schedule": FIXED,
        "mean": [0, 0, 0],
        "backbone": "resnet34",
        "stem": (7, 2),
        "tau": 0.5,
        "alpha": 1,
        "start": 0,
    },
    **{"instance_weight": 1, "cluster_weight": 1, "anchor_weight": 1, "projection_dim": 128, "start": 0},
    "crop": (0.08, 1),
}
HALF = {"jitter": (0.4, 0.4, 0.4, 0.1), "coins": (0.8, 0.2, 0, 0)}
FULL = {"jitter": (0.8, 0.8, 0.8, 0.2), "coins": (0.8, 0.2, 0.5, 0), "blur": 23, "sigma": (0.1, 2)}
EXPECTED = {
    "ip_irm": {
        ("stl10", "IP-IRM"): IP_IRM | STL10,
        ("stl10", "IP-IRM + MixUp"): IP_IRM | STL10 | MIXED,
        ("stl10", "IP-IRM + MixUp (last 5 partitions)"): IP_IRM | STL10 | MIXED | {"retain": 5},
        ("stl10", "IP-IRM + MixUp (1000 epochs)"): IP_IRM | STL10 | MIXED | {"epochs": 1000},
        ("stl10", "MixUp baseline"): IP_IRM | STL10 | BASELINE,
        ("cifar100", "IP-IRM"): IP_IRM | CIFAR100 | {"irm_weight": 0.2},
        ("cifar100", "IP-IRM + MixUp"): IP_IRM | CIFAR100 | ONLINE,
        ("cifar100", "IP-IRM + MixUp (last 5 partitions)"): IP_IRM | CIFAR100 | ONLINE | {"retain": 5},
        ("cifar100", "MixUp baseline"): IP_IRM | CIFAR100 | BASELINE,
    },
    "style_blocks": {
        ("imagenet", "SimCLR"): IMAGENET | {"lr": [1.0], "tau": 0.15, "layers": 3},
        ("imagenet", "VICReg"): IMAGENET
        | {"lr": [0.6], "invariance": 25, "variance": 25, "covariance": 1, "layers": 3},
        ("imagenet", "Barlow Twins"): IMAGENET | {"lr": [0.6], "off_diagonal_weight": 0.0051, "layers": 3},
        ("imagenet", "Style blocks (SimCLR)"): IMAGENET | BLOCKS,
        ("imagenet", "Style blocks (VICReg)"): IMAGENET | VICREG_BLOCKS,
    },
    "style_blocks_finetune": {
        ("imagenet", "Style blocks (SimCLR) fine-tuned"): IMAGENET | BLOCKS | PHASES,
        ("imagenet", "Style blocks (VICReg) fine-tuned"): IMAGENET | VICREG_BLOCKS | PHASES,
    },
    "style_blocks_cifar": {
        (name, label): SMALL | {"trained_on": 600 if name == "cifar100" else 3000} | own
        for name, lr in (("cifar10", 0.4), ("cifar100", 0.3))
        for label, own in {
            "SimCLR": {"lr": [lr], "widths": (2048, 256), "layers": 2, "tau": 0.2},
            "VICReg": {"lr": [0.3], "widths": (2048, 512), "layers": 3},
            "Barlow Twins": {"lr": [0.3], "widths": (2048, 512), "layers": 3, "off_diagonal_weight": 0.0051},
        }.items()
    },
    "style_blocks_color_dsprites": {
        ("color_dsprites", label): SPRITES | own
        for label, own in {
            "SimCLR": {"widths": (2048, 256), "layers": 2, "tau": 0.15},
            "VICReg": {"widths": (2048, 512), "layers": 3, "invariance": 25, "variance": 25, "covariance": 1},
            "Barlow Twins": {"widths": (2048, 512), "layers": 3, "off_diagonal_weight": 0.0051},
            "Style blocks (SimCLR)": BLOCKS | {"lr": [0.15], "widths": (2048, 256), "layers": 2},
            "Style blocks (VICReg)": VICREG_BLOCKS | {"lr": [0.15], "widths": (2048, 512), "layers": 3},
        }.items()
    },
    "domain_contrastive": {
        ("cars3d", "DCoDR"): REC | VIEWS,
        ("smallnorb", "DCoDR"): NORB,
        ("celeba", "DCoDR"): RAISED | {"trained_on": 213} | FACES,
        ("edges2shoes", "DCoDR"): RAISED | SHOES,
        ("shapes3d", "DCoDR"): REC | TENTH | SOLIDS,
        ("cars3d", "DCoDR-norec"): DCODR | VIEWS,
        ("smallnorb", "DCoDR-norec"): DCODR | TOYS,
        ("celeba", "DCoDR-norec"): DCODR | FACES,
        ("edges2shoes", "DCoDR-norec"): DCODR | SHOES,
        ("shapes3d", "DCoDR-norec"): DCODR | TENTH | SOLIDS,
    },
    "domain_contrastive_ablations": {
        ("smallnorb", "DCoDR"): NORB,
        ("smallnorb", "DCoDR with negatives of all domains"): NORB | PLAIN_BATCHES,
        ("smallnorb", "DCoDR without positives"): NORB | {"num_positives": 0},
        ("smallnorb", "DCoDR without pretraining"): NORB | {"init": None},
        ("smallnorb", "DCoDR-norec"): DCODR | TOYS,
        ("smallnorb", "DCoDR-norec with negatives of all domains"): DCODR | PLAIN_BATCHES,
        ("smallnorb", "DCoDR-norec without positives"): DCODR | {"num_positives": 0},
        ("smallnorb", "DCoDR-norec without pretraining"): DCODR | {"init": None},
        ("smallnorb", "DCoDR-norec with SimSiam's views"): DCODR
        | {"chained": True, "crop": (0.6, 1), "jitter": (0.4, 0.4, 0.4, 0.1), "coins": (0.3, 0.2, 0.2, 0)}
        | {"blur": 3, "sigma": (1, 2)},
        **{
            ("smallnorb", f"DCoDR-norec by {way} alone"): DCODR
            | {"positives": {way.removesuffix(" up").removesuffix(" down").replace(" ", "_"): bounds}}
            for way, bounds in {
                **{"rotation": (-40, 40), "crop": (0.5, 1), "blur": (1, 1), "grey": (), "flip": ()},
                **{"brightness up": (1.4, 1.8), "brightness down": (0.2, 0.6), "hue": (0.2, 0.5)},
                **{"contrast up": (1.8, 3), "contrast down": (0.3, 0.8), "saturation": (1.8, 3)},
                **{"vertical flip": (), "erasing": (0.02, 0.33)},
            }.items()
        },
    },
    "contrastive_clustering": {
        ("cifar10", "CADE"): CADE | HALF | {"clusters": 10, "trained_on": 3000},
        ("imagenet10", "CADE"): CADE | FULL | {"clusters": 10},
        ("imagenet_dogs", "CADE"): CADE | FULL | {"clusters": 15},
        ("tiny_imagenet", "CADE"): CADE | HALF,
        ("cifar100", "CADE (20 superclasses)"): CADE | HALF | {"clusters": 20},
        ("stl10", "CADE"): CADE | FULL | {"coins": (0.8, 0.2, 0, 0), "clusters": 10, "trained_on": 400},
    },
}
"""(Data set, label) -> what the authors' code says, see the heads of the presets; typed a second time on purpose."""
