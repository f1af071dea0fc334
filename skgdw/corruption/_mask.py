"""The mask of trusted rows, which no sampler may touch."""

from __future__ import annotations

import numpy as np

from skgdw._rows import BoolArray, IntArray


def put_back(
    taken: IntArray, new_codes: IntArray, codes: IntArray, mask: BoolArray
) -> tuple[IntArray, IntArray]:
    """Return the rows and codes of a sampler's output with the marked rows back in their places.

    `taken` (m,) counts the unmarked rows alone and `new_codes` (m,) are theirs; `codes` and `mask`
    (n,) are of all rows. Rows come back in the order of the input.

    Returns
    -------
    indices, codes : ndarray of shape (m + number of marked rows,)
        Row numbers in the input, ascending, and the class codes of these rows.
    """
    marked = np.flatnonzero(mask)
    indices = np.concatenate([np.flatnonzero(~mask)[taken], marked])
    order = np.argsort(indices, kind="stable")
    return indices[order], np.concatenate([new_codes, codes[marked]])[order]
