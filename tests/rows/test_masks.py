"""Masks of rows, of any container."""

import numpy as np
import pandas as pd
import pytest
import torch

from skgdw._rows import check_mask

MASK = [True, False, False, True]


@pytest.mark.parametrize(
    "wrap", [list, tuple, np.array, pd.Series, torch.tensor, lambda m: np.array(m).tolist()]
)
def test_masks_of_any_container_are_arrays(wrap):
    found = check_mask(wrap(MASK), 4, "mask")
    assert found.dtype == bool
    assert found.tolist() == MASK


@pytest.mark.parametrize("mask", [[1, 0, 0, 1], [0, 3], ["a"] * 4, [None, True, True, False]])
def test_other_than_booleans_are_refused(mask):
    words = (
        r"`keep` must be boolean; got dtype .*; zeros and ones become a mask by mask.astype\(bool\)"
        r", row numbers by mask = np.zeros"
    )
    with pytest.raises(TypeError, match=words):
        check_mask(mask, 4, "keep")


@pytest.mark.parametrize(("n", "mask"), [(3, MASK), (4, [MASK]), (1, True)])
def test_another_shape_is_refused(n, mask):
    words = (
        rf"`keep` .* for each row of X, shape \({n},\); got \(.*\); count anew; behind a sampler"
    )
    with pytest.raises(ValueError, match=words):
        check_mask(mask, n, "keep", "count anew")
