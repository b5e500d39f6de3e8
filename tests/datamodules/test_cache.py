import json
import multiprocessing
import os
import pickle
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from disentangle_bench import files, json_files
from disentangle_bench.datamodules.errors import DataMismatch
from disentangle_bench.datamodules.storage import image_cache

SHAPE = (50, 3, 8, 8)


def images(seed=0, shape=SHAPE):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


class Source:
    """Counts how often images are made."""

    def __init__(self, seed=0):
        self.made, self.seed = 0, seed

    def __call__(self, out):
        self.made += 1
        out[:] = images(self.seed)
        return {"note": self.seed}


def data_file(folder: Path) -> Path:
    (file,) = folder.glob("images-*.npy")
    return file


def test_images_are_made_once_and_read_back(tmp_path):
    source = Source()
    first = image_cache.open_or_build(tmp_path / "a", "one", SHAPE, source)
    second = image_cache.open_or_build(tmp_path / "a", "one", SHAPE, source)
    assert source.made == 1
    assert np.array_equal(first.images, images())
    assert np.array_equal(second.images, images())
    assert second.notes == {"note": 0}
    assert first.checksum == second.checksum
    assert not np.asarray(second.images).flags.writeable


def test_images_are_sent_to_another_process_by_name(tmp_path):
    stored = image_cache.open_or_build(tmp_path / "a", "one", SHAPE, Source())
    sent = pickle.dumps(stored.images)
    assert len(sent) < 1000
    assert np.array_equal(pickle.loads(sent)[np.arange(3)], images()[:3])


def cut_short(folder):
    with data_file(folder).open("r+b") as file:
        file.truncate(data_file(folder).stat().st_size - 100)


def flip_a_byte(folder):
    with data_file(folder).open("r+b") as file:
        file.seek(1000)
        byte = file.read(1)[0]
        file.seek(1000)
        file.write(bytes([byte ^ 1]))


def lose_the_file(folder):
    data_file(folder).unlink()


def garble_meta(folder):
    (folder / "meta.json").write_text('{"format": 1, "identi')


def strip_meta(folder):
    (folder / "meta.json").write_text('{"format": 1}')


def swap_in_other_images(folder):
    np.save(folder / "other.npy", images(7))
    (folder / "other.npy").replace(data_file(folder))


