"""Which rows teach and which rows are trained on."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skgdw._intake._balanced import balanced_meta_indices, meta_row_count
from skgdw._rows import BoolArray, IntArray, RowContainer, take_rows
from skgdw._warn import warn
from skgdw.exceptions import NoMetaSetWarning


class Rows(NamedTuple):
    """Rows with their class codes, and where they stood in the arrays given to ``fit``.

    Attributes
    ----------
    X : ndarray of shape (n, ...), mapping of str to arrays, or torch Dataset
    y : ndarray of shape (n,), or None for a Dataset that holds its labels itself
    rows : ndarray of shape (n,)
    """

    X: Any
    y: NDArray[np.int64] | None
    rows: IntArray


def separate(X: RowContainer, y: NDArray[np.int64] | None, mask: BoolArray) -> tuple[Rows, Rows]:
    """Split rows by a mask of shape (n,): the training rows, then the meta rows."""

    def side(rows: IntArray) -> Rows:
        return Rows(take_rows(X, rows), None if y is None else y[rows], rows)

    return side(np.flatnonzero(~mask)), side(np.flatnonzero(mask))


def hold_out(
    X: RowContainer,
    y: NDArray[np.int64],
    classes: NDArray[Any],
    meta_size: float,
    random_state: np.random.RandomState,
    sample_weight: NDArray[np.float64] | None = None,
) -> tuple[Rows, Rows]:
    """Take a class-balanced meta set out of the training rows, and warn of what it cannot do.

    Rows whose `sample_weight` (n,) is zero, which are as if they were not there, do not teach.

    Returns
    -------
    train, meta : Rows
    """
    there = np.arange(len(y)) if sample_weight is None else np.flatnonzero(sample_weight)
    codes, mask = y[there], np.zeros(len(y), dtype=bool)
    n_meta = max(meta_row_count(meta_size, np.bincount(codes)), 2)  # one has no batch statistics
    mask[there[balanced_meta_indices(codes, len(classes), n_meta, random_state)]] = True
    train, meta = separate(X, y, mask)
    single = classes[np.bincount(codes, minlength=len(classes)) == 1].tolist()
    note = f" Classes with a single row gave none: {single}." if single else ""
    warn(
        f"No meta set was given: {mask.sum()} of the {len(y)} rows, balanced over the classes, "
        "were taken out of the training set to serve as one. That can mend class imbalance; it "
        "cannot mend label noise, because their labels are as noisy as the rest. Pass X_meta and "
        f"y_meta, or meta_mask, with trusted labels.{note}",
        NoMetaSetWarning,
    )
    return train, meta
