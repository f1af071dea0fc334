"""Rows that come one by one."""

import numpy as np
import pytest
import torch
from PIL import Image
from skorch.helper import SliceDataset

from skgdw._validation._stacks import stacked

PIXELS = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
ROWS = {
    "lists": PIXELS.tolist(),
    "arrays": list(PIXELS),
    "tuple": tuple(PIXELS),
    "tensors": list(torch.tensor(PIXELS)),
    "pictures": [Image.fromarray(pixels) for pixels in PIXELS],
    "slices": SliceDataset([(Image.fromarray(pixels),) for pixels in PIXELS]),
    "slices of lists": SliceDataset([(pixels.tolist(),) for pixels in PIXELS]),
}


@pytest.mark.parametrize("rows", ROWS)
def test_rows_are_stacked(rows):
    assert np.array_equal(stacked(ROWS[rows], "X"), PIXELS)


def test_numbers_and_texts_are_numpys_business():
    assert stacked([1, 2.5], "X").tolist() == [1.0, 2.5]
    assert stacked([["a", "b"]], "X").dtype.kind == "U"


REFUSED = {
    "none": ([], ValueError, "`X` must hold at least one row; got an empty sequence"),
    "mappings": ([{"a": 1}], TypeError, "got a list of dict. Pass one mapping of names to arrays"),
    "shapes": (
        [np.zeros((2, 2)), np.zeros((2, 2)), np.zeros(3)], ValueError,
        r"`X` must hold rows of one shape; got \(2, 2\) in row 0, \(3,\) in row 2. Resize or pad",
    ),
    "lists": ([[1], [1, 2]], ValueError, r"got \(1,\) in row 0, \(2,\) in row 1"),
    "ragged": ([[[1], [1, 2]]], ValueError, "must hold rows of one shape; got a ragged row 0. Pad"),
}  # fmt: skip


@pytest.mark.parametrize("rows", REFUSED)
def test_what_makes_no_array(rows):
    given, error, words = REFUSED[rows]
    with pytest.raises(error, match=words):
        stacked(given, "X")


def test_items_of_a_dataset():
    """What cross-validation makes of one."""
    words = "got a list of tuples, as of a Dataset's items.*skorch.helper.SliceDataset.*idx=1"
    with pytest.raises(TypeError, match=words):
        stacked([(torch.ones(4), torch.tensor(1)), (torch.ones(4), torch.tensor(0))], "X")
