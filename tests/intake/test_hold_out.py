"""Which rows teach and which are trained on."""

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from skgdw._intake._hold_out import hold_out, separate
from skgdw.exceptions import NoMetaSetWarning

Y = np.repeat([0, 1, 2], [20, 6, 1])
CLASSES = np.array(["a", "b", "c"])


def held_out(meta_size, *, seed=0, y=Y, classes=CLASSES, weight=None):
    X = np.arange(2 * len(y)).reshape(-1, 2)
    with pytest.warns(NoMetaSetWarning) as caught:
        train, meta = hold_out(X, y, classes, meta_size, np.random.RandomState(seed), weight)
    return train, meta, str(caught[0].message)


@pytest.mark.parametrize(
    ("meta_size", "counts"), [(4, [2, 2, 0]), (8, [5, 3, 0]), (0.15, [3, 2, 0]), (100, [10, 3, 0])]
)
def test_hold_out_balances_and_leaves_half(meta_size, counts):
    train, meta, _ = held_out(meta_size)
    assert np.bincount(meta.y, minlength=3).tolist() == counts
    assert (np.bincount(train.y, minlength=3) == np.bincount(Y) - counts).all()
    rows = np.concatenate([train.rows, meta.rows])
    assert sorted(rows.tolist()) == list(range(len(Y)))
    for part in (train, meta):
        assert (part.X[:, 0] == 2 * part.rows).all()
        assert (part.y == Y[part.rows]).all()


def test_hold_out_follows_its_seed():
    first, again, other = (held_out(8, seed=seed)[1].rows for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()


def test_rows_that_do_not_count_do_not_teach():
    weight = np.where(np.arange(len(Y)) % 2, 0.0, 2.0)
    train, meta, _ = held_out(4, weight=weight)
    assert (weight[meta.rows] == 2).all()
    as_if_gone = held_out(4, y=Y[weight > 0])[1]
    assert (np.flatnonzero(weight)[as_if_gone.rows] == meta.rows).all()
    assert len(train.rows) == len(Y) - 4
    assert held_out(4, weight=np.ones(len(Y)))[1].rows.tolist() == held_out(4)[1].rows.tolist()


def test_hold_out_says_what_it_can_mend():
    message = held_out(4)[2]
    assert message.startswith("No meta set was given: 4 of the 27 rows, balanced over the classes")
    assert "can mend class imbalance; it cannot mend label noise" in message
    assert message.endswith("Classes with a single row gave none: ['c'].")
    assert "single row" not in held_out(4, y=np.repeat([0, 1, 2], 9))[2]


def test_separate_by_mask():
    X, mask = np.arange(5), np.array([False, True, False, False, True])
    train, meta = separate(X, X * 10, mask)
    assert train.rows.tolist() == train.X.tolist() == [0, 2, 3]
    assert meta.rows.tolist() == meta.X.tolist() == [1, 4]
    assert meta.y.tolist() == [10, 40]


def test_separate_mappings_and_datasets():
    mask = np.array([False, True, False])
    mapping = {"a": np.arange(3), "b": np.ones((3, 2))}
    train, meta = separate(mapping, np.arange(3), mask)
    assert train.X["a"].tolist() == [0, 2]
    assert meta.X["b"].shape == (1, 2)
    data = TensorDataset(torch.arange(3), torch.arange(3) * 10)
    train, meta = separate(data, None, mask)
    assert train.y is None
    assert [int(y) for _, y in train.X] == [0, 20]
    assert [int(x) for x, _ in meta.X] == [1]
