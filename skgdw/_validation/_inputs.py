"""Rows: what may come as X."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data
from skorch.helper import SliceDataset

from skgdw._rows import (
    RowContainer,
    as_host_array,
    check_readable,
    has_length,
    is_dataset,
    is_mapping,
    n_rows,
)
from skgdw._validation._stacks import stacked
from skgdw._warn import warn
from skgdw.exceptions import ChannelsLastWarning

# Of any numbers, or those that arrays may keep, of which others become one.
DTypes = str | tuple[DTypeLike, DTypeLike]

# Whole numbers up to here are the same in single precision.
_WHOLE_IN_SINGLES = 2**24

# Times that numpy, or polars, makes numbers of.
_TIMES = (np.datetime64, np.timedelta64, datetime.time)

# Channels of pictures: gray, RGB, RGB with opacity.
_CHANNELS = (1, 3, 4)


def passes_through(X: object) -> bool:
    """Tell whether X is one of skorch's inputs that are handed to the module as they are."""
    return is_dataset(X) or is_mapping(X)


def check_X(
    estimator: BaseEstimator, X: RowContainer, *, dtype: DTypes, reset: bool
) -> NDArray[Any]:
    """Return X as an array (n, d) or (n, ...), or raise.

    Parameters
    ----------
    estimator : GDWClassifier
    X : array-like
    dtype : "numeric" or two dtypes
        Of the array; others become the first, or the second where the first would change them.
    reset : bool
        Whether X defines the features, or has to agree with them.

    Returns
    -------
    ndarray of shape (n, d) or (n, ...)
        Finite numbers.
    """
    options = {"dtype": "numeric", "allow_nd": True, "order": "C"}
    rows = as_dense(X, "X")
    with _NamedColumns(rows, "X"):
        array = _as_numbers(validate_data(estimator, rows, reset=reset, **options))
    if isinstance(dtype, tuple) and array.dtype not in dtype:
        array = array.astype(dtype[1] if _needs_doubles(array) else dtype[0])
    return _check_range(array, "X")


def _needs_doubles(array: NDArray[Any]) -> bool:
    """Tell whether single precision would change whole numbers, such as times."""
    if array.dtype.kind not in "iu" or not array.size:
        return False
    return bool(max(-int(array.min()), int(array.max())) > _WHOLE_IN_SINGLES)


def check_X_beside(
    estimator: BaseEstimator, other: RowContainer, X: NDArray[Any], name: str, *, remedy: str
) -> NDArray[Any]:
    """Return `other`, called `name`, as an array with the columns of X, or raise."""
    # Its dtype is that of X as well, but where X holds whole numbers and it does not.
    rows = as_dense(other, name)
    with _NamedColumns(rows, name):
        try:
            array = check_array(rows, dtype="numeric", allow_nd=True, order="C", input_name=name)
            array = _check_range(_as_numbers(array), name)
        except ValueError as error:
            if name in str(error):
                raise
            raise ValueError(f"`{name}` must hold rows as X does: {error}") from error
    if array.shape[1:] != X.shape[1:]:
        raise ValueError(
            f"`{name}` must have the columns of X; got rows of shape {array.shape[1:]}, X has "
            f"{X.shape[1:]}. Send both through the same preprocessing; a wrapper that takes "
            "columns out of X, or adds some (feature selection, bagging of features, stacking), "
            f"leaves `{name}` as it was: {remedy}."
        )
    if hasattr(estimator, "feature_names_in_") and not hasattr(rows, "columns"):
        warn(
            f"`{name}` does not have valid feature names, but X has. Pass it with the columns of "
            "X, so that they can be compared.",
            UserWarning,
        )
        return _like(X, array)
    try:
        validate_data(estimator, rows, reset=False, skip_check_array=True)
    except ValueError as error:
        raise ValueError(f"`{name}` must have the columns of X: {error}") from error
    return _like(X, array)


def _like(X: NDArray[Any], array: NDArray[Any]) -> NDArray[Any]:
    """Return an array in the dtype of X if no number changes by that."""
    with np.errstate(invalid="ignore"):
        cast = array.astype(X.dtype, copy=False)
    return cast if X.dtype.kind == "f" or np.array_equal(cast, array) else array


def as_dense(X: RowContainer, name: str) -> Any:
    """Return rows that numpy can make an array of, or raise."""
    if hasattr(X, "tocsr"):
        raise TypeError(
            f"`{name}` must be dense; got a sparse {type(X).__name__}. Pass {name}.toarray(), or "
            "have the step before return dense rows, as OneHotEncoder(sparse_output=False) does."
        )
    if sparse := [c for c, dtype in _dtypes_of(X) if str(dtype).startswith("Sparse[")]:
        raise TypeError(
            f"`{name}` must be dense; got the sparse columns {sparse}. Pass "
            f"{name}.sparse.to_dense()."
        )
    check_readable(X, name)
    return stacked(X, name) if isinstance(X, list | tuple | SliceDataset) else as_host_array(X)


def _dtypes_of(X: Any) -> list[tuple[Any, Any]]:
    """Return the columns of a frame with their dtypes; none of anything else."""
    if not (hasattr(X, "columns") and hasattr(X, "dtypes")):
        return []
    return list(zip(X.columns, X.dtypes, strict=True))


