"""The mask of trusted rows, which no sampler may touch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skgdw._rows import IntArray

BoolArray = NDArray[np.bool_]


def check_mask(mask: Any, n: int, name: str) -> BoolArray:
    """Return a mask of rows as an array (n,), or raise."""
    rows = np.asarray(mask.detach().cpu() if hasattr(mask, "detach") else mask)
    if rows.dtype.kind != "b":
        raise TypeError(
            f"`{name}` must be boolean; got dtype {rows.dtype}; row numbers become a mask by "
            "mask = np.zeros(len(X), bool); mask[rows] = True."
        )
    if rows.shape != (n,):
        raise ValueError(
            f"`{name}` must have one entry for each row of X, shape ({n},); got {rows.shape}; "
            "mark the rows of this X; behind a sampler that changes their number use "
            "skgdw.corruption.CorruptedClassifier."
        )
    return rows


def put_back(
    taken: IntArray, new_codes: IntArray, codes: IntArray, mask: BoolArray
) -> tuple[IntArray, IntArray]:
    """Return the rows and codes of a sampler's output with the marked rows back in their places.

    `taken` (m,) counts the unmarked rows alone and `new_codes` (m,) are theirs; `codes` and `mask`
    (n,) are of all rows. Rows come back in the order of the input.
    """
    marked = np.flatnonzero(mask)
    indices = np.concatenate([np.flatnonzero(~mask)[taken], marked])
    order = np.argsort(indices, kind="stable")
    return indices[order], np.concatenate([new_codes, codes[marked]])[order]
