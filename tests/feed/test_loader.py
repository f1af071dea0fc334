"""The loader around a dataset, with and without a DataLoader."""

from itertools import islice

import pytest
import torch
from torch.utils.data import DataLoader, SequentialSampler, TensorDataset
from torch.utils.data._utils.pin_memory import pin_memory

from feed_cases import Single, Stream, dataset, loader_of
from properties import untouched
from skgdw._feed import _loader as _batches
from skgdw._feed._dataset import Batch


@pytest.mark.parametrize("at_once", [1, 2**6, 2**20])
@pytest.mark.parametrize("mapping", [False, True])
@pytest.mark.parametrize("options", [{}, {"shuffle": True}, {"shuffle": True, "endless": True}])
def test_direct_batches_are_those_of_a_data_loader(options, mapping, at_once, monkeypatch):
    monkeypatch.setattr(_batches, "_BYTES_AT_ONCE", at_once)
    data = dataset(mapping=mapping)
    direct, loader = loader_of(data, **options), loader_of(data, num_workers=0, **options)
    assert not isinstance(direct, DataLoader)
    assert isinstance(loader, DataLoader)
    assert len(direct) == len(loader)
    # An endless pass is begun once.
    for _ in range(1 if "endless" in options else 2):
        pairs = list(islice(zip(direct, loader, strict=True), 7))
        assert len(pairs) == (7 if "endless" in options else len(loader))
        for one, other in pairs:
            assert torch.equal(one.rows, other.rows)
            assert torch.equal(one[1], other[1])
            parts = (
                [(one[0], other[0])] if not mapping else [(one[0][k], other[0][k]) for k in "ab"]
            )
            assert all(torch.equal(a, b) for a, b in parts)


def test_dataset_moves_as_a_whole():
    moved = dataset(mapping=True).to(torch.device("meta"))
    assert {t.device.type for t in (*moved.X.values(), moved.y, moved.rows)} == {"meta"}
    assert dataset().n_bytes() == 9 * 2 * 4
    assert dataset(mapping=True).n_bytes() == 2 * 9 * 2 * 4


@pytest.mark.parametrize("mapping", [False, True])
@pytest.mark.parametrize("num_workers", [0])
def test_loader_reads_whole_batches(mapping, num_workers):
    loader = loader_of(dataset(mapping=mapping), num_workers=num_workers)
    batches = list(loader)
    assert all(type(batch) is Batch for batch in batches)
    assert [batch.rows.tolist() for batch in batches] == [[0, 10, 20, 30], [40, 50, 60, 70, 80]]
    X, y = batches[0]
    first = X["b"] - 100 if mapping else X
    assert torch.equal(first, torch.arange(8.0).reshape(4, 2))
    assert y.tolist() == [0, 1, 2, 0]
    assert len(loader) == 2


@pytest.mark.parametrize("make", [dataset, Single])
def test_loader_leaves_the_global_random_state_alone(make):
    with untouched():
        for _ in range(2):
            list(loader_of(make(), shuffle=True))


def test_shuffled_loader_follows_its_generator():
    def order(seed):
        loader = loader_of(dataset(50), shuffle=True, seed=seed)
        return [torch.cat([batch.rows for batch in loader]).tolist() for _ in range(2)]

    first, second = order(0)
    assert first != second
    assert sorted(first) == sorted(second) == [10 * k for k in range(50)]
    assert order(0) == [first, second]
    assert order(1)[0] != first


def test_endless_loader():
    loader = loader_of(dataset(5), endless=True)
    rows = torch.cat([batch.rows for batch in islice(iter(loader), 5)])
    assert rows.tolist() == [10 * (k % 5) for k in range(20)]


def test_datasets_of_another_kind_keep_their_collation():
    for data in (Single(), TensorDataset(torch.ones(9, 2), torch.arange(9))):
        batches = list(loader_of(data))
        assert [len(y) for _, y in batches] == [4, 5]
        assert not any(isinstance(batch, Batch) for batch in batches)


def test_iterators_of_another_kind_get_what_skorch_would_give():
    calls = []

    def iterator(data, **kwargs):
        calls.append((data, kwargs))
        return "mine"

    data = dataset()
    assert loader_of(data, iterator=iterator, batch_size=3, shuffle=True, extra=1) == "mine"
    assert calls == [(data, {"batch_size": 3, "shuffle": True, "extra": 1})]


def test_iterable_datasets_get_what_skorch_would_give():
    batches = list(loader_of(Stream()))
    assert [y.tolist() for _, y in batches] == [[0, 1, 2, 0], [1, 2, 0, 1], [2]]


@pytest.mark.parametrize("make", [dataset, Single])
def test_drop_last_of_the_user(make):
    batches = list(loader_of(make(), drop_last=True))
    assert [tuple(X.shape) for X, _ in batches] == [(4, 2), (4, 2)]
    assert [y.tolist() for _, y in batches] == [[0, 1, 2, 0], [1, 2, 0, 1]]


@pytest.mark.parametrize("make", [dataset, Single])
def test_sampler_of_the_user(make):
    data = make()
    batches = list(loader_of(data, sampler=[8, 0, 7, 1, 1]))
    assert [y.tolist() for _, y in batches] == [[2, 0, 1, 1], [1]]


@pytest.mark.parametrize("make", [dataset, Single])
def test_batch_sampler_of_the_user(make):
    data = make()
    sampler = torch.utils.data.BatchSampler(SequentialSampler(data), 2, drop_last=True)
    batches = list(loader_of(data, batch_sampler=sampler, batch_size=1))
    assert [len(y) for _, y in batches] == [2, 2, 2, 2]


@pytest.mark.parametrize("make", [dataset, Single])
def test_loader_of_the_user_leaves_the_global_random_state_alone(make):
    with untouched():
        orders = [
            [y.tolist() for _, y in loader_of(make(), shuffle=True, drop_last=True)]
            for _ in range(2)
        ]
    assert orders[0] == orders[1]  # the generator decides


def test_pinning_memory_keeps_a_batch_a_pair():
    rebuilt = Batch(part for part in (torch.ones(2, 2), torch.zeros(2)))
    assert torch.equal(rebuilt[0], torch.ones(2, 2))
    assert rebuilt.rows is None
    assert callable(pin_memory)  # which rebuilds tuples by their type
