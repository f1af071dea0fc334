"""Index batches, the dataset that hands them out, and the loader around both."""

import copy
import pickle
from itertools import islice

import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, SequentialSampler, TensorDataset
from torch.utils.data._utils.pin_memory import pin_memory

from properties import untouched
from skgdw._feed import _loader as _batches
from skgdw._feed._dataset import Batch, RowDataset, n_rows, take
from skgdw._feed._loader import make_loader

# Batches and datasets.


def dataset(n=9, *, mapping=False):
    X = torch.arange(2.0 * n).reshape(n, 2)
    inputs = {"a": X, "b": X + 100} if mapping else X
    return RowDataset(inputs, torch.arange(n) % 3, rows=torch.arange(n) * 10)


def test_batch_is_a_pair_that_knows_its_rows():
    batch = dataset()[torch.tensor([4, 1])]
    X, y = batch
    assert isinstance(batch, tuple)
    assert torch.equal(X, torch.tensor([[8.0, 9.0], [2.0, 3.0]]))
    assert y.tolist() == [1, 1]
    assert batch.rows.tolist() == [40, 10]
    assert Batch(X, y).rows is None


@pytest.mark.parametrize(
    "again",
    [copy.copy, copy.deepcopy, *(lambda b, p=p: pickle.loads(pickle.dumps(b, p)) for p in (2, 5))],
    ids=["copy", "deepcopy", "pickle 2", "pickle 5"],
)
def test_batch_survives_copies_and_pickles(again):
    batch = dataset()[torch.tensor([4, 1])]
    twin = again(batch)
    assert type(twin) is Batch
    assert all(map(torch.equal, twin, batch))
    assert torch.equal(twin.rows, batch.rows)


def test_subset_keeps_places():
    part = dataset(mapping=True).subset([5, 2])
    assert len(part) == 2
    assert part.rows.tolist() == [50, 20]
    assert part.y.tolist() == [2, 2]
    assert torch.equal(part.X["b"][:, 0], torch.tensor([110.0, 104.0]))


def test_dataset_without_labels_is_for_prediction():
    data = RowDataset(torch.zeros(3, 2))
    assert data.y.tolist() == [0, 0, 0]
    assert data.rows.tolist() == [0, 1, 2]


def test_rows_of_mappings():
    X = {"a": torch.arange(4.0), "b": torch.ones(4, 2)}
    assert n_rows(X) == 4
    assert take(X, torch.tensor([2]))["a"].tolist() == [2.0]


# Loaders.


def loader_of(data, *, batch_size=4, shuffle=False, seed=0, iterator=DataLoader, **kwargs):
    generator = torch.Generator().manual_seed(seed)
    return make_loader(
        iterator, data, batch_size=batch_size, shuffle=shuffle, generator=generator, **kwargs
    )


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


class Single(Dataset):
    """A dataset of the user's own: one row at a time."""

    def __len__(self):
        return 9

    def __getitem__(self, index):
        return torch.full((2,), float(index)), index % 3


class Stream(IterableDataset):
    def __iter__(self):
        return iter(Single()[index] for index in range(9))


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
