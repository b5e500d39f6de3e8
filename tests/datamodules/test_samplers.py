import json
from pathlib import Path

import numpy as np
import pytest
import torch

from disentangle_bench.datamodules.batches.samplers import BalancedBatches, ShuffledBatches


def test_shuffled_batches_are_a_permutation_that_depends_on_seed_and_epoch():
    sampler = ShuffledBatches(103, 10, seed=3)
    first = torch.cat(list(sampler))
    assert len(sampler) == 10
    assert len(first) == 100
    assert len(set(first.tolist())) == 100
    assert torch.equal(first, torch.cat(list(sampler)))
    sampler.set_epoch(1)
    assert not torch.equal(first, torch.cat(list(sampler)))
    assert not torch.equal(first, torch.cat(list(ShuffledBatches(103, 10, seed=4))))


def test_shuffled_batches_are_the_same_on_every_machine():
    assert next(iter(ShuffledBatches(1000, 8, seed=0))).tolist() == [893, 283, 662, 625, 469, 202, 423, 761]


def test_balanced_batches_are_the_same_on_every_machine():
    assert next(iter(BalancedBatches(np.arange(60) % 3, 6, 3, seed=0))).tolist() == [55, 47, 45, 13, 41, 51]


def samplers(groups, batch_size, per_batch, replicas, **options):
    return [BalancedBatches(groups, batch_size, per_batch, 0, rank, replicas, **options) for rank in range(replicas)]


def uneven_groups(*sizes):
    groups = np.repeat(np.arange(len(sizes)) * 3, sizes)  # numbers with gaps
    return np.random.default_rng(0).permutation(groups)


@pytest.mark.parametrize("make", [lambda r, n: ShuffledBatches(96, 24, 0, r, n)], ids=["shuffled"])
@pytest.mark.parametrize("replicas", [2, 4])
def test_ranks_stacked_in_order_are_the_batch_of_one_process(make, replicas):
    whole, ranks = list(make(0, 1)), [list(make(r, replicas)) for r in range(replicas)]
    for number, batch in enumerate(whole):
        assert torch.equal(batch, torch.cat([rank[number] for rank in ranks]))


