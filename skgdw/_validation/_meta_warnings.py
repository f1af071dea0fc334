"""What is odd about a meta set, though it can be used."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skgdw._validation._meta import CheckedData
from skgdw.exceptions import (
    MetaClassWarning,
    MetaOverlapWarning,
    MetaScaleWarning,
    MetaSlicedWarning,
)


def warn_of_meta_set(data: CheckedData, *, bare: bool) -> None:
    """Warn of a meta set that looks sliced, unbalanced, repeated or scaled otherwise."""
    if data.y_meta is None or data.y is None:
        return
    if bare and data.meta_mask is None and len(data.y_meta) == len(data.y):
        warnings.warn(
            f"`X_meta` has as many rows as X, {len(data.y)}: a splitter cuts such arrays along "
            "with X. Pass 1-tuples, X_meta=(X_meta,), y_meta=(y_meta,), which are never cut.",
            MetaSlicedWarning,
            stacklevel=4,
        )
    _warn_of_classes(data)
    if isinstance(data.X, np.ndarray):
        _warn_of_overlap(data.X, data.X_meta)
        _warn_of_scale(data.X, data.X_meta)


def _warn_of_classes(data: CheckedData) -> None:
    assert data.y is not None and data.y_meta is not None  # noqa: PT018 - for the type checker
    in_y = np.isin(np.arange(len(data.classes)), data.y)
    in_meta = np.isin(np.arange(len(data.classes)), data.y_meta)
    lines = []
    if (in_y & ~in_meta).any():
        lines.append(f"classes of y without a meta row: {data.classes[in_y & ~in_meta].tolist()}")
    if (in_meta & ~in_y).any():
        lines.append(
            f"classes of y_meta without a row in y: {data.classes[in_meta & ~in_y].tolist()}"
        )
    if lines:
        warnings.warn(
            f"The meta set should hold the classes of y; {'; '.join(lines)}. A class without meta "
            "rows cannot be defended against noise, one without training rows is not learnt.",
            MetaClassWarning,
            stacklevel=5,
        )


def _warn_of_overlap(X: NDArray[Any], X_meta: NDArray[Any]) -> None:
    meta_rows = {row.tobytes() for row in X_meta}
    found = len({data for row in X if (data := row.tobytes()) in meta_rows})
    if found:
        warnings.warn(
            f"The meta set should be disjoint from the training set; {found} of its "
            f"{len(meta_rows)} different rows also stand in X. Take them out of X (`split_meta` "
            "does), or mark them with `meta_mask`.",
            MetaOverlapWarning,
            stacklevel=5,
        )


def _warn_of_scale(X: NDArray[Any], X_meta: NDArray[Any]) -> None:
    """Compare ranges, which rare classes and few rows change less than means do."""
    columns, meta_columns = (a.reshape(len(a), -1).astype(np.float64) for a in (X, X_meta))
    low, high = columns.min(axis=0), columns.max(axis=0)
    width = high - low
    varies = width > 0
    if not varies.any():
        return
    # How far the meta set's middle lies outside the range of X, and how wide it is.
    middle = np.median(meta_columns, axis=0)
    outside = np.maximum(low - middle, middle - high)[varies] / width[varies]
    wide = np.ptp(meta_columns, axis=0)[varies] / width[varies]
    narrow = len(X_meta) >= 10 and np.median(wide) < 0.01
    if np.median(outside) > 0.5 or np.median(wide) > 10 or narrow:
        warnings.warn(
            "The meta set should be on the scale of X; the middle of its columns lies "
            f"{max(np.median(outside), 0.0):.3g} ranges of X outside of X, and they are "
            f"{np.median(wide):.3g} times as wide (medians over the columns). Send both through "
            "the same preprocessing; in a pipeline, make_meta_pipeline does.",
            MetaScaleWarning,
            stacklevel=5,
        )
