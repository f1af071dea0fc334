"""Numbers of rows: fractions rounded half up, and so that their sum stays what it was."""

from __future__ import annotations

import numpy as np

from skgdw._rows import IntArray

from ._transition import FloatArray


def round_half_up(values: FloatArray) -> IntArray:
    """Round `values` half up."""
    # To nine digits first: 24 / 32**0.8 must count as 1.5, though it lies a little below.
    return np.asarray(np.floor(np.round(values, 9) + 0.5), dtype=np.intp)


def largest_remainder(
    shares: FloatArray, total: int, tie_order: IntArray, owed: FloatArray | None = None
) -> IntArray:
    """Round `shares` (c,) up or down to integers that sum to `total`.

    Those of the largest remainder, to which `owed` (c,) is added, go up; equal ones by `tie_order`.

    Returns
    -------
    ndarray of shape (c,)
        Integers that sum to `total`.
    """
    # 0.29 * 100 must count as 29, and equal remainders must compare as equal.
    shares = np.round(shares, 9)
    counts = np.floor(shares).astype(np.intp)
    remainders = np.round(shares - counts, 9)
    claims = remainders if owed is None else np.round(remainders + owed, 9)
    # A whole number stays, whatever it is owed.
    order = np.lexsort((tie_order, -claims, remainders == 0))
    counts[order[: total - int(counts.sum())]] += 1
    return counts


def changes_by_class(shares: FloatArray, tie_order: IntArray) -> IntArray:
    """Return how many rows of each class change, `shares` (c,) being the expected numbers.

    Rounded as a whole, half up, and then by class: small classes get their part too.

    Returns
    -------
    ndarray of shape (c,)
        Numbers of rows.
    """
    return largest_remainder(shares, int(round_half_up(shares.sum(keepdims=True))[0]), tie_order)