@pytest.mark.parametrize("replicas", [2, 4])
def test_balanced_ranks_stack_to_one_process_and_each_holds_all_groups(replicas):
    groups = uneven_groups(31, 50, 17, 8)
    whole = list(BalancedBatches(groups, 32, 4, 0))
    ranks = [list(sampler) for sampler in samplers(groups, 32, 4, replicas)]
    for number, batch in enumerate(whole):
        assert torch.equal(batch, torch.cat([rank[number] for rank in ranks]))
        for rank in ranks:
            values, counts = np.unique(groups[rank[number]], return_counts=True)
            assert len(values) == 4
            assert set(counts) == {8 // replicas}


@pytest.mark.parametrize(
    ("sizes", "batch_size", "per_batch"),
    [
        ((48, 48), 8, 2),
        ((20, 20, 21), 12, 3),
        ((100, 7, 30, 9), 16, 2),
        ((100, 11, 30, 9), 16, 2),
        ((5, 5, 200), 12, 2),
        ((9,) * 30, 12, 4),
    ],
)
def test_balanced_batches_hold_distinct_groups_equally_and_lose_no_image(sizes, batch_size, per_batch):
    groups = uneven_groups(*sizes)
    sampler = BalancedBatches(groups, batch_size, per_batch, seed=1)
    batches = list(sampler)
    n = batch_size // per_batch
    assert len(batches) == len(sampler)
    for batch in batches:
        values, counts = np.unique(groups[batch], return_counts=True)
        assert len(values) == per_batch
        assert (counts == n).all()
        if min(sizes) >= n:
            assert len(set(batch.tolist())) == batch_size
    seen = np.bincount(torch.cat(batches), minlength=len(groups))
    assert seen.min() >= 1
    assert seen.sum() - len(groups) == sampler.padding
    blocks = [-(-size // n) for size in sizes]
    assert len(batches) == max(-(-sum(blocks) // per_batch), max(blocks))
    for value in np.unique(groups):  # the repeats of a group are spread evenly over it
        assert np.ptp(seen[groups == value]) <= 1


def test_a_group_smaller_than_its_share_is_repeated_inside_the_batch():
    groups = np.array([0] * 40 + [1] * 3)
    for batch in BalancedBatches(groups, 16, 2, seed=0):
        assert (np.unique(groups[batch], return_counts=True)[1] == 8).all()
        assert set(batch[groups[batch] == 1].tolist()) == {40, 41, 42}


def test_balanced_batches_depend_on_seed_and_epoch_alone():
    groups = uneven_groups(30, 40, 50)
    one, other = BalancedBatches(groups, 12, 3, 5), BalancedBatches(groups, 12, 3, 5)
    first = one.table()
    other.set_epoch(1)
    assert torch.equal(first, BalancedBatches(groups, 12, 3, 5).table())
    assert not torch.equal(first, other.table())
    assert not torch.equal(first, BalancedBatches(groups, 12, 3, 6).table())
    assert not np.array_equal(groups[first[0]], groups[first[1]]) or len(np.unique(groups[first[0]])) == 3


@pytest.mark.parametrize(("batch_size", "per_batch", "what"), [(10, 4, "multiple"), (12, 4, "there are 3")])
def test_balanced_batches_refuse_what_cannot_be_dealt(batch_size, per_batch, what):
    with pytest.raises(ValueError, match=what):
        BalancedBatches(np.arange(30) % (4 if batch_size == 10 else 3), batch_size, per_batch, 0)


@pytest.mark.parametrize("case", ["sampler_even", "sampler_uneven"])
def test_reference_sampler_has_the_invariants_that_ours_keeps(case):
    """What the published sampler promises about a batch, ours does too; where it drops images, ours does not."""
    with np.load(Path(__file__).parent / "reference" / f"{case}.npz", allow_pickle=False) as file:
        reference = {key: file[key] for key in file.files}
    options = json.loads(str(reference["options"]))
    labels, n, per_batch = reference["in_labels"], options["n_samples"], options["n_classes"]
    batch_size = int(reference["out_batch_size"])
    ours = BalancedBatches(labels, batch_size, per_batch, options["seed"])
    assert batch_size == per_batch * n
    for table, layout in ((reference["in_batches"], (per_batch, n)), (ours.table().numpy(), (n, per_batch))):
        for batch in table:
            kinds = labels[batch[batch >= 0]].reshape(layout)
            blocks = kinds if layout == (per_batch, n) else kinds.T
            assert (blocks == blocks[:, :1]).all()
            assert len(set(blocks[:, 0])) == per_batch
    assert len(ours) > reference["out_batches_per_pass"].max()  # theirs leaves images out
    assert set(ours.table().flatten().tolist()) == set(range(len(labels)))


@pytest.mark.parametrize(
    "make", [lambda: ShuffledBatches(100, 10, 0), lambda: BalancedBatches(np.arange(100) % 5, 10, 5, 0)]
)
def test_skip_leaves_out_the_beginning_of_one_pass(make):
    whole, sampler = list(make()), make()
    sampler.skip(4)
    assert torch.equal(torch.stack(list(sampler)), torch.stack(whole[4:]))
    assert len(list(sampler)) == 10


@pytest.mark.parametrize(
    "make", [lambda: ShuffledBatches(100, 10, 0), lambda: BalancedBatches(np.arange(100) % 5, 10, 5, 0)]
)
def test_no_two_epochs_have_the_same_batches(make):
    sampler, seen = make(), set()
    for epoch in range(12):
        sampler.set_epoch(epoch)
        seen.add(tuple(sampler.table().flatten().tolist()))
    assert len(seen) == 12
