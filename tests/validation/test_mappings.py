"""Rows as mappings: what may stand in one."""

from collections import UserDict

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_array
from skorch.dataset import Dataset as SkorchDataset
from skorch.helper import SliceDataset

from classifier_cases import blobs, quick
from skgdw._validation import check_numbers, open_mapping


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({}, "`X` as a mapping must hold arrays of one length, .*; got no entry"),
        ({"a": np.zeros(3), "b": np.zeros(2)}, r"of one length, .*; got {'a': 3, 'b': 2}"),
        ({"a": np.zeros((0, 2))}, r"at least one row; got {'a': 0}"),
        (
            {
                "a": [1.0, 1e300],
                "b": torch.tensor([1, -1e300], dtype=torch.float64),
                "c": [1.0, 2.0],
            },
            r"must be finite in single precision; got values too .* in the entries \['a', 'b'\]",
        ),
        (
            {"a": [1.0, np.nan], "b": [1, 2], "c": [np.inf, 0.0]},
            r"`X` must be finite; got NaN or infinity in the entries \['a', 'c'\]",
        ),
    ],
)
def test_mappings_are_checked_entry_by_entry(mapping, words):
    with pytest.raises(ValueError, match=words):
        open_mapping(mapping, "X")


def test_times_among_objects_are_no_numbers():
    opened = open_mapping({"a": np.array([np.datetime64("2020-01-01"), 1], dtype=object)}, "X")
    with pytest.raises(
        TypeError, match=r"`X` must hold real numbers; got the entries 'a' \(object\)"
    ):
        check_numbers(opened)


def test_complex_entries_do_not_become_real_by_losing_a_part():
    entries = {"a": np.ones((48, 2)) * 1j, "b": torch.ones(48, 4), "c": torch.ones(48, 2) * 1j}
    words = (
        r"real numbers; got the entries 'a' \(complex128\), 'c' \(torch.complex64\).*two entries"
    )
    with pytest.raises(TypeError, match=words):
        quick().fit(entries, np.arange(48) % 3, meta_mask=np.arange(48) % 4 == 0)


def test_an_entry_is_cut_off_from_what_it_came_of():
    entry = torch.ones(3, requires_grad=True) * 2
    assert not open_mapping({"a": entry}, "X")["a"].requires_grad


def test_text_in_a_mapping_is_for_a_dataset_of_the_users_to_read():
    opened = open_mapping({"words": ["a", "b"], "length": np.array([1, 2])}, "X")
    assert opened["words"].tolist() == ["a", "b"]
    with pytest.raises(
        TypeError, match=r"`X` must hold real numbers; got the entries 'words' \(<U1\)"
    ):
        check_numbers(opened)


ENTRIES = {
    "list": [[1.0, 2.0], [3.0, 4.0]],
    "arrays": [np.array([1.0, 2.0]), np.array([3.0, 4.0])],
    "tensors": [torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])],
    "frame": pd.DataFrame({"u": [1, 3], "v": [2.0, 4.0]}),
    "odd frame": pd.DataFrame({"u": [True, False], "v": pd.Categorical([1, 2])}),
    "slices": SliceDataset([([1.0, 2.0],), ([3.0, 4.0],)]),
}


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("kind", [dict, UserDict])
def test_entries_become_arrays(entry, kind):
    opened = open_mapping(kind(a=ENTRIES[entry]), "X")
    assert type(opened) is dict
    assert opened["a"].dtype.kind == "f"
    assert opened["a"].shape == (2, 2)


def test_tensors_stay():
    tensor = torch.zeros(2)
    assert open_mapping({"a": tensor}, "X")["a"] is tensor


def test_rows_that_are_mappings_become_one():
    rows = SliceDataset([({"a": [1.0], "b": 2},), ({"a": [3.0], "b": 4},)])
    opened = open_mapping(rows, "X")
    assert {name: value.tolist() for name, value in opened.items()} == {
        "a": [[1.0], [3.0]], "b": [2, 4],
    }  # fmt: skip
    uneven = SliceDataset([({"a": [1.0], "b": 2},), ({"a": [3.0]},)])
    with pytest.raises(
        ValueError, match=r"`X\[1\]` must have the keys that X\[0\] has.*lacks \['b'\]"
    ):
        open_mapping(uneven, "X")


REFUSED = {
    "ragged": ([[1.0], [1.0, 2.0]], ValueError, r"`X\['a'\]` must hold rows of one shape"),
    "sparse": (csr_array(np.eye(2)), TypeError, r"`X\['a'\]` must be dense.*toarray\(\)"),
    "number": (3, TypeError, r"`X\['a'\]` must be an array-like with rows; got int"),
}


@pytest.mark.parametrize("entry", REFUSED)
def test_entries_that_will_not_do(entry):
    value, error, words = REFUSED[entry]
    with pytest.raises(error, match=words):
        open_mapping({"a": value}, "X")


def test_keys_are_names():
    with pytest.raises(TypeError, match=r"names of the module's arguments for keys; got \[0, 1\]"):
        open_mapping({0: np.zeros(2), 1: np.zeros(2), "a": np.zeros(2)}, "X")


@pytest.mark.parametrize("other", [np.zeros((2, 2)), [1], None])
def test_anything_else_is_left(other):
    assert open_mapping(other, "X") is other


class Table:
    """Hands out rows as a Dataset does, and is none."""

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return self.rows[index]


@pytest.mark.parametrize("row", [{"a": 1.0}, (np.zeros(2), 1)], ids=["dict", "tuple"])
def test_what_hands_out_rows_but_is_no_dataset(row):
    words = rf"got Table, which hands out rows of {type(row).__name__} but is no torch.utils.data"
    with pytest.raises(TypeError, match="`X` must be an array.*" + words):
        quick().fit(Table([row] * 4), [0, 1, 0, 1])
    data = blobs()
    with pytest.raises(TypeError, match="`X_meta` must be an array.*" + words):
        quick().fit(*data[:2], Table([row] * 4), [0, 1, 0, 1])
    with pytest.raises(TypeError, match="`X` must be an array.*" + words):
        quick().fit(*data).predict(Table([row] * 4))


def test_a_dataset_over_frames_in_a_mapping():
    frame = pd.DataFrame(blobs().X, columns=[*"abcd"])
    data = SkorchDataset({"table": frame, "more": frame, "image": frame.to_numpy()}, blobs().y)
    words = r"must hold arrays; got frames in the entries \['table', 'more'\]. Pass the mapping its"
    for name, given in {"X": [data], "X_meta": [*blobs()[:2], data]}.items():
        with pytest.raises(TypeError, match=f"`{name}` as a Dataset over a mapping {words}"):
            quick().fit(*given)
