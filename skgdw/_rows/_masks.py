"""Masks of rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from skgdw._rows._containers import BoolArray, RowContainer, as_host_array


def check_mask(
    mask: RowContainer, n: int, name: str, remedy: str = "mark the rows of this X"
) -> BoolArray:
    """Return a mask of rows as an array (n,), or raise."""
    check_unmasked(mask, name)
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


def check_unmasked(data: Any, name: str) -> None:
    """Refuse an array of numpy's with hidden entries, which numpy would bring back."""
    if isinstance(data, np.ma.MaskedArray) and (n_hidden := int(np.ma.getmaskarray(data).sum())):
        raise ValueError(
            f"`{name}` must not hide entries; got a masked array with {n_hidden} of them masked. "
            f"Fill them, {name}.filled(...), or drop these rows."
        )
