"""Class codes: from labels, back to labels, and the rows that have each."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skgdw._rows import encode, encode_labels, rows_by_class, take_labels


def test_codes_are_places_in_classes_of_any_order():
    classes = np.array(["b", "c", "a"])
    assert encode(np.array(["a", "b", "a"]), classes).tolist() == [2, 0, 2]
    assert encode(np.array(["a"]), classes).dtype == np.int64


@given(st.lists(st.sampled_from([*"dacb"]), min_size=1, max_size=30))
def test_classes_at_the_codes_are_the_labels(labels):
    classes, codes = encode_labels(labels)
    assert classes.tolist() == sorted(set(labels))
    assert classes[codes].tolist() == labels
    assert encode(np.array(labels), classes).tolist() == codes.tolist()


@given(st.lists(st.integers(0, 4), max_size=30))
def test_rows_are_grouped_by_class_in_their_order(codes):
    groups = rows_by_class(np.array(codes, dtype=np.intp), 5)
    assert [group.tolist() for group in groups] == [
        [i for i, code in enumerate(codes) if code == k] for k in range(5)
    ]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda y: y.tolist(),
        lambda y: y,
        lambda y: y[:, None],
        lambda y: pd.Series(y, index=[*"pqrs"], name="y"),
    ],
    ids=["list", "array", "column", "series"],
)
def test_labels_are_taken_and_changed_in_their_own_container(wrap):
    y = np.array(["b", "a", "c", "a"])
    codes = np.array([1, 0, 2, 0])
    rows, new = np.array([3, 0, 2]), np.array([0, 2, 1])
    taken = take_labels(wrap(y), rows, codes, new)
    wanted = wrap(np.array(["a", "c", "b", ""]))[:3]
    assert type(taken) is type(wanted)
    assert np.array_equal(np.asarray(taken), np.asarray(wanted))
    if isinstance(taken, pd.Series):  # the rows keep their names, whoever's label they get
        assert taken.index.tolist() == ["s", "p", "r"]


def test_one_hot_rows_in_lists_are_copies():
    y = [[1, 0], [0, 1], [1, 0]]
    taken = take_labels(y, np.arange(3), np.array([0, 1, 0]), np.array([1, 1, 1]))
    assert taken == [[0, 1]] * 3
    assert len({id(row) for row in taken}) == 3
    assert all(row is not y[1] for row in taken)
