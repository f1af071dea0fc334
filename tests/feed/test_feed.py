"""Meta sets with uneven classes, and the first rows, of whatever they may be made."""

import numpy as np
import pytest
import torch
from sklearn.model_selection import ParameterGrid
from torch.utils.data import DataLoader, Dataset, IterableDataset, SequentialSampler

from classifier_cases import Rows, blobs, quick, weights
from skgdw._feed._dataset import RowDataset
from skgdw._feed._feed import Feed, Loading
from skgdw._feed._layout import Layout
from skgdw._intake._hold_out import Rows as Part

X, Y, X_META, Y_META = blobs()
# 4, 4 and 1 meta rows.
FEW = np.concatenate([np.flatnonzero(k == Y_META)[: 1 if k == 2 else 4] for k in range(3)])
UNEVEN = X, Y, X_META[FEW], Y_META[FEW]


class Labels(DataLoader):
    """Writes down the class codes of its batches."""

    seen: list

    def __iter__(self):
        for batch in super().__iter__():
            type(self).seen.append(batch[1].tolist())
            yield batch


def meta_labels(data, **params):
    """Return the class codes of the meta batches of a fit."""
    Labels.seen = []
    quick(iterator_meta=Labels, **{"max_epochs": 6, **params}).fit(*data)
    return np.array(Labels.seen)


def test_classes_with_few_meta_rows_come_as_often_as_the_others():
    # Passes of three rows a class.
    for one in meta_labels(UNEVEN, iterator_meta__batch_size=9, batch_size=8):
        assert np.bincount(one).tolist() == [3, 3, 3]


@pytest.mark.parametrize(
    "params",
    [
        {"balance_meta": False},
        {"iterator_meta__shuffle": False},
        {"iterator_meta__sampler": SequentialSampler(FEW)},
    ],
    ids=["switched off", "in order", "own sampler"],
)
def test_rows_come_as_they_are_where_they_are_not_to_be_balanced(params):
    codes = meta_labels(UNEVEN, iterator_meta__batch_size=9, batch_size=8, **params)
    for one in codes:
        assert np.bincount(one).tolist() == [4, 4, 1]


@pytest.mark.parametrize("size", [-1, 100])
def test_the_largest_batch_is_one_balanced_pass(size):
    codes = meta_labels(UNEVEN, iterator_meta__batch_size=size, batch_size=8)
    assert codes.shape[1] == 9
    assert {tuple(np.bincount(one)) for one in codes} == {(3, 3, 3)}


def test_dropping_short_batches_where_there_are_none_changes_nothing():
    options = {"iterator_meta__batch_size": 6, "batch_size": 8}
    found = [meta_labels(UNEVEN, **options, iterator_meta__drop_last=v) for v in (True, False)]
    assert np.array_equal(*found)


def test_meta_rows_in_a_dataset_are_balanced_by_their_labels():
    data = (
        Rows(X.astype(np.float32), Y),
        Y,
        Rows(UNEVEN[2].astype(np.float32), UNEVEN[3]),
        UNEVEN[3],
    )
    codes = meta_labels(data, iterator_meta__batch_size=6, batch_size=8)
    assert np.bincount(codes[0]).tolist() == [2, 2, 2]


def test_labels_inside_a_dataset_are_not_read_ahead():
    mask = np.arange(len(X) + len(FEW)) >= len(X)
    both = Rows(np.concatenate([X, UNEVEN[2]]).astype(np.float32), np.concatenate([Y, UNEVEN[3]]))
    options = {"iterator_meta": Labels, "iterator_meta__batch_size": 9, "batch_size": 8}
    Labels.seen = []
    quick(classes=[0, 1, 2], **options).fit(both, meta_mask=mask)
    assert np.bincount(Labels.seen[0]).tolist() == [4, 4, 1]


def test_even_meta_sets_are_trained_on_alike_with_and_without():
    on, off = (quick(balance_meta=value).fit(X, Y, X_META, Y_META) for value in (True, False))
    assert np.array_equal(weights(on), weights(off))


def test_uneven_meta_sets_are_trained_on_differently():
    on, off = (quick(balance_meta=value).fit(*UNEVEN) for value in (True, False))
    assert not np.array_equal(weights(on), weights(off))


def test_a_mask_and_partial_fit_balance_too():
    mask = np.arange(len(X) + len(FEW)) >= len(X)
    X_all, y_all = np.concatenate([X, UNEVEN[2]]), np.concatenate([Y, UNEVEN[3]])
    options = {"iterator_meta": Labels, "iterator_meta__batch_size": 6, "batch_size": 8}
    Labels.seen = []
    quick(**options).fit(X_all, y_all, meta_mask=mask)
    assert np.bincount(Labels.seen[0]).tolist() == [2, 2, 2]
    Labels.seen = []
    quick(**options).partial_fit(*UNEVEN[:2], X_meta=UNEVEN[2], y_meta=UNEVEN[3])
    assert np.bincount(Labels.seen[0]).tolist() == [2, 2, 2]


