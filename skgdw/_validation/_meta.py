"""The meta set: what may come as X_meta, y_meta and meta_mask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from skgdw._rows import check_mask
from skgdw._validation._inputs import as_host_array, check_mapping, n_samples, passes_through


@dataclass(frozen=True)
class CheckedData:
    """Training and meta rows after every check.

    Attributes
    ----------
    X : ndarray of shape (n, ...), mapping of str to arrays, or torch Dataset
    y : ndarray of shape (n,), or None for a Dataset that holds its labels itself
        Class codes.
    classes : ndarray of shape (c,)
        Labels in the order of the codes.
    X_meta, y_meta : like X and y, or None
    meta_mask : ndarray of shape (n,), bool, or None
    """

    X: Any
    y: NDArray[np.int64] | None
    classes: NDArray[Any]
    X_meta: Any = None
    y_meta: NDArray[np.int64] | None = None
    meta_mask: NDArray[np.bool_] | None = None


_NO_META_ROW = "`X_meta` must hold at least one row; got an empty meta set."


_UNCUT_MASK = (
    "mark the rows of this X; a wrapper that trains on some of its rows (self-training) does not "
    "cut the mask: give it `X_meta` and `y_meta`"
)


def check_meta_arguments(X_meta: Any, y_meta: Any, meta_mask: Any) -> tuple[Any, Any, bool]:
    """Return X_meta and y_meta out of their 1-tuples, and whether they were bare."""
    if (X_meta is None) != (y_meta is None):
        missing, given = ("y_meta", "X_meta") if y_meta is None else ("X_meta", "y_meta")
        raise ValueError(
            f"`X_meta` and `y_meta` must come together; got `{given}` without `{missing}`. "
            f"Pass `{missing}` as well."
        )
    if X_meta is not None and meta_mask is not None:
        raise ValueError(
            "`meta_mask` must not stand beside `X_meta` and `y_meta`; got both. Pass the meta set "
            "as arrays, or mark its rows in X."
        )
    bare = not (isinstance(X_meta, tuple) or isinstance(y_meta, tuple))
    return _unwrap(X_meta, "X_meta"), _unwrap(y_meta, "y_meta"), bare


def _unwrap(value: Any, name: str) -> Any:
    if not isinstance(value, tuple):
        return value
    if len(value) != 1:
        raise ValueError(
            f"`{name}` as a tuple must hold exactly one array; got {len(value)} entries. "
            f"Pass ({name},), or the bare array."
        )
    return value[0]


def check_meta_X(estimator: Any, X_meta: Any, X: Any) -> Any:
    """Return X_meta as an array with the columns and the dtype of X, or raise."""
    if passes_through(X) or passes_through(X_meta):
        if isinstance(X, Mapping) != isinstance(X_meta, Mapping) or not passes_through(X_meta):
            raise TypeError(
                f"`X_meta` must be of the same kind as X; got {type(X_meta).__name__} beside "
                f"{type(X).__name__}."
            )
        if isinstance(X, Mapping) and X_meta.keys() != X.keys():
            raise ValueError(
                f"`X_meta` must have the keys of X, {sorted(X)}; got {sorted(X_meta)}."
            )
        if isinstance(X_meta, Mapping):
            if not any(len(value) for value in X_meta.values()):
                raise ValueError(_NO_META_ROW)
            check_mapping(X_meta, "X_meta")
        elif len(X_meta) == 0:
            raise ValueError(_NO_META_ROW)
        return X_meta
    host = as_host_array(X_meta)
    if len(host) == 0 if isinstance(host, list) else getattr(host, "shape", (1,))[:1] == (0,):
        raise ValueError(_NO_META_ROW)
    array = check_array(host, dtype=X.dtype, allow_nd=True, order="C", input_name="X_meta")
    if array.shape[1:] != X.shape[1:]:
        raise ValueError(
            f"`X_meta` must have the columns of X; got rows of shape {array.shape[1:]}, X has "
            f"{X.shape[1:]}. Send both through the same preprocessing; a wrapper that "
            "takes columns out of X, or adds some (feature selection, bagging of features, "
            "stacking), leaves `X_meta` as it was: give it `meta_mask` instead."
        )
    try:
        validate_data(estimator, host, reset=False, skip_check_array=True)
    except ValueError as error:
        raise ValueError(f"`X_meta` must have the columns of X: {error}") from error
    return array


def check_meta_mask(meta_mask: Any, n: int) -> NDArray[np.bool_]:
    """Return the mask (n,), with at least one row on each side, or raise."""
    mask = check_mask(as_host_array(meta_mask), n, "meta_mask", _UNCUT_MASK)
    if mask.all() or not mask.any():
        found = "only true rows" if mask.all() else "no true row"
        raise ValueError(
            f"`meta_mask` must mark some rows of X as meta rows and leave others; got {found}. "
            "Under cross-validation every fold needs meta rows: shuffle, or pass X_meta and y_meta."
        )
    return mask


def check_same_length(X: Any, y: NDArray[Any]) -> None:
    """Check that there is one meta label for each meta row."""
    n = n_samples(X)
    if n != len(y):
        raise ValueError(
            f"`X_meta` and `y_meta` must have the same number of rows; got {n} and {len(y)}. "
            "Under cross-validation wrap both in 1-tuples, X_meta=(X_meta,), y_meta=(y_meta,)."
        )


def check_can_hold_out(data: CheckedData) -> NDArray[np.int64]:
    """Return the class codes by which a meta set can be taken out of the training rows."""
    if data.y is None:
        raise ValueError(
            "`X_meta` and `y_meta`, or `meta_mask`, must be given beside a Dataset without `y`: "
            'its labels are not known here. Pass them, or weighting="uniform".'
        )
    return data.y
