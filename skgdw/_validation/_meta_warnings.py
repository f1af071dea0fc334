"""What is odd about a meta set, though it can be used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skgdw._validation._meta import CheckedData
from skgdw._warn import warn
from skgdw.exceptions import (
    MetaClassWarning,
    MetaOverlapWarning,
    MetaScaleWarning,
    MetaSlicedWarning,
)

# Shares of the rows between which a column's width is taken: tails say nothing of its scale.
_LOW, _HIGH = 0.1, 0.9
# Rows that tell a scale, and the share of columns that may be odd by chance.
_ENOUGH_ROWS, _ODD_SHARE = 2000, 0.1
# Rows that are compared in one go.
_ROWS_AT_ONCE = 1000
# Fewer meta rows than these say little of a single column.
_FEW_ROWS = 10


def warn_of_meta_set(data: CheckedData, *, bare: bool) -> None:
    """Warn of a meta set that looks sliced, unbalanced, repeated or scaled otherwise."""
    if data.y is None:
        return
    if data.meta_mask is not None:
        # Rows of X themselves: only the classes can be odd.
        _warn_of_classes(
            data.y[~data.meta_mask], data.y[data.meta_mask], data.classes, is_mask=True
        )
        return
    if data.y_meta is None:
        return
    if bare and len(data.y_meta) == len(data.y):
        warn(
            f"`X_meta` has as many rows as X, {len(data.y)}: a splitter cuts such arrays along "
            "with X. Pass 1-tuples, X_meta=(X_meta,), y_meta=(y_meta,), which are never cut.",
            MetaSlicedWarning,
        )
    _warn_of_classes(data.y, data.y_meta, data.classes)
    if isinstance(data.X, np.ndarray):
        _warn_of_overlap(data.X, data.X_meta)
        _warn_of_scale(data.X, data.X_meta)


def _warn_of_classes(
    y: NDArray[Any], y_meta: NDArray[Any], classes: NDArray[Any], *, is_mask: bool = False
) -> None:
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


def _warn_of_overlap(X: NDArray[Any], X_meta: NDArray[Any]) -> None:
    meta_rows = set(_row_bytes(X_meta))
    # One of the sets may have gone through single precision, which must not make rows alike.
    single = X_meta.astype(np.float32)
    if len(rounded := set(_row_bytes(single))) == len(meta_rows):
        X, meta_rows = X.astype(np.float32, copy=False), rounded
    found = len(meta_rows.intersection(_row_bytes(X)))
    if found:
        warn(
            f"The meta set should be disjoint from the training set; {found} of its "
            f"{len(meta_rows)} different rows also stand in X. Take them out of X (`split_meta` "
            "does), or mark them with `meta_mask`.",
            MetaOverlapWarning,
        )


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


def _warn_of_scale(X: NDArray[Any], X_meta: NDArray[Any]) -> None:
    """Compare column by column, where the middle lies and how wide it is."""
    columns, meta_columns = _columns(X), _columns(X_meta)
    low, high = columns.min(axis=0), columns.max(axis=0)
    varies = high > low
    if not varies.any():
        return
    columns, meta_columns, low, high = (a[..., varies] for a in (columns, meta_columns, low, high))
    middle = np.median(meta_columns, axis=0)
    outside = np.maximum(low - middle, middle - high) / (high - low)
    width, meta_width = (
        np.subtract(*np.quantile(a, (_HIGH, _LOW), axis=0)) for a in (columns, meta_columns)
    )
    # Wide against the whole range: a balanced meta set may spread over what X seldom reaches.
    is_wide = meta_width > 5 * (high - low)
    is_narrow = (meta_width > 0) & (meta_width < 0.02 * width) & (len(X_meta) >= _FEW_ROWS)
    odd = (outside > 1.0) | is_wide | is_narrow
    if odd.mean() >= (_ODD_SHARE if len(X_meta) >= _FEW_ROWS else 0.5):
        warn(
            "The meta set should be on the scale of X; "
            f"{odd.sum()} of {len(odd)} columns have their middle far outside of X's range, or "
            "another width. Send both through the same preprocessing; in a pipeline, "
            "make_meta_pipeline does.",
            MetaScaleWarning,
        )
