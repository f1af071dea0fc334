"""Choosing a class-balanced meta set out of a training set: indices only, no containers."""

from __future__ import annotations

import math
from numbers import Real

import numpy as np

from skgdw._rows import IntArray, local_random_state, rows_by_class


def balanced_meta_indices(
    y_codes: IntArray,
    n_classes: int,
    meta_size: int | float,
    random_state: int | np.random.RandomState | None = None,
) -> IntArray:
    """Draw the rows of a class-balanced meta set.

    Each class gives the same number of rows, as far as it can: at most half of its rows, so that
    at least one stays and a class with a single row gives none. What a small class cannot give,
    larger ones give in its place; where all have reached their half, the result is smaller than
    `meta_size`.

    Parameters
    ----------
    y_codes : ndarray of shape (n_samples,), dtype integer
        Class of each row, in 0, ..., `n_classes` - 1.
    n_classes : int
        Number of classes; some may have no row.
    meta_size : int or float
        Total number of rows (int), or share of the rows in (0, 1) (float), see `meta_row_count`.
    random_state : int, RandomState or None, default=None
        Seed of the draw. None draws anew each time.

    Returns
    -------
    ndarray of shape (n_meta,)
        Row numbers, ascending, without repetition.

    Raises
    ------
    TypeError, ValueError
        If `meta_size` is no such number, is smaller than the number of classes that have rows, or
        if no class has two rows.
    """
    counts = np.bincount(y_codes, minlength=n_classes)
    quota = meta_quota(counts, meta_row_count(meta_size, counts))
    generator = local_random_state(random_state)
    # The whole class is permuted, so that a smaller meta set is part of a larger one.
    drawn = [
        generator.permutation(rows)[:size]
        for rows, size in zip(rows_by_class(y_codes, n_classes), quota.tolist(), strict=True)
    ]
    return np.sort(np.concatenate(drawn))


def meta_row_count(meta_size: object, counts: IntArray) -> int:
    """Return how many rows `meta_size` asks for, given the rows `counts` (c,) of each class.

    A share is rounded up, and up to one row per class.

    Returns
    -------
    int
        At least one row for each class that has any.

    Raises
    ------
    TypeError
        If `meta_size` is no number.
    ValueError
        If it asks for too few rows, or for all of them, or if no class has two rows.
    """
    n_rows, n_classes = int(counts.sum()), int((counts > 0).sum())
    if counts.max(initial=0) < 2:
        raise ValueError(
            "`y` must have a class with at least two rows, one to take and one to keep; got "
            f"{n_classes} classes in {n_rows} rows; pass a meta set of its own."
        )
    is_bool = isinstance(meta_size, bool | np.bool_)
    if isinstance(meta_size, int | np.integer) and not is_bool:
        if meta_size < n_classes:
            raise ValueError(
                f"`meta_size` must be at least the number of classes, {n_classes}; got "
                f"{int(meta_size)} rows; pass a larger number, or a share in (0, 1)."
            )
        return int(meta_size)
    if is_bool or not isinstance(meta_size, Real):
        raise TypeError(
            "`meta_size` must be a number of rows (int) or a share of them (float); got "
            f"{meta_size!r}; pass for instance 0.1."
        )
    share = float(meta_size)
    if not 0 < share < 1:
        raise ValueError(
            "`meta_size` as a float must lie strictly between 0 and 1; got "
            f"{share}; pass a share of the rows, or an int for a number of rows."
        )
    # Rounded first: 0.07 of 100 rows are 7, though the product lies a little above.
    return max(math.ceil(round(share * n_rows, 9)), n_classes)


def meta_quota(counts: IntArray, n_meta: int) -> IntArray:
    """Spread `n_meta` rows over classes of `counts` (c,) rows: evenly, at most half of each."""
    capacity = counts // 2
    quota = np.zeros_like(capacity)
    left = min(n_meta, int(capacity.sum()))
    while left:
        spare = capacity - quota
        n_open = int((spare > 0).sum())
        if left < n_open:  # one row more for the classes that can best do without
            quota[np.argsort(-spare, kind="stable")[:left]] += 1
            break
        given = np.minimum(left // n_open, spare)
        quota += given
        left -= int(given.sum())
    return quota