class _NamedColumns:
    """Says of a frame that scikit-learn refuses which of its columns hold no numbers."""

    def __init__(self, X: RowContainer, name: str) -> None:
        self.X, self.name = X, name

    def __enter__(self) -> None:
        if times := _columns_of_times(self.X):
            others = [column for column in _columns_without_numbers(self.X) if column not in times]
            self._refuse([*times, *others], None)

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, TypeError | ValueError | OverflowError):
            self._refuse(_columns_without_numbers(self.X), error)

    def _refuse(self, columns: list[str], error: BaseException | None) -> None:
        if columns:
            own = f" ({error})" if isinstance(error, TypeError) else ""  # scikit-learn asks for it
            raise TypeError(
                f"`{self.name}` must hold numbers; got {', '.join(columns)}{own}. Encode these "
                "columns, for instance by a ColumnTransformer with OneHotEncoder("
                "sparse_output=False) in make_meta_pipeline, or leave them out."
            ) from error


def _as_numbers(array: NDArray[Any]) -> NDArray[Any]:
    """Return numbers that scikit-learn left among objects, as it does for categories, as such."""
    return array.astype(np.float64) if array.dtype.kind == "O" else array


def _columns_of_times(X: Any) -> list[str]:
    """Return the columns that numpy would turn into numbers of no meaning."""
    if not _dtypes_of(X):
        if not holds_times(X):
            return []
        return _columns_of_cells(X) if X.dtype.kind == "O" else [f"an array of {X.dtype}"]
    return [
        f"column {name!r} ({dtype})"
        for name, dtype, column in _columns_of(X)
        if holds_times(column)
    ]


def holds_times(X: Any) -> bool:
    """Tell dates, times and durations, of which numpy makes numbers."""
    kind = getattr(getattr(X, "dtype", None), "kind", None)  # none of polars' dtypes has one
    if kind is None and hasattr(X, "dtype") and not hasattr(X, "detach"):
        X = np.asarray(X)
        kind = X.dtype.kind
    if kind == "O":
        return any(isinstance(cell, _TIMES) for cell in np.ravel(X))
    return kind in ("m", "M")


def _columns_of(X: Any) -> list[tuple[Any, Any, Any]]:
    """Return the columns of a frame with their names and dtypes."""
    return [
        (name, dtype, X.iloc[:, i] if hasattr(X, "iloc") else X[:, i])
        for i, (name, dtype) in enumerate(_dtypes_of(X))
    ]


def _columns_without_numbers(X: Any) -> list[str]:
    if not _dtypes_of(X):
        return _columns_of_cells(X)
    found = []
    for name, dtype, column in _columns_of(X):
        there = column.dropna() if hasattr(X, "iloc") else column
        try:
            np.asarray(there).astype(np.float64)
        except (TypeError, ValueError, OverflowError):
            found.append(f"column {name!r} ({dtype})")
    return found


def _columns_of_cells(X: Any) -> list[str]:
    """Return the columns of an array that hold what is no number."""
    array = np.asarray(X)
    if array.dtype.kind not in "OUST" or array.ndim not in (1, 2):
        return []
    found = []
    for i, column in enumerate(array.reshape(len(array), -1).T):
        cell = next((cell for cell in column if _is_no_number(cell)), None)
        if cell is not None:
            kind = "texts" if isinstance(cell, str | bytes) else type(cell).__name__
            where = kind if array.ndim == 1 else f"column {i}, with {kind}"
            found.append(f"{where} such as {str(cell)[:20]!r}")
    return found


def _is_no_number(cell: Any) -> bool:
    if isinstance(cell, _TIMES):
        return True
    try:
        float(cell)
    except (TypeError, ValueError, OverflowError):
        return cell is not None
    return False


def _check_range(X: NDArray[Any], name: str) -> NDArray[Any]:
    """Refuse doubles that a module of single precision would see as infinite."""
    if is_beyond_singles(X):
        raise ValueError(
            f"Input {name} contains a value too large for dtype('float32'). Scale {name}."
        )
    return X


def is_beyond_singles(array: NDArray[Any]) -> bool:
    """Tell whether finite numbers would be infinite in single precision."""
    is_wide = array.dtype.kind == "f" and array.dtype.itemsize > 4
    return is_wide and bool(array.size) and bool(np.abs(array).max() > np.finfo(np.float32).max)


def check_enough_rows(n: int) -> None:
    """Check that there is something to train on."""
    if n < 2:
        raise ValueError(
            "At least two training rows are needed beside the meta set; got n_samples = "
            f"{n}: batch statistics of one row do not exist."
        )


def check_any_rows(X: RowContainer) -> None:
    """Check that there is something to predict for, in a mapping or Dataset that has a length."""
    if (is_mapping(X) or has_length(X)) and n_rows(X) == 0:
        raise ValueError(f"`X` must hold at least one row; got an empty {type(X).__name__}.")


def warn_of_channels_last(shape: tuple[int, ...]) -> None:
    """Warn of images of shape (n, height, width, channels), which would have `height` channels."""
    if len(shape) != 4:
        return
    _, *sides, last = shape
    # Maps of features may be as small as 4 x 4: what is no larger than that is no picture.
    if last in _CHANNELS and min(sides) > max(_CHANNELS):
        warn(
            f"Images should be of shape (n, channels, height, width); got {shape}, which are taken "
            f"for {shape[1]} channels of {shape[2]} x {last} pixels. If the channels stand last, "
            "move them: X.transpose(0, 3, 1, 2), and X_meta and all later rows likewise.",
            ChannelsLastWarning,
        )
