"""Row numbers under every kind of loader, Dataset and collate function."""

import copy
import pickle
from collections import namedtuple
from functools import partial

import numpy as np
import pytest
import torch
from skorch.dataset import ValidSplit
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    TensorDataset,
    default_collate,
)

from classifier_cases import Rows, blobs, quick, weights
from feed_cases import Single, Stream, dataset, loader_of, one_by_one
from skgdw._feed._dataset import Batch, RowDataset
from skgdw._feed._numbers import Fetched, Numbered, rows_of

DATA = blobs()
X, Y, X_META, Y_META = DATA
X32, X_META32 = X.astype(np.float32), X_META.astype(np.float32)


def as_list(samples):
    return list(one_by_one(samples))


def as_mapping(samples):
    X, y = one_by_one(samples)
    return {"a": X, "b": X + 1}, y


Pair = namedtuple("Pair", "inputs labels")


def as_named(samples):
    return Pair(*one_by_one(samples))


def of_mappings(samples):
    assert all(type(sample) is tuple for sample in samples)
    X, y = default_collate(samples)
    return X["b"] - 100, y


class Own(DataLoader):
    """A loader with a collate function of its own."""

    def __init__(self, dataset, **options):
        super().__init__(dataset, **{**options, "collate_fn": as_list})


class Plain(DataLoader):
    pass


class Whole(Single):
    """A Dataset that fetches whole batches."""

    def __getitems__(self, indices):
        return [self[index] for index in indices]


class Choosy(Single):
    """A Dataset that leaves out samples of a batch."""

    def __getitems__(self, indices):
        return [self[index] for index in indices if index != 1]


class Columns(Single):
    """A Dataset that collates by itself, as some that read from tables do."""

    def __getitems__(self, indices):
        where = torch.as_tensor(indices)
        return where[:, None].expand(-1, 2).float(), where % 3


# Every way to make a loader that has rows to tell.
KINDS = {
    "plain": {},
    "shuffled": {"shuffle": True},
    "endless": {"shuffle": True, "endless": True},
    "collate": {"collate_fn": one_by_one},
    "collate to a list": {"collate_fn": as_list, "shuffle": True},
    "collate to a mapping": {"collate_fn": as_mapping},
    "collate to a namedtuple": {"collate_fn": as_named},
    "torch's collate": {"collate_fn": default_collate},
    "drop_last": {"drop_last": True, "shuffle": True},
    "sampler": {"sampler": [8, 0, 7, 1, 1]},
    "sampler of tensors": {"sampler": [torch.tensor(8), torch.tensor(3)]},
    "sampler and collate": {"sampler": np.array([8, 0, 7, 1]), "collate_fn": as_list},
    "batch_sampler": {"batch_sampler": BatchSampler(range(9), 2, drop_last=True)},
    "random batch_sampler": {
        "batch_sampler": BatchSampler(RandomSampler(range(9)), 2, drop_last=False),
        "collate_fn": one_by_one,
    },
    "workers": {"num_workers": 2, "shuffle": True},
    "workers and collate": {"num_workers": 2, "shuffle": True, "collate_fn": as_list},
    "subclass": {"iterator": Plain, "shuffle": True},
    "subclass that collates": {"iterator": Own, "shuffle": True},
    "partial": {"iterator": partial(DataLoader, collate_fn=one_by_one), "shuffle": True},
    "partial of a subclass": {"iterator": partial(Own, drop_last=True), "shuffle": True},
}


def assert_rows_are_true(batch, *, own):
    assert type(batch) is Batch
    X, y = batch
    X = X["a"] if isinstance(X, dict) else X
    index = (X[:, 0] / (2 if own else 1)).long()
    assert batch.rows.tolist() == (10 * index + (0 if own else 3)).tolist()
    assert y.tolist() == (index % 3).tolist()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("make", [dataset, Single, Whole])
def test_batches_know_their_rows(kind, make):
    own = make is dataset
    loader = loader_of(make(), rows=None if own else torch.arange(9) * 10 + 3, **KINDS[kind])
    seen = []
    for _, batch in zip(range(4), loader, strict=False):
        assert_rows_are_true(batch, own=own)
        seen.append(len(batch[1]))
    assert sum(seen) >= 2


