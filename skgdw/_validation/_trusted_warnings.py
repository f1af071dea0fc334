"""What is odd about a meta set or about validation rows, though they can be used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skgdw._rows import RowContainer, n_rows
from skgdw._validation._trusted_rows import TrustedPair
from skgdw._warn import warn
from skgdw.exceptions import (
    MetaClassWarning,
    MetaOverlapWarning,
    MetaScaleWarning,
    MetaSlicedWarning,
    ValidationOverlapWarning,
)

# Shares of the rows between which a column's width is taken: tails say nothing of its scale.
_LOW, _HIGH = 0.1, 0.9
# Rows that tell a scale, and the share of columns that may be odd by chance.
_ENOUGH_ROWS, _ODD_SHARE = 2000, 0.1
# Rows that are compared in one go.
_ROWS_AT_ONCE = 1000
# How far beyond X's range, in its widths, a column's middle is odd, and those of half the columns
# are: classes that X lacks may bring single ones there.
_FAR, _BEYOND = 1.0, 0.5
# Fewer rows than these say little of a single column.
_FEW_ROWS = 10


def warn_of_slicing(X: RowContainer, X_beside: RowContainer, names: TrustedPair) -> None:
    """Warn of rows in no tuple that are as many as X's, as a splitter would make them."""
    if n_rows(X_beside) == n_rows(X):
        warn(
            f"`{names.X}` has as many rows as X, {n_rows(X)}: a splitter cuts such arrays along "
            f"with X. Pass 1-tuples, {names.X}=({names.X},), {names.y}=({names.y},), which are "
            "never cut.",
            MetaSlicedWarning,
        )


def warn_of_meta_overlap(X: RowContainer, X_meta: RowContainer) -> None:
    """Warn of meta rows that also stand in the training set."""
    found, n_different = _count_shared(X_meta, X)
    if found:
        warn(
            f"The meta set should be disjoint from the training set; {found} of its "
            f"{n_different} different rows also stand in X. Take them out of X (`split_meta` "
            "does), or mark them with `meta_mask`.",
            MetaOverlapWarning,
        )


def warn_of_validation_overlap(
    X: RowContainer, X_meta: RowContainer | None, X_val: RowContainer
) -> None:
    """Warn of validation rows that train or teach as well."""
    others = {"X": X} if X_meta is None else {"X": X, "X_meta": X_meta}
    shared = {name: _count_shared(X_val, rows) for name, rows in others.items()}
    counts = [f"{found} also stand in {name}" for name, (found, _) in shared.items() if found]
    if counts:
        warn(
            "The validation set should be disjoint from the training set and from the meta set; of "
            f"its {shared['X'][1]} different rows {' and '.join(counts)}. What is learnt from a "
            "row scores too well on it: take these rows out of one of the two, as `split_meta` "
            "does.",
            ValidationOverlapWarning,
        )


def warn_of_meta_classes(
    y: NDArray[Any], y_meta: NDArray[Any], classes: NDArray[Any], *, is_mask: bool
) -> None:
    """Warn of classes that lack training rows or meta rows; `y` and `y_meta` are codes."""
    codes = np.arange(len(classes))
    in_y, in_meta = np.isin(codes, y), np.isin(codes, y_meta)
    found = {
        "classes of y without a meta row": classes[in_y & ~in_meta].tolist(),
        "classes of y_meta without a row in y": classes[in_meta & ~in_y].tolist(),
    }
    if any(found.values()):
        text = "; ".join(f"{what}: {which}" for what, which in found.items() if which)
        # Labels 0, ..., c - 1 in y are perhaps none of the caller's, where y_meta has others.
        is_encoded = (in_meta & ~in_y).any() and classes[in_y].tolist() == list(range(in_y.sum()))
        hint = (
            " If a meta-estimator around the classifier encodes labels anew, mark the meta rows by "
            "`meta_mask` instead."
        )
        warn(
            f"The meta set should hold the classes of y; {text}. A class without meta rows cannot "
            "be defended against noise, one without training rows is not learnt."
            f"{hint if is_encoded and not is_mask else ''}",
            MetaClassWarning,
        )


def _count_shared(rows: RowContainer, X: RowContainer) -> tuple[int, int]:
    """Return how many different rows also stand in X, and how many there are; of arrays."""
    if not (isinstance(rows, np.ndarray) and isinstance(X, np.ndarray)):
        return 0, 0
    different = set(_row_bytes(rows))
    # One of the sets may have gone through single precision, which must not make rows alike.
    single = rows.astype(np.float32)
    if len(rounded := set(_row_bytes(single))) == len(different):
        X, different = X.astype(np.float32, copy=False), rounded
    return len(different.intersection(_row_bytes(X))), len(different)


def _row_bytes(X: NDArray[Any]) -> Iterator[bytes]:
    # Adding zero turns -0.0 into 0.0, which has other bytes. Some rows at a time: X may be large.
    slices = (X[i : i + _ROWS_AT_ONCE] + 0.0 for i in range(0, len(X), _ROWS_AT_ONCE))
    return (row.tobytes() for some in slices for row in some)


def _columns(X: NDArray[Any]) -> NDArray[np.float64]:
    """Return some rows of a table, or the pixels of some images by channel."""
    some = X[:: max(len(X) // _ENOUGH_ROWS, 1)]
    if some.ndim > 2:
        some = np.moveaxis(some, 1, -1).reshape(-1, some.shape[1])
    return some.astype(np.float64)


def warn_of_scale(X: RowContainer, X_beside: RowContainer, names: TrustedPair) -> None:
    """Warn of arrays that differ, column by column, in where the middle lies and how wide it is."""
    if not (isinstance(X, np.ndarray) and isinstance(X_beside, np.ndarray)):
        return
    columns, own_columns = _columns(X), _columns(X_beside)
    low, high = columns.min(axis=0), columns.max(axis=0)
    varies = high > low
    if not varies.any():
        return
    columns, own_columns, low, high = (a[..., varies] for a in (columns, own_columns, low, high))
    middle = np.median(own_columns, axis=0)
    outside = np.maximum(low - middle, middle - high) / (high - low)
    width, own_width = (
        np.subtract(*np.quantile(a, (_HIGH, _LOW), axis=0)) for a in (columns, own_columns)
    )
    # Wide against the whole range: a balanced meta set may spread over what X seldom reaches.
    is_wide = own_width > 5 * (high - low)
    is_narrow = (own_width > 0) & (own_width < 0.02 * width) & (len(X_beside) >= _FEW_ROWS)
    far = _BEYOND if (outside > _BEYOND).mean() >= 0.5 else _FAR
    odd = (outside > far) | is_wide | is_narrow
    # Of one or two rows a column is odd by chance now and then: more than half have to be.
    is_odd = odd.mean() >= _ODD_SHARE if len(X_beside) >= _FEW_ROWS else odd.mean() > 0.5
    if is_odd:
        warn(
            f"The {names.rows} should be on the scale of X; "
            f"{odd.sum()} of {len(odd)} columns have their middle far outside of X's range, or "
            "another width. Send both through the same preprocessing; in a pipeline, "
            "make_meta_pipeline does.",
            MetaScaleWarning,
        )
