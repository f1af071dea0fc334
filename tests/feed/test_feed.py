"""Meta sets with uneven classes: which rows the meta batches hold."""

import numpy as np
import pytest
from sklearn.model_selection import ParameterGrid
from torch.utils.data import DataLoader, SequentialSampler

from classifier_cases import Rows, blobs, quick, weights

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