@pytest.mark.parametrize("options", [{}, {"num_workers": 2}, {"sampler": [7, 8, 1]}])
def test_datasets_that_collate_by_themselves(options):
    rows = torch.arange(9) * 10 + 3
    for batch in loader_of(Columns(), rows=rows, collate_fn=tuple, **options):
        assert_rows_are_true(batch, own=False)


def test_parts_of_a_loader_can_be_sent_to_workers():
    loader = loader_of(Single(), rows=torch.arange(9) * 10 + 3, collate_fn=as_list)
    data, collate = pickle.loads(pickle.dumps((loader.dataset, loader.collate_fn)))
    assert_rows_are_true(collate(data.__getitems__([8, 2])), own=False)


def test_named_inputs_reach_a_collate_function_as_samples():
    loader = loader_of(dataset(mapping=True, trusted=True), collate_fn=of_mappings)
    batches = list(loader)
    for batch in batches:
        assert_rows_are_true(batch, own=True)
    assert batches[1].trusted.tolist() == [False, True, False, False, False]


def test_datasets_without_numbers():
    for options in ({}, {"rows": torch.arange(9)}):
        batches = list(loader_of(Stream(), **options))
        assert not any(isinstance(batch, Batch) for batch in batches)
    assert type(next(iter(loader_of(Single())))) is list


def drops(samples):
    return one_by_one([sample for sample in samples if sample[1] != 1])


def sorts(samples):
    return one_by_one(sorted(samples, key=lambda sample: int(sample[1])))


@pytest.mark.parametrize("make", [dataset, Single])
@pytest.mark.parametrize("collate", [drops, sorts])
def test_rows_that_were_dropped_or_sorted_have_no_numbers(make, collate):
    """Numbers of other rows would be worse than none."""
    batches = list(loader_of(make(), rows=torch.arange(9), collate_fn=collate))
    assert all(type(batch) is Batch and batch.rows is None for batch in batches)


@pytest.mark.parametrize(
    "collate", [lambda samples: one_by_one(samples)[0], lambda samples: (*one_by_one(samples), 1)]
)
def test_what_is_no_pair_is_left_to_skorch(collate):
    (batch, *_), samples = loader_of(dataset(), collate_fn=collate), dataset()[torch.arange(4)]
    expected = collate(samples.samples())
    assert type(batch) is type(expected)
    assert len(batch) == len(expected)


def test_labels_that_are_no_codes_are_not_compared():
    class Texts(Single):
        def __getitem__(self, index):
            return torch.full((2,), float(index)), "abc"[index % 3]

    def collate(samples):
        return torch.stack([x for x, _ in samples]), torch.tensor(
            ["abc".index(y) for _, y in samples]
        )

    for batch in loader_of(Texts(), rows=torch.arange(9) * 10 + 3, collate_fn=collate):
        assert_rows_are_true(batch, own=False)


@pytest.mark.parametrize("indices", [["a", "b"], [(0, 32), (1, 64)], [40, 1]])
def test_indices_that_are_none_have_no_numbers(indices):
    class Keyed(Dataset):
        def __len__(self):
            return 2

        def __getitem__(self, key):
            return torch.zeros(2), 0

    (batch,) = loader_of(Keyed(), rows=torch.arange(2), sampler=indices)
    assert batch.rows is None
    assert batch[0].shape == (2, 2)


def test_a_numbered_dataset_is_the_users_to_everyone_else():
    class Own(Single):
        targets = "mine"

    data = Numbered(Own(), torch.arange(9))
    assert len(data) == 9
    assert data.targets == "mine"
    assert data[4][1] == 1
    assert not hasattr(data, "samples")
    fetched = data.__getitems__([4, 1])
    assert isinstance(fetched, Fetched)
    assert fetched.rows.tolist() == [4, 1]
    for twin in (
        copy.deepcopy(data),
        pickle.loads(pickle.dumps(Numbered(Single(), torch.arange(9)))),
    ):
        assert type(twin) is Numbered
        assert isinstance(twin, Single)
        assert twin.__getitems__([4]).rows.tolist() == [4]


