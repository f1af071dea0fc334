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


def warn_of_meta_set(data: CheckedData, *, bare: bool) -> None:
    """Warn of a meta set that looks sliced, unbalanced, repeated or scaled otherwise."""
    if data.y is None:
        return
    if data.meta_mask is not None:
        # Rows of X themselves: only the classes can be odd.
        _warn_of_classes(data.y[~data.meta_mask], data.y[data.meta_mask], data.classes)
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


def _warn_of_classes(y: NDArray[Any], y_meta: NDArray[Any], classes: NDArray[Any]) -> None:
    codes = np.arange(len(classes))
    in_y, in_meta = np.isin(codes, y), np.isin(codes, y_meta)
    found = {
        "classes of y without a meta row": classes[in_y & ~in_meta].tolist(),
        "classes of y_meta without a row in y": classes[in_meta & ~in_y].tolist(),
    }
    if any(found.values()):
        text = "; ".join(f"{what}: {which}" for what, which in found.items() if which)
        warn(
            f"The meta set should hold the classes of y; {text}. A class without meta rows cannot "
            "be defended against noise, one without training rows is not learnt.",
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
    # Adding zero turns -0.0 into 0.0, which has other bytes.
    return ((row + 0.0).tobytes() for row in X)


def _warn_of_scale(X: NDArray[Any], X_meta: NDArray[Any]) -> None:
    """Compare the columns that vary in both sets: where the middle lies, and the width."""
    columns, meta_columns = (a.reshape(len(a), -1).astype(np.float64) for a in (X, X_meta))
    reach = np.ptp(columns, axis=0)
    varies = reach > 0
    if not varies.any():
        return
    middle = np.median(meta_columns, axis=0)
    outside = np.maximum(columns.min(axis=0) - middle, middle - columns.max(axis=0))
    outside = np.median(outside[varies] / reach[varies])
    width, meta_width = (
        np.subtract(*np.quantile(a, (_HIGH, _LOW), axis=0)) for a in (columns, meta_columns)
    )
    both = (width > 0) & (meta_width > 0)
    ratio = np.median(meta_width[both] / width[both]) if both.any() and len(X_meta) >= 10 else 1.0
    # Wide against the whole range: a balanced meta set may spread over what X seldom reaches.
    if outside > 0.5 or ratio < 0.02 or np.median(meta_width[varies] / reach[varies]) > 5:
        warn(
            "The meta set should be on the scale of X; the middle of its columns lies "
            f"{max(outside, 0.0):.3g} ranges of X outside of X, and they are {ratio:.3g} times as "
            "wide (medians over the columns). Send both through the same preprocessing; in a "
            "pipeline, make_meta_pipeline does.",
            MetaScaleWarning,
        )
