"""The papers' presets: each resolves on files in the published layout, and what it says arrives where it is used."""

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from disentangle_bench import methods
from disentangle_bench.benchmarks.__main__ import main
from disentangle_bench.benchmarks.planning import suite
from disentangle_bench.benchmarks.planning.options import instantiate
from disentangle_bench.benchmarks.planning.plan import plan
from disentangle_bench.datamodules import find
from disentangle_bench.datamodules.datasets.imagenet_subsets import SUBSETS
from disentangle_bench.methods.networks.backbones import backbone
from tests.benchmarks.authors_settings import EXPECTED
from tests.benchmarks.three_steps import FACTS, LOADED, setting, three_steps
from tests.datamodules.published_files import (
    write_cars,
    write_celeba,
    write_cifar,
    write_dsprites,
    write_landmarks,
    write_norb,
    write_shapes3d,
    write_stl10,
)

MISSION = ["cifar10", "cifar100", "stl10", "imagenet10", "imagenet100", "tiny_imagenet", "pacs", "shapes3d"]
CASES = [(preset, *row) for preset, rows in EXPECTED.items() for row in rows]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Small copies of the data sets in their published layouts, where the suite looks for them."""
    root, patch = tmp_path_factory.mktemp("data"), pytest.MonkeyPatch()
    patch.setenv("DISENTANGLE_BENCH_DATA", str(root))
    patch.setenv("DISENTANGLE_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))

    def draw(path, seed=0, size=(8, 8)):
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)

    names = [[f"class {i}" for i in range(10)], [f"super {i}" for i in range(5)]]
    write_cifar(root / "cifar10", patch, torchvision.datasets.CIFAR10, ["labels"], names[:1], count=600)
    labels = ["fine_labels", "coarse_labels"]
    write_cifar(root / "cifar100", patch, torchvision.datasets.CIFAR100, labels, names, count=600)
    write_stl10(root / "stl10", (320, 20, 80))
    for number, wnid in enumerate(sorted({*SUBSETS["imagenet-10"].split(), *SUBSETS["imagenet-dogs"].split()})):
        for i in range(25):
            draw(root / "imagenet" / "train" / wnid / f"{i}.png", 100 * number + i)
        draw(root / "imagenet" / "val" / wnid / "0.png", 100 * number + 99)
    for wnid in ("n01443537", "n01629819"):
        for i in range(75):
            draw(root / "tiny_imagenet" / "train" / wnid / "images" / f"{wnid}_{i}.JPEG", i)
        draw(root / "tiny_imagenet" / "val" / "images" / f"{wnid}.JPEG", 99)
    lines = [f"{wnid}.JPEG\t{wnid}\t0\t0\t62\t62\n" for wnid in ("n01443537", "n01629819")]
    (root / "tiny_imagenet" / "val" / "val_annotations.txt").write_text("".join(lines))
    write_cars(root / "cars3d", 5)
    write_norb(root / "smallnorb", count=160)
    write_shapes3d(root / "shapes3d")
    write_celeba(root / "celeba", draw, 221, 20)  # the last of eleven people is in all three splits
    write_landmarks(root / "celeba", 221)
    write_dsprites(root / "dsprites", 4)
    for i in range(90):
        draw(root / "edges2shoes" / ("val" if i < 5 else "train") / f"{i}_AB.png", i, (16, 8))
    for domain in ("art_painting", "cartoon", "photo", "sketch"):
        for i in range(100):
            draw(root / "pacs" / domain / ("dog", "horse")[i % 2] / f"{i}.png", i)
    for number, wnid in enumerate(SUBSETS["imagenet-100"].split()):
        for i in range(10):
            draw(root / "imagenet" / "train" / wnid / f"more {i}.png", 100 * number + i)
        draw(root / "imagenet" / "val" / wnid / "0.png", number)
    yield root
    patch.undo()


@pytest.fixture(scope="module")
def planned(published):
    """Cells of a preset by (data set, label), planned once; stored ImageNet images are small here."""
    known = {}

    def cells(preset):
        if preset not in known:
            small = ["imagenet.image_size=16", "imagenet10.image_size=16", "imagenet_dogs.image_size=16"]
            chosen = suite.choose(f"paper/{preset}")
            fitting = [s for s in small if s.partition(".")[0] in {one.dataset for one in chosen.experiments}]
            chosen = suite.choose(f"paper/{preset}", assignments=[*fitting, "data.num_workers=0"])
            known[preset] = {(cell.dataset, label): cell for cell in plan(chosen, dry=True) for label in cell.labels}
        return known[preset]

    return cells


def test_every_preset_and_row_is_expected():
    presets = {name.removeprefix("paper/") for name in suite.names() if name.startswith("paper/")}
    assert presets == set(EXPECTED)
    for name in presets:
        rows = {(one.dataset, one.label) for one in suite.read(f"paper/{name}").experiments}
        assert rows == set(EXPECTED[name])
        head = (suite.FOLDER / "paper" / f"{name}.yaml").read_text().partition("measures:")[0]
        assert all(part in head for part in ("# Source", "unknown", "# Not as published: "))


@pytest.mark.parametrize(("preset", "dataset", "label"), CASES)
def test_what_the_authors_set_arrives_and_trains(preset, dataset, label, planned, tmp_path):
    cell, expected = planned(preset)[dataset, label], EXPECTED[preset][dataset, label]
    run = three_steps(cell, tmp_path)
    assert run.trainer.global_step == 3
    for name, value in expected.items():
        arrived = FACTS[name](run) if name in FACTS else setting(run, name)
        assert arrived == (pytest.approx(value, rel=0.01) if isinstance(value, float | list | tuple) else value), name


MOCO, VGG16 = (
    "no file 'moco_v2_800ep_pretrain.pth', which should be a MoCo-v2 checkpoint: a dict",
    "no VGG-16 weights at ",
)
OWN = "no file 'encoder.safetensors', which should be an encoder of this suite (safetensors)"
NEEDED = {"domain_contrastive": [MOCO, VGG16], "style_blocks_finetune": [OWN]}


@pytest.mark.parametrize("preset", NEEDED)
def test_weights_that_are_missing_are_said_and_only_a_run_is_refused(preset, published, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    small = [f"{name}.image_size=16" for name in ("imagenet", "imagenet10", "imagenet_dogs")]
    rows = {one.dataset for one in suite.read(f"paper/{preset}").experiments}
    command = ["run", "--suite", f"paper/{preset}", *(f"--set={one}" for one in small if one.split(".")[0] in rows)]
    assert main([*command, "--dry-run"]) == 0
    printed, said = capsys.readouterr()
    assert f"{len(EXPECTED[preset])} cells, {len(EXPECTED[preset])} to run" in printed
    lines = said.splitlines()
    assert len(lines) == len(NEEDED[preset])
    assert all(
        line.startswith("a run needs a file: ") and what in line
        for line, what in zip(lines, NEEDED[preset], strict=True)
    )
    assert main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert NEEDED[preset][0] in line
    assert not list(tmp_path.iterdir())


def test_a_run_starts_from_the_checkpoint(planned, tmp_path):
    """One in MoCo-v2's layout, of a ResNet-18; three steps at a learning rate of next to nothing leave it as it is."""
    made = backbone("resnet18", (3, 16, 16), stem="imagenet").state_dict()
    head = {"fc.0.weight": torch.randn(512, 512), "fc.0.bias": torch.randn(512), "fc.2.weight": torch.randn(128, 512)}
    state = {f"module.encoder_q.{name}": value for name, value in (made | head).items()}
    torch.save({"epoch": 800, "state_dict": state}, tmp_path / "moco.pth")
    own = {
        "backbone": "resnet18",
        "stem": "imagenet",
        "init": str(tmp_path / "moco.pth"),
        "hidden_dim": 512,
        "lr": 1e-30,
    }
    run = three_steps(planned("domain_contrastive")["cars3d", "DCoDR"], tmp_path, **own)
    for name, value in run.method.backbone.named_parameters():
        torch.testing.assert_close(value.data, made[name], rtol=0, atol=1e-20, msg=name)
    assert torch.equal(run.method.projector[0].weight, head["fc.0.weight"])
    assert run.trainer.global_step == 3


@pytest.mark.parametrize("name", MISSION)
def test_suites_by_data_set_resolve(name, published):
    """With all methods, but for those that need domains; a method's options are where they don't differ."""
    small = [f"{name}.image_size=16"] if name.startswith("imagenet") else []
    cells = plan(suite.choose(name, seeds="0", assignments=[*small, "data.batch_size=64"]))
    domains = {spec.role for spec in find(name)(**instantiate(find(name), cells[0].data)).targets} & {"domain"}
    seeing = {name for name in methods.available() if "domain" in methods.find(name).uses_targets}
    left_out = set() if domains else seeing
    assert {cell.method for cell in cells} == set(methods.available()) - left_out
    assert {cell.options["backbone"] for cell in cells if cell.method != "pixels"} == {"resnet18"}
    assert (
        len({(cell.precision, *cell.budget.items(), cell.data["batch_size"], cell.fingerprint) for cell in cells}) == 1
    )


@pytest.fixture(scope="module", autouse=True)
def _forget_loaded():
    yield
    LOADED.clear()