@pytest.mark.parametrize("value", ["auto", 1, None])
def test_balance_meta_is_a_switch(value):
    with pytest.raises(ValueError, match="`balance_meta` must be True or False; got"):
        quick(balance_meta=value).fit(*UNEVEN)


def test_numpy_booleans_of_a_grid_are_taken():
    for params in ParameterGrid({"balance_meta": np.array([True, False])}):
        quick(**params).fit(*UNEVEN)


# The first rows.


class Stream(IterableDataset):
    """Rows that come in their order and cannot be asked for."""

    def __init__(self, X, y):
        self.pairs = [(row, int(label)) for row, label in zip(X.astype(np.float32), y, strict=True)]

    def __len__(self):
        return len(self.pairs)

    def __iter__(self):
        return iter(self.pairs)


class Windows(Dataset):
    """Means of sixteen rows after another."""

    def __init__(self, X, y):
        if len(X) < 16:
            raise ValueError("a window has sixteen rows")
        self.X, self.y = X, y

    def __len__(self):
        return len(self.X) - 15

    def __getitem__(self, index):
        return torch.as_tensor(self.X[index : index + 16]).mean(dim=0), int(self.y[index])


def own(X, y):
    """Make a dataset as the classifier does: one that is made already stays as it is."""
    return X if isinstance(X, Dataset) else RowDataset(torch.as_tensor(X), torch.as_tensor(y))


def feed(make=own, **options):
    loading = Loading(DataLoader, 8, options)
    return Feed(make, loading, loading, Layout("cpu"), balance_meta=True, meta_seed=0)


def part(X, y):
    return Part(X, y, np.arange(len(X)))


def collate(samples):
    """Collate as a user would."""
    X = torch.stack([torch.as_tensor(x) for x, _ in samples])
    return X, torch.tensor([int(y) for _, y in samples])


@pytest.mark.parametrize("options", [{}, {"collate_fn": collate}])
@pytest.mark.parametrize(
    ("make", "rows"),
    [
        (own, part(X, Y)),
        (own, part(Rows(X, Y), None)),
        (own, part(Stream(X, Y), None)),
        (Rows, part(torch.as_tensor(X), Y)),
    ],
    ids=["array", "dataset", "stream", "own class"],
)
def test_the_first_rows_are_the_first(options, make, rows):
    found = feed(make, **options)
    for first in (found.first_training_rows(rows, 5), found.first_meta_rows(rows, 5)):
        np.testing.assert_allclose(first[0], X[:5], rtol=1e-6)
        assert first[1].tolist() == Y[:5].tolist()


def test_a_few_rows_are_all_that_is_made_of_an_array():
    made = []

    def make(X, y):
        made.append(len(X))
        return own(X, y)

    assert len(feed(make).first_training_rows(part(X, Y), 5)[1]) == 5
    assert len(feed(make).first_training_rows(part(X[:3], Y[:3]), 5)[1]) == 3
    assert made == [5, 3]


def test_a_class_that_is_at_a_loss_with_few_rows_gets_all_of_them():
    first, codes = feed(Windows).first_training_rows(part(X, Y), 8)
    np.testing.assert_allclose(first[3], X[3:19].mean(axis=0))
    assert codes.tolist() == Y[:8].tolist()
    with pytest.raises(ValueError, match="a window has sixteen rows"):
        feed(Windows).first_training_rows(part(X[:9], Y[:9]), 8)


def test_classes_of_items_that_are_no_rows_are_not_balanced():
    rows = part(X[:29], Y[:29])  # uneven classes
    batches = feed(Windows).meta_batches(rows)
    seen = np.concatenate([next(batches)[0].numpy() for _ in range(14)])
    windows = np.stack([X[k : k + 16].mean(axis=0) for k in range(14)])
    found = np.abs(seen[:, None] - windows).sum(axis=2)
    assert np.bincount(found.argmin(axis=1), minlength=14).tolist() == [8] * 14
    assert found.min(axis=1).max() < 1e-9


@pytest.mark.parametrize("weighting", ["class", "uniform"])
def test_a_fit_on_a_stream(weighting):
    data = Stream(X, Y), None, Rows(X_META.astype(np.float32), Y_META), Y_META
    params = {"weighting": weighting, "classes": [0, 1, 2], "batch_size": 16, "max_epochs": 2}
    in_order = quick(**params, iterator_train__shuffle=False).fit(X, Y, X_META, Y_META)
    net = quick(**params).fit(*data)
    np.testing.assert_allclose(weights(net), weights(in_order), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("weighting", ["class", "uniform"])
def test_a_fit_with_a_class_that_makes_other_items_than_rows(weighting):
    X_long, y_long = np.tile(X_META, (2, 1)), np.tile(Y_META, 2)
    net = quick(weighting=weighting, dataset=Windows, batch_size=16)
    net.fit(X.astype(np.float32), Y, X_long.astype(np.float32) + 0.01, y_long)
    sizes = [batch["train_batch_size"] for batch in net.history[0]["batches"]]
    assert sum(sizes) == len(X) - 15
