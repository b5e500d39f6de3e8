"""What a run leaves for the report."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from disentangle_bench.datamodules.targets import TargetSpec
from disentangle_bench.evaluation.features import FeatureBank
from disentangle_bench.evaluation.pictures import artefacts, sheets

TARGETS = (
    TargetSpec("class", "class", 4, "content"),
    TargetSpec("color", "class", 3, "domain"),
    TargetSpec("angle", "circular", 1, "style"),
    TargetSpec("size", "continuous", 1, "style"),
)


def make_bank(count=400, width=16, channels=3, spaces=("features", "style/color"), dims=64):
    """Features that hold the class and the angle; the second space holds the colour alone."""
    rng = np.random.default_rng(0)
    targets, features = {}, {name: {} for name in spaces}
    for split in ("train", "test"):
        y = {
            "class": rng.integers(4, size=count),
            "color": rng.integers(3, size=count),
            "angle": rng.uniform(0, 2 * np.pi, count).astype(np.float32),
            "size": rng.normal(size=count).astype(np.float32),
        }
        targets[split] = y
        for name in spaces:
            x = rng.normal(size=(count, dims)) * 0.3
            if name == "features":
                x[np.arange(count), y["class"]] += 4
                x[:, 4], x[:, 5] = 3 * np.cos(y["angle"]), 3 * np.sin(y["angle"])
            else:
                x[np.arange(count), y["color"]] += 4
            features[name][split] = x.astype(np.float32)
    images = torch.randint(0, 256, (count, channels, width, width), dtype=torch.uint8, generator=torch.manual_seed(0))
    batches = [
        {"image": images[i : i + 90]}
        | {f"target/{k}": torch.as_tensor(v[i : i + 90]) for k, v in targets["test"].items()}
        for i in range(0, count, 90)
    ]
    return FeatureBank(features, targets), batches


class Encoder(torch.nn.Module):
    """What undoes the normalising of its views."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.full((3, 1, 1), 0.5))
        self.register_buffer("std", torch.full((3, 1, 1), 0.25))

    def views(self, batch):
        return [(batch["image"] / 255 - self.mean) / self.std] * 2


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    bank, batches = make_bank()
    run, encoder = tmp_path_factory.mktemp("run"), Encoder()
    artefacts.write(run, bank, TARGETS, batches, module=encoder, views=encoder.views)
    return run, bank, batches


def test_index_and_sample_come_back(written):
    run, bank, _ = written
    index, sample = artefacts.read(run)
    assert index["spaces"] == {"features": 64, "style/color": 64}
    assert sample["space/features"].shape == (artefacts.POINTS, artefacts.DIMENSIONS)
    assert sample["space/features"].dtype == np.float16
    assert sample["target/class"].tolist() == bank.targets["test"]["class"][: artefacts.POINTS].tolist()
    assert [spec["name"] for spec in index["targets"]] == ["class", "color", "angle", "size"]


def test_neighbours_are_the_nearest_others(written):
    run, bank, _ = written
    lines = artefacts.read(run)[0]["neighbours"]
    x = bank.features["features"]["test"]
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    first = [line for line in lines if line["query"] == lines[0]["query"]]
    near = np.argsort(-(unit @ unit[first[0]["query"]]))[1 : len(first) + 1]
    assert [line["neighbour"] for line in first] == near.tolist()
    assert first[0]["neighbour_class"] == bank.targets["test"]["class"][near[0]]


