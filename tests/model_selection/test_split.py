"""split_meta: halves, seeds, containers, warnings and refusals."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy import sparse

from skgdw.exceptions import MetaClassWarning
from skgdw.model_selection import split_meta

seeds = st.integers(0, 2**32 - 1)


def labels_of(counts):
    return np.random.RandomState(0).permutation(np.repeat(np.arange(len(counts)), counts))


@settings(max_examples=50)
@given(st.lists(st.integers(2, 30), min_size=2, max_size=6), seeds)
def test_parts_are_disjoint_complete_and_in_order(counts, seed):
    y = labels_of(counts)
    X_rest, y_rest, X_meta, y_meta = split_meta(
        np.arange(len(y)), y, len(counts), random_state=seed
    )
    assert_array_equal(np.sort(np.concatenate([X_rest, X_meta])), np.arange(len(y)))
    assert (np.diff(X_rest) > 0).all()
    assert (np.diff(X_meta) > 0).all()
    assert_array_equal(y_rest, y[X_rest])
    assert_array_equal(y_meta, y[X_meta])
    assert_array_equal(np.sort(y_meta), np.arange(len(counts)))


def test_seed_alone_decides():
    y = labels_of([40, 40])
    X = np.arange(80)
    before = np.random.get_state()  # noqa: NPY002 (the state under test)
    first, again, other = (split_meta(X, y, 10, random_state=s)[2].tolist() for s in (0, 0, 1))
    split_meta(X, y, 10)
    after = np.random.get_state()  # noqa: NPY002
    assert first == again != other
    assert_array_equal(after[1], before[1])
    assert after[2] == before[2]


@pytest.mark.parametrize("meta_size", [np.int32(6), np.float32(0.1)])
def test_numpy_numbers_are_sizes_too(meta_size):
    y = labels_of([30, 30])
    assert len(split_meta(y, y, meta_size, random_state=0)[3]) in (6, 7)


def test_containers_come_back_in_kind():
    y = np.array(["a", "b"])[np.arange(20) % 2]
    X = np.arange(40.0).reshape(20, 2)
    _, _, rows, _ = split_meta(np.arange(20), y, 6, random_state=0)
    frame = pd.DataFrame(X, index=range(50, 70), columns=["u", "v"])
    series = pd.Series(y, index=range(20), dtype="category")
    X_rest, y_rest, X_meta, y_meta = split_meta(frame, series, 6, random_state=0)
    pd.testing.assert_frame_equal(X_meta, frame.iloc[rows])
    pd.testing.assert_series_equal(y_meta, series.iloc[rows])
    pd.testing.assert_frame_equal(X_rest, frame.drop(index=X_meta.index))
    pd.testing.assert_series_equal(y_rest, series.drop(index=y_meta.index))

    _, _, X_meta, y_meta = split_meta(X.tolist(), y.tolist(), 6, random_state=0)
    assert X_meta == X[rows].tolist()
    assert y_meta == y[rows].tolist()

    codes = np.arange(20) % 2
    images = torch.arange(80).reshape(20, 1, 2, 2)
    _, _, X_meta, y_meta = split_meta(images, torch.tensor(codes), 6, random_state=0)
    assert torch.equal(X_meta, images[rows.tolist()])
    assert torch.equal(y_meta, torch.tensor(codes)[rows.tolist()])

    _, _, X_meta, y_meta = split_meta(sparse.csc_array(X), np.eye(2)[codes], 6, random_state=0)
    assert X_meta.format == "csc"
    assert_array_equal(X_meta.toarray(), X[rows])
    assert_array_equal(y_meta, np.eye(2)[codes][rows])


def test_classes_of_one_row_are_listed():
    y = ["a"] * 10 + ["b"] + ["c"] * 10 + ["d"]
    match = r"two rows to give one .*; got one row of \['b', 'd'\], which stay without a meta row;"
    with pytest.warns(MetaClassWarning, match=match) as record:
        _, y_rest, _, y_meta = split_meta(list(range(22)), y, 4, random_state=0)
    assert [w.filename for w in record] == [__file__]
    assert sorted(y_meta) == ["a", "a", "c", "c"]
    assert {"b", "d"} <= set(y_rest)


@pytest.mark.parametrize(("meta_size", "n_asked"), [(12, 12), (0.9, 18)])
def test_classes_that_cannot_give_enough_are_warned_of(meta_size, n_asked):
    y = [0, 1] * 10
    match = f"leave at least half of each .*; got {n_asked} rows asked for, so 10 were taken; ask"
    with pytest.warns(MetaClassWarning, match=match) as record:
        _, y_rest, _, y_meta = split_meta(y, y, meta_size, random_state=0)
    assert [w.filename for w in record] == [__file__]
    assert sorted(y_meta) == sorted(y_rest) == [0] * 5 + [1] * 5


def test_full_halves_are_not_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        split_meta([0, 1] * 10, [0, 1] * 10, 10, random_state=0)


@pytest.mark.parametrize(
    ("meta_size", "error", "match"),
    [
        (2, ValueError, "`meta_size` must be at least the number of classes, 3; got 2 rows; pass"),
        (0, ValueError, "at least the number of classes, 3; got 0 rows"),
        (-5, ValueError, "at least the number of classes, 3; got -5 rows"),
        (0.0, ValueError, "as a float must lie strictly between 0 and 1; got 0.0; pass a share"),
        (1.0, ValueError, "strictly between 0 and 1; got 1.0; .* or an int"),
        (10.0, ValueError, "strictly between 0 and 1; got 10.0;"),
        (float("nan"), ValueError, "strictly between 0 and 1; got nan;"),
        (True, TypeError, r"must be a number of rows \(int\) or a share .*; got True; pass for"),
        ("0.1", TypeError, r"`meta_size` must be a number of rows .*; got '0.1';"),
        (None, TypeError, r"`meta_size` must be a number of rows .*; got None;"),
    ],
)
def test_bad_meta_size(meta_size, error, match):
    y = [0, 1, 2] * 4
    with pytest.raises(error, match=match):
        split_meta(y, y, meta_size)


@pytest.mark.parametrize("y", [[0, 1, 2], []])
def test_no_class_of_two_rows(y):
    with pytest.raises(ValueError, match=r"class with at least two rows, .*; pass a meta set of"):
        split_meta(y, y, 3)


def test_unequal_lengths():
    with pytest.raises(ValueError, match="`X` and `y` must have the same number of rows; got 3 an"):
        split_meta([1, 2, 3], [0, 1], 2)


class Table:
    """Stands for one of arrow: its rows are taken by a method, and not by brackets."""

    def __init__(self, rows):
        self.rows, self.shape = rows, rows.shape

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, key):
        raise TypeError("Index must either be string or integer")

    def __array__(self, dtype=None, copy=None):
        return np.array(self.rows, dtype=dtype)

    def take(self, indices):
        return Table(self.rows[indices])

    def to_pandas(self):
        raise NotImplementedError


def test_rows_of_what_takes_them_by_a_method():
    y = np.arange(12) % 2
    parts = split_meta(Table(np.arange(24).reshape(12, 2)), Table(y), 4, random_state=0)
    plain = split_meta(np.arange(24).reshape(12, 2), y, 4, random_state=0)
    for part, expected in zip(parts, plain, strict=True):
        assert type(part) is Table
        assert part.rows.tolist() == expected.tolist()


def test_tables_of_arrow_stay_tables():
    arrow = pytest.importorskip("pyarrow")
    y = np.arange(12) % 2
    table = arrow.table({"a": np.arange(12), "b": np.arange(12) / 2})
    for labels in (arrow.array(y), arrow.chunked_array([y]), arrow.table({"y": y})):
        X, y_own, X_meta, y_meta = split_meta(table, labels, 4, random_state=0)
        assert type(X) is type(X_meta) is arrow.Table
        assert type(y_own) is type(y_meta) is type(labels)
        assert sorted([*X["a"].to_pylist(), *X_meta["a"].to_pylist()]) == list(range(12))
        assert np.asarray(y_meta).ravel().tolist() == [n % 2 for n in X_meta["a"].to_pylist()]