def test_nobody_knows_the_rows_where_a_dataset_leaves_samples_out():
    data = Numbered(Choosy(), torch.arange(9))
    assert data.__getitems__([4, 2]).rows.tolist() == [4, 2]
    assert data.__getitems__([4, 1]).rows is None


def test_a_numbered_dataset_has_the_class_and_the_attributes_of_the_users():
    """Also those by which it might have been known itself."""

    class Own(Single):
        dataset, rows = "mine", [1, 2]

        def __init__(self):
            super().__init__()
            self.epoch = 0

    own = Own()
    data = Numbered(own, torch.arange(9))
    assert isinstance(data, Own)
    assert isinstance(data, Numbered)
    assert not isinstance(data, Subset)
    assert (data.dataset, data.rows) == ("mine", [1, 2])
    data.epoch = 3
    assert own.epoch == 3
    assert copy.copy(data).epoch == 3


class Checking(DataLoader):
    """A loader for one kind of dataset."""

    def __init__(self, dataset, **options):
        if not isinstance(dataset, Single):
            raise TypeError(f"not for {type(dataset)}")
        super().__init__(dataset, **options)


@pytest.mark.parametrize("options", [{}, {"num_workers": 2}])
def test_loaders_that_look_at_the_class_of_their_dataset(options):
    rows = torch.arange(9) * 10 + 3
    batches = list(loader_of(Single(), rows=rows, iterator=Checking, **options))
    for batch in batches:
        assert_rows_are_true(batch, own=False)
    assert len(batches) == 2


def test_loaders_that_read_by_themselves_get_what_they_know():
    class Twice(DataLoader):
        def __iter__(self):
            for indices in self.batch_sampler:
                yield default_collate([self.dataset[index] for index in indices])

    batches = list(loader_of(Single(), rows=torch.arange(9), iterator=Twice))
    assert [y.tolist() for _, y in batches] == [[0, 1, 2, 0], [1, 2, 0, 1, 2]]


def test_rows_of_parts():
    whole, rows = Single(), np.arange(9) * 10
    assert rows_of(whole, whole, rows).tolist() == rows.tolist()
    part = Subset(whole, [5, 2, 7])
    assert rows_of(part, whole, rows).tolist() == [50, 20, 70]
    assert rows_of(Subset(part, np.array([2, 0])), whole, rows).tolist() == [70, 50]
    # What fit was given may be a Subset itself.
    assert rows_of(part, part, rows[:3]).tolist() == [0, 10, 20]
    assert rows_of(Subset(part, [2]), part, rows[:3]).tolist() == [20]


def test_rows_of_datasets_made_in_other_ways():
    rows = np.arange(9) * 10
    assert rows_of(Single(), Single(), rows) is None
    # Made of arrays, by a class given as `dataset=`.
    assert rows_of(Single(), np.zeros((9, 2)), rows).tolist() == rows.tolist()
    assert rows_of(Subset(Single(), [3]), np.zeros((9, 2)), rows).tolist() == [30]
    assert rows_of(Single(4), np.zeros((9, 2)), rows) is None


# Whole fits.


def pad(samples):
    """Collate as a user would who has rows of different lengths."""
    X = torch.stack([torch.as_tensor(x) for x, _ in samples])
    return [X, torch.tensor([int(y) for _, y in samples])]


@pytest.mark.parametrize("options", [{}, {"iterator_train__num_workers": 2}])
def test_row_weights_under_a_collate_function(options):
    expected = quick().fit(X32, Y, X_META32, Y_META)
    net = quick(iterator_train__collate_fn=pad, **options).fit(X32, Y, X_META32, Y_META)
    assert np.array_equal(net.row_weights_, expected.row_weights_)
    assert not np.isnan(net.row_weights_).any()
    assert np.array_equal(weights(net), weights(expected))


