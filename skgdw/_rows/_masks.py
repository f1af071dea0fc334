"""Masks of rows."""

from __future__ import annotations

import numpy as np

from skgdw._rows._containers import BoolArray, RowContainer, as_host_array
from skgdw._rows._readable import check_readable


def check_mask(
    mask: RowContainer, n: int, name: str, remedy: str = "mark the rows of this X"
) -> BoolArray:
    """Return a mask of rows as an array (n,), or raise."""
    check_readable(mask, name)
    rows = np.asarray(as_host_array(mask))
    if rows.dtype.kind != "b":
        raise TypeError(
            f"`{name}` must be boolean; got dtype {rows.dtype}; zeros and ones become a "
            "mask by mask.astype(bool), row numbers by mask = np.zeros(len(X), bool); mask[rows] = "
            "True."
        )
    if rows.shape != (n,):
        raise ValueError(
            f"`{name}` must have one entry for each row of X, shape ({n},); got {rows.shape}; "
            f"{remedy}; behind a sampler that changes their number use "
            "skgdw.corruption.CorruptedClassifier."
        )
    return rows