def test_neighbours_are_shown_as_themselves_in_a_frame_that_says_whether_their_class_is_the_same(tmp_path):
    """Of more images than are looked at, so that an image's place in the sample isn't its number."""
    count = artefacts.LIMIT + 200
    bank, _ = make_bank(count)
    labels = bank.targets["test"]["class"] = np.arange(count) // 3 % 2
    grey = np.random.default_rng(1).integers(256, size=count).astype(np.uint8)
    images = torch.as_tensor(grey)[:, None, None, None].expand(-1, 3, 4, 4)
    out = artefacts.write(tmp_path, bank, TARGETS, [{"image": part} for part in images.split(90)])
    picture = np.asarray(Image.open(out / artefacts.NEIGHBOURS).convert("RGB")).astype(int)
    side, frames = sheets.TILE + 2 * sheets.BORDER, {True: sheets.SAME, False: sheets.OTHER}
    lines = artefacts.read(tmp_path)[0]["neighbours"]
    same = [line["query_class"] == line["neighbour_class"] for line in lines]
    assert 0 < sum(same) < len(same)
    for place, line in enumerate(lines):
        assert line["neighbour_class"] == labels[line["neighbour"]]
        assert line["query_class"] == labels[line["query"]]
        row, column = side * (place // artefacts.NEAREST), side * line["rank"]
        assert picture[row, column].tolist() == pytest.approx(frames[same[place]], abs=3), line
        assert picture[row + side // 2, column + side // 2, 0] == pytest.approx(grey[line["neighbour"]], abs=3), line
        assert picture[row + side // 2, side // 2, 0] == pytest.approx(grey[line["query"]], abs=3), line


def test_features_that_are_no_numbers_end_no_run(tmp_path):
    bank, batches = make_bank(count=40, spaces=("features", *[f"a{k}" for k in range(artefacts.SPACES)]))
    bank.features["features"]["test"][3] = (np.nan, np.inf) * 32
    artefacts.write(tmp_path, bank, TARGETS, batches)
    index, sample = artefacts.read(tmp_path)
    assert np.isfinite(sample["space/features"]).all(), "shown first, however many others there are"
    assert index["neighbours"]


def test_views_are_shown_as_the_images_that_they_are(written):
    picture = np.asarray(Image.open(written[0] / "artefacts" / artefacts.VIEWS).convert("RGB")).astype(int)
    side = sheets.TILE + 2 * sheets.BORDER
    assert picture.shape == (6 * side, 3 * side, 3)
    assert np.abs(picture[:, :side] - picture[:, side : 2 * side]).max() <= 2  # un-normalised to the same image


def test_writing_twice_gives_equal_files(written, tmp_path):
    run, bank, batches = written
    encoder = Encoder()
    artefacts.write(tmp_path, bank, TARGETS, batches, module=encoder, views=encoder.views)
    for path in (run / "artefacts").iterdir():
        if path.suffix != ".npz":  # zip files hold a time
            assert path.read_bytes() == (tmp_path / "artefacts" / path.name).read_bytes(), path.name


def test_many_spaces_and_large_images_stay_below_300_kb(tmp_path):
    spaces = ("features", *[f"style/{k}" for k in range(9)])
    bank, batches = make_bank(count=1200, width=64, spaces=spaces, dims=100)
    encoder = Encoder()
    out = artefacts.write(tmp_path, bank, TARGETS, batches, module=encoder, views=encoder.views)
    assert sum(path.stat().st_size for path in out.iterdir()) < 300 * 1024
    index, sample = artefacts.read(tmp_path)
    assert index["images"] == artefacts.LIMIT
    assert "space/features" in sample


def test_without_encoder_and_views_the_rest_is_written(tmp_path):
    bank, batches = make_bank(count=40, channels=1)
    out = artefacts.write(tmp_path, bank, TARGETS, batches)
    assert artefacts.read(tmp_path) is not None
    assert not (out / artefacts.VIEWS).exists()


def test_batches_that_end_before_the_bank_are_refused(tmp_path):
    bank, batches = make_bank()
    with pytest.raises(ValueError, match="batches end after 90"):
        artefacts.write(tmp_path, bank, TARGETS, batches[:1])
    assert artefacts.read(tmp_path) is None  # no index, so nothing half-written is read


@pytest.mark.parametrize("text", ["{", "[]", json.dumps({"schema": 99})])
def test_artefacts_that_cannot_be_read_are_none(tmp_path, text):
    (tmp_path / "artefacts").mkdir()
    (tmp_path / "artefacts" / artefacts.INDEX).write_text(text)
    assert artefacts.read(tmp_path) is None


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        ("neighbours", None),
        ("neighbours", 5),
        ("neighbours", ["x"]),
        ("targets", 5),
        ("targets", [{"name": "class", "kind": "class"}]),
        ("targets", [{"name": 3, "kind": "class", "role": "content"}]),
    ],
)
def test_an_index_that_the_report_would_stumble_over_is_none(part, wrong, tmp_path):
    bank, batches = make_bank(count=40)
    out = artefacts.write(tmp_path, bank, TARGETS, batches)
    index = json.loads((out / artefacts.INDEX).read_text())
    (out / artefacts.INDEX).write_text(json.dumps(index | {part: wrong}))
    assert artefacts.read(tmp_path) is None
    del index[part]
    (out / artefacts.INDEX).write_text(json.dumps(index))
    assert artefacts.read(tmp_path) is None


@pytest.mark.parametrize("wrong", [np.zeros(40), np.zeros((40, 0)), np.zeros((3, 2)), np.full((40, 2), "x")])
def test_a_sample_of_other_shapes_is_none(wrong, tmp_path):
    bank, batches = make_bank(count=40)
    out = artefacts.write(tmp_path, bank, TARGETS, batches)
    np.savez(out / artefacts.SAMPLE, **artefacts.read(tmp_path)[1] | {"space/features": wrong})
    assert artefacts.read(tmp_path) is None


def test_components_keep_distances_and_have_one_sign():
    x = np.random.default_rng(0).normal(size=(50, 10))
    z = artefacts.components(x)
    gaps = [np.linalg.norm(v[:, None] - v[None], axis=2) for v in (x, z)]
    assert np.corrcoef(gaps[0].ravel(), gaps[1].ravel())[0, 1] == pytest.approx(1)
    assert z[:, 0].std() == pytest.approx(1)
    assert artefacts.components(x[:, ::-1]) == pytest.approx(z)
    huge = np.full((50, 8), 3e38, np.float32)  # whose mean is no float32; LAPACK never comes back from infinity
    assert np.isfinite(artefacts.components(huge)).all()


def test_tiles_of_any_shape():
    for shape in ((1, 4, 4), (2, 5, 9), (3, 100, 60), (4, 8, 8)):
        assert sheets.tile(np.full(shape, 200, dtype=np.uint8)).shape == (sheets.TILE, sheets.TILE, 3)
    picture = Image.open(
        io.BytesIO(sheets.sheet([[np.zeros((1, 4, 4), np.uint8)], [np.zeros((1, 4, 4), np.uint8)] * 2]))
    )
    assert picture.size == (2 * (sheets.TILE + 6), 2 * (sheets.TILE + 6))


def test_a_painted_targets_values_have_the_hues_of_their_images():
    labels = np.arange(60) % 3
    grey = np.random.default_rng(0).integers(0, 256, (60, 1, 4, 4))
    images = (grey * np.eye(3)[[0, 2, 1]][labels][:, :, None, None]).astype(np.uint8)  # red, blue, green
    assert artefacts.hues(images, labels, 4) == [[230, 0, 0], [0, 0, 230], [0, 230, 0], [230, 230, 230]]
    assert artefacts.hues(images, np.arange(60) % 7, 7) is None  # of all colours alike
    assert artefacts.hues(images[:, :1], labels, 4) is None
