"""Class codes: from labels, back to labels, and the rows that have each."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skgdw._rows._containers import IntArray, RowContainer, take_rows
from skgdw._rows._labels import as_labels


def encode_labels(y: RowContainer, name: str = "y") -> tuple[NDArray[Any], IntArray]:
    """Return the sorted classes (c,) of `y` and the code (n,) of each row, or raise."""
    classes, codes = np.unique(as_labels(y, name), return_inverse=True)
    return classes, codes.reshape(-1).astype(np.intp)


def encode(labels: NDArray[Any], classes: NDArray[Any]) -> NDArray[np.int64]:
    """Return the place of each of `labels` (n,) in `classes` (c,), in any order, which hold it."""
    if classes.dtype.kind in "iu":  # integers of another dtype would meet these as doubles
        labels = labels.astype(classes.dtype)
    order = np.argsort(classes, kind="stable")
    return order[np.searchsorted(classes[order], labels)].astype(np.int64)


def rows_by_class(codes: IntArray, n_classes: int) -> list[IntArray]:
    """Return for each class its rows, ascending."""
    ends = np.cumsum(np.bincount(codes, minlength=n_classes))
    return np.split(np.argsort(codes, kind="stable"), ends[:-1])


def take_labels(y: Any, indices: IntArray, codes: IntArray, new_codes: IntArray) -> Any:
    """Take the labels of the rows `indices` (m,) and set them to `new_codes` (m,).

    `codes` (n,) are the codes of `y`, without gaps. A changed label is copied from the first row
    that has it, so container, dtype and encoding (one-hot, column) survive whatever they are.

    Returns
    -------
    container of m labels
        Of the kind of `y`.
    """
    first_row = np.unique(codes, return_index=True)[1]
    source = np.where(new_codes == codes[indices], indices, first_row[new_codes])
    taken = take_rows(y, source)
    if hasattr(y, "iloc"):
        taken.index = y.index[indices]
    elif isinstance(taken, list):  # one-hot rows in lists: no two rows may share one
        taken = [copy.copy(label) for label in taken]
    return taken