def make_it_a_pickle(folder):
    np.save(folder / "other.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (folder / "other.npy").replace(data_file(folder))


@pytest.mark.parametrize(
    "damage",
    [cut_short, flip_a_byte, lose_the_file, garble_meta, strip_meta, swap_in_other_images, make_it_a_pickle],
)
def test_a_damaged_cache_is_made_anew_and_never_used(tmp_path, damage, caplog):
    source = Source()
    image_cache.open_or_build(tmp_path / "a", "one", SHAPE, source)
    damage(tmp_path / "a")
    assert np.array_equal(image_cache.open_or_build(tmp_path / "a", "one", SHAPE, source).images, images())
    assert source.made == 2
    assert "making the images again" in caplog.text


def test_a_checksum_is_of_all_pieces_in_their_order(monkeypatch):
    monkeypatch.setattr(image_cache, "CHUNK", 1000)
    whole = images()
    changed = [whole.reshape(-1).copy() for _ in range(4)]
    for one, place in zip(changed, (0, 999, 1000, -1), strict=False):
        one[place] ^= 1
    swapped = np.concatenate([whole.reshape(-1)[1000:2000], whole.reshape(-1)[:1000], whole.reshape(-1)[2000:]])
    assert len({image_cache.checksum(one) for one in (whole, *changed, swapped)}) == 6


def hashed(folder, results):
    found, checksum = [], image_cache.checksum
    image_cache.checksum = lambda images: found.append(1) or checksum(images)
    image_cache.open_or_build(folder, "one", SHAPE, Source())
    results.put(len(found))


def test_images_are_read_for_their_checksum_once_while_a_process_lives(tmp_path, monkeypatch):
    """By this process or another; when those that looked are gone, or the file was written to, by the next one."""
    context = multiprocessing.get_context("fork")
    results = context.Queue()

    def in_another_process():
        process = context.Process(target=hashed, args=(tmp_path / "a", results))
        process.start()
        process.join()
        return results.get(timeout=10)

    assert in_another_process() == 2  # made, and read back
    assert in_another_process() == 1  # the first one is gone
    image_cache.open_or_build(tmp_path / "a", "one", SHAPE, Source())
    assert in_another_process() == 0
    times = data_file(tmp_path / "a").stat()
    flip_a_byte(tmp_path / "a")
    os.utime(data_file(tmp_path / "a"), ns=(times.st_atime_ns, times.st_mtime_ns))  # as damage would that hides
    assert in_another_process() == 4  # wrong, still wrong when its turn comes, made, read back


def test_a_cache_that_may_only_be_read_is_verified_each_time(tmp_path, monkeypatch, caplog):
    image_cache.open_or_build(tmp_path / "a", "one", SHAPE, Source())

    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(image_cache.FileLock, "acquire", refuse)
    assert np.array_equal(image_cache.open_or_build(tmp_path / "a", "one", SHAPE, Source()).images, images())
    flip_a_byte(tmp_path / "a")
    with pytest.raises(DataMismatch, match="cannot keep"):
        image_cache.open_or_build(tmp_path / "a", "one", SHAPE, Source())
    assert "wrong checksum" in caplog.text


@pytest.mark.parametrize("written", range(3))
def test_a_disk_that_is_full_at_any_write_leaves_no_half_and_the_next_start_makes_it(tmp_path, monkeypatch, written):
    """The images, what is known of them, and the note that they were looked at (which may be missing)."""
    attempts, write_file, allocate = [], files.write_file, os.posix_fallocate

    def full(wrapped):
        def write(*args, **kwargs):
            attempts.append(1)
            if len(attempts) == written + 1:
                raise OSError(28, "No space left on device")
            return wrapped(*args, **kwargs)

        return write

    for module in (image_cache, json_files):
        monkeypatch.setattr(module, "write_file", full(write_file))
    monkeypatch.setattr(os, "posix_fallocate", full(allocate))
    if written < 2:
        with pytest.raises(DataMismatch, match="No space left on device; choose another place"):
            image_cache.open_or_build(tmp_path / "a", "one", SHAPE, Source())
        assert not [path for path in (tmp_path / "a").iterdir() if "unfinished" in path.name or path.suffix == ".tmp"]
    assert np.array_equal(image_cache.open_or_build(tmp_path / "a", "one", SHAPE, Source()).images, images())
    assert len(attempts) > written


def test_a_cache_of_other_data_is_made_anew_and_the_old_file_goes(tmp_path):
    image_cache.open_or_build(tmp_path / "a", "one", SHAPE, Source())
    old = data_file(tmp_path / "a")
    assert np.array_equal(image_cache.open_or_build(tmp_path / "a", "two", SHAPE, Source(5)).images, images(5))
    assert not old.exists()


def test_what_the_maker_raises_is_passed_on_and_leaves_nothing_behind(tmp_path):
    def fails(out):
        out[:10] = 1
        raise RuntimeError("no luck")

    with pytest.raises(RuntimeError, match="no luck"):
        image_cache.open_or_build(tmp_path / "a", "one", SHAPE, fails)
    assert [p.name for p in (tmp_path / "a").iterdir() if p.name != "lock"] == []
    assert image_cache.open_or_build(tmp_path / "a", "one", SHAPE, Source()).notes == {"note": 0}


def test_a_full_disk_or_a_closed_folder_is_one_clear_line(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DataMismatch, match=r"No space left on device; choose another place with \$DISENTANGLE"):
        image_cache.open_or_build(tmp_path / "a", "one", SHAPE, Source())
    (tmp_path / "file").write_text("")
    with pytest.raises(DataMismatch, match="cannot keep"):
        image_cache.open_or_build(tmp_path / "file" / "a", "one", SHAPE, Source())


def test_files_of_killed_processes_are_swept_up(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "unfinished-x.npy").write_bytes(b"half")
    image_cache.open_or_build(tmp_path / "a", "one", SHAPE, Source())
    assert not (tmp_path / "a" / "unfinished-x.npy").exists()


def slow_fill(out):
    with (Path(os.environ["COUNT_IN"]) / str(os.getpid())).open("w") as file:
        file.write("made")
    time.sleep(0.5)
    out[:] = 7
    return {}


def open_and_report(folder, shape, ready, go, results):
    stored = image_cache.open_or_build(Path(folder), "one", shape, slow_fill)
    total = int(np.asarray(stored.images).sum(dtype=np.int64))  # touch every page
    ready.release()
    go.wait(30)
    maps = [m for m in psutil.Process().memory_maps(grouped=False) if "images-" in m.path]
    results.put((total, sum(m.pss for m in maps), sum(m.rss for m in maps), sum(m.private_dirty for m in maps)))
    ready.release()


def test_eight_processes_make_images_once_and_share_one_copy(tmp_path, monkeypatch):
    count = tmp_path / "count"
    count.mkdir()
    monkeypatch.setenv("COUNT_IN", str(count))
    context = multiprocessing.get_context("fork")
    shape = (2000, 3, 64, 64)
    size = int(np.prod(shape))
    ready, go, results = context.Semaphore(0), context.Event(), context.Queue()
    processes = [
        context.Process(target=open_and_report, args=(str(tmp_path / "a"), shape, ready, go, results)) for _ in range(8)
    ]
    for process in processes:
        process.start()
    for _ in processes:
        assert ready.acquire(timeout=60)
    go.set()
    for _ in processes:
        assert ready.acquire(timeout=60)
    found = [results.get(timeout=30) for _ in processes]
    for process in processes:
        process.join(30)
    assert len(list(count.iterdir())) == 1
    assert {total for total, *_ in found} == {7 * size}
    assert all(rss > 0.9 * size for _, _, rss, _ in found)  # each sees all of it ...
    assert sum(dirty for *_, dirty in found) == 0  # ... none holds a copy of its own
    assert sum(pss for _, pss, _, _ in found) < 2 * size


def test_meta_says_what_the_images_are(tmp_path):
    stored = image_cache.open_or_build(tmp_path / "a", "one", SHAPE, Source())
    meta = json.loads((tmp_path / "a" / "meta.json").read_text())
    assert meta["identity"] == "one"
    assert meta["shape"] == list(SHAPE)
    assert meta["checksum"] == stored.checksum
    assert np.load(tmp_path / "a" / meta["file"]).shape == SHAPE


def test_the_cache_folder_follows_option_then_environment_then_home(monkeypatch, tmp_path):
    monkeypatch.setenv("DISENTANGLE_BENCH_CACHE", str(tmp_path / "env"))
    assert image_cache.cache_folder("~/x") == Path("~/x").expanduser()
    assert image_cache.cache_folder() == tmp_path / "env"
    monkeypatch.delenv("DISENTANGLE_BENCH_CACHE")
    assert image_cache.cache_folder() == Path("~/.cache/disentangle-bench").expanduser()