@pytest.mark.parametrize("kind", [Rows, lambda X, y: TensorDataset(*map(torch.tensor, (X, y)))])
@pytest.mark.parametrize("options", [{}, {"iterator_train__collate_fn": pad}])
def test_row_weights_of_a_dataset_of_the_users(kind, options):
    expected = quick().fit(X32, Y, X_META32, Y_META)
    net = quick(classes=[0, 1, 2], **options).fit(
        kind(X32, Y), None, kind(X_META32, Y_META), Y_META
    )
    np.testing.assert_allclose(net.row_weights_, expected.row_weights_, rtol=1e-5)


def test_row_weights_of_a_dataset_with_a_mask_and_held_out_rows():
    mask = np.arange(48) % 4 == 1
    options = {"train_split": ValidSplit(5, stratified=False), "max_epochs": 2}
    expected = quick(**options).fit(X32, Y, meta_mask=mask)
    net = quick(classes=[0, 1, 2], **options).fit(Rows(X32, Y), meta_mask=mask)
    seen = ~np.isnan(expected.row_weights_)
    assert seen.sum() == 36 - 8
    assert not seen[mask].any()
    np.testing.assert_allclose(net.row_weights_, expected.row_weights_, rtol=1e-5)


def test_row_weights_with_a_dataset_class_of_the_users():
    expected = quick().fit(X32, Y, X_META32, Y_META)
    net = quick(dataset=Rows).fit(X32, Y, X_META32, Y_META)
    np.testing.assert_allclose(net.row_weights_, expected.row_weights_, rtol=1e-5)


def test_batches_of_the_training_alone_are_numbered():
    """A sampler of the user's decides which rows come, and these alone have weights."""
    net = quick(iterator_train__sampler=SequentialSampler(range(30)), classes=[0, 1, 2])
    net.fit(Rows(X32, Y), None, Rows(X_META32, Y_META), Y_META)
    assert np.array_equal(np.isnan(net.row_weights_), np.arange(48) >= 30)
    assert isinstance(net.get_dataset(X32), RowDataset)


BEYOND = {
    "rows taken out": {"iterator_train__sampler": [3, 47]},
    "batches": {"iterator_train__batch_sampler": [[0, 1], [2, 36]]},
    "rows held out": {"iterator_train__sampler": range(36), "train_split": ValidSplit(3)},
    "workers": {"iterator_train__sampler": [3, 47], "iterator_train__num_workers": 1},
}


@pytest.mark.parametrize("rows", [lambda: X32, lambda: Rows(X32, Y)], ids=["array", "Dataset"])
@pytest.mark.parametrize("case", BEYOND)
def test_samplers_draw_from_the_rows_of_their_loader(case, rows):
    """A sampler made for X asks for rows that a mask or a split has taken out."""
    given, net = rows(), quick(classes=[0, 1, 2], **BEYOND[case])
    words = (
        r"`sampler` and `batch_sampler` must draw places in the rows that their loader is for, "
        r"0 to \d+; got \d+\. Rows that `meta_mask` marks, .*: make the sampler for the others"
    )
    with pytest.raises(ValueError, match=words):
        net.fit(given, None if isinstance(given, Rows) else Y, meta_mask=np.arange(48) % 4 == 1)


def test_samplers_of_meta_rows_draw_from_these():
    net = quick(iterator_meta__sampler=[3, 12])
    with pytest.raises(ValueError, match=r"`sampler` and `batch_sampler` must .* 0 to 11; got 12"):
        net.fit(*DATA)


def test_an_index_error_of_a_dataset_is_its_own():
    class Broken(Rows):
        def __getitem__(self, i):
            return [][i] if i == 5 else super().__getitem__(i)

    net = quick(classes=[0, 1, 2], iterator_train__sampler=[0, 1, 5])
    with pytest.raises(IndexError, match="list index out of range"):
        net.fit(Broken(X32, Y), None, Rows(X_META32, Y_META))


def test_keys_are_no_places_to_be_looked_at():
    with pytest.raises(IndexError, match="list index"):
        Numbered([0], torch.arange(1)).__getitems__([slice(1), 9])
