"""Taking a meta set out of a training set."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from skgdw._intake._balanced import balanced_meta_indices, meta_row_count
from skgdw._rows import RowContainer, check_same_length, encode_labels, take_rows
from skgdw.exceptions import MetaClassWarning


def split_meta(
    X: RowContainer,
    y: RowContainer,
    meta_size: int | float,
    *,
    random_state: int | np.random.RandomState | None = None,
) -> tuple[Any, Any, Any, Any]:
    """Take a class-balanced meta set out of (X, y).

    The two parts are disjoint and together hold every row once, each in the order of `X`. The
    meta set is as clean as `y` is: split first and corrupt the training part afterwards, or have
    the labels of the meta part checked.

    Each class gives the same number of rows as far as it can: at most half of its rows, and a
    class with a single row gives none. What a small class cannot give, the others give in its
    place as far as their halves reach.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...)
        Rows of any rank: ndarray, memmap, DataFrame, Series, sparse matrix, tensor, list.
    y : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
        Labels of any kind that can be sorted, or one-hot rows.
    meta_size : int or float
        Size of the meta set. An int is the total number of rows, at least one per class. A float
        in (0, 1) is a share of all rows, rounded up, and up to one row per class.
    random_state : int, RandomState or None, default=None
        Seed of the draw; with the same seed a smaller meta set is part of a larger one. None draws
        anew each time. Numpy's global state is not used.

    Returns
    -------
    X, y : same types as given
        The rows that stay. Out of a memmap they are an ndarray in memory, as numpy gives them.
    X_meta, y_meta : same types as given
        The meta set.

    Raises
    ------
    TypeError
        If `meta_size` is not a number, or the labels cannot be sorted.
    ValueError
        If `meta_size` is out of range, no class has two rows, lengths differ, or `y` holds no
        classes.

    Warns
    -----
    MetaClassWarning
        If classes of a single row stay without a meta row (listed), or if the classes cannot
        give as many rows as asked for.

    Examples
    --------
    >>> import numpy as np
    >>> from skgdw.model_selection import split_meta
    >>> X, y = np.arange(10), np.array(["cat"] * 7 + ["dog"] * 3)
    >>> X, y, X_meta, y_meta = split_meta(X, y, 4, random_state=0)
    >>> y_meta.tolist()
    ['cat', 'cat', 'cat', 'dog']
    >>> sorted([*X.tolist(), *X_meta.tolist()])
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """
    n_samples = check_same_length(X, y)
    classes, codes = encode_labels(y)
    meta = balanced_meta_indices(codes, len(classes), meta_size, random_state)
    counts = np.bincount(codes)
    _warn_of_gaps(classes[counts == 1].tolist(), meta_row_count(meta_size, counts), len(meta))
    keep = np.setdiff1d(np.arange(n_samples), meta, assume_unique=True)
    return take_rows(X, keep), take_rows(y, keep), take_rows(X, meta), take_rows(y, meta)


def _warn_of_gaps(single: list[Any], n_asked: int, n_taken: int) -> None:
    if single:
        warnings.warn(
            f"Every class of `y` must have two rows to give one to the meta set; got one row of "
            f"{single}, which stay without a meta row; add rows of these classes.",
            MetaClassWarning,
            stacklevel=3,
        )
    if n_taken < n_asked:
        warnings.warn(
            f"`meta_size` must leave at least half of each class's rows; got {n_asked} rows asked "
            f"for, so {n_taken} were taken; ask for fewer or add rows.",
            MetaClassWarning,
            stacklevel=3,
        )
