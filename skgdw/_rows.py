"""Rows and labels of any container: counted, taken, encoded, grouped.

Containers are told apart by what they can do (`iloc`, `tocsr`, `detach`), so that arrays, frames,
sparse matrices, lists and tensors all work without pandas or torch being imported here.
"""

from __future__ import annotations

import copy
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]


def n_rows(data: Any, name: str = "X") -> int:
    """Count the rows of `data`."""
    shape = getattr(data, "shape", None)
    if shape is not None and len(shape) > 0:
        return int(shape[0])
    if shape is None and hasattr(data, "__len__") and not isinstance(data, (str, bytes)):
        return len(data)
    raise TypeError(
        f"`{name}` must be an array-like with rows; got {type(data).__name__}; "
        "pass an array, a DataFrame, a sparse matrix, a tensor or a list."
    )


def check_same_length(X: Any, y: Any, X_name: str = "X", y_name: str = "y") -> int:
    """Return the common number of rows of `X` and `y`, or raise."""
    n_X, n_y = n_rows(X, X_name), n_rows(y, y_name)
    if n_X != n_y:
        raise ValueError(
            f"`{X_name}` and `{y_name}` must have the same number of rows; got {n_X} and {n_y}; "
            "pass one label per row."
        )
    return n_X


def take_rows(data: Any, indices: IntArray) -> Any:
    """Take the rows `indices` (m,) of `data` in that order, as a new object of its own kind."""
    if hasattr(data, "iloc"):
        return data.iloc[indices]
    if hasattr(data, "tocsr"):  # most sparse formats have no row indexing
        return data.tocsr()[indices].asformat(data.format)
    if hasattr(data, "shape"):
        return data[indices]
    rows = [data[i] for i in indices.tolist()]
    return tuple(rows) if isinstance(data, tuple) else rows


def join_rows(first: Any, second: Any) -> Any:
    """Return the rows of `first`, then those of `second`, in the container of `first`."""
    if isinstance(first, list | tuple):
        return type(first)([*first, *second])
    if hasattr(first, "iloc"):
        return sys.modules["pandas"].concat([first, second])  # loaded, or there were no frame
    if hasattr(first, "tocsr"):
        return sys.modules["scipy.sparse"].vstack([first, second], format=first.format)
    if hasattr(first, "new_empty"):  # a tensor
        joined = first.new_empty((len(first) + len(second), *first.shape[1:]))
        joined[: len(first)], joined[len(first) :] = first, second
        return joined
    return np.concatenate([first, second])


def take_labels(y: Any, indices: IntArray, codes: IntArray, new_codes: IntArray) -> Any:
    """Take the labels of the rows `indices` (m,) and set them to `new_codes` (m,).

    `codes` (n,) are the codes of `y`, without gaps. A changed label is copied from the first row
    that has it, so container, dtype and encoding (one-hot, column) survive whatever they are.
    """
    first_row = np.unique(codes, return_index=True)[1]
    source = np.where(new_codes == codes[indices], indices, first_row[new_codes])
    taken = take_rows(y, source)
    if hasattr(y, "iloc"):
        taken.index = y.index[indices]
    elif isinstance(taken, list):  # one-hot rows in lists: no two rows may share one
        taken = [copy.copy(label) for label in taken]
    return taken


def encode_labels(y: Any) -> tuple[NDArray[Any], IntArray]:
    """Return the sorted classes (c,) of `y` and the code (n,) of each row."""
    labels = _as_label_vector(y)
    try:
        classes, codes = np.unique(labels, return_inverse=True)
    except TypeError as error:
        raise _mixed_labels(labels.tolist()) from error
    return classes, codes.reshape(-1).astype(np.intp)


def rows_by_class(codes: IntArray, n_classes: int) -> list[IntArray]:
    """Return for each class its rows, ascending."""
    ends = np.cumsum(np.bincount(codes, minlength=n_classes))
    return np.split(np.argsort(codes, kind="stable"), ends[:-1])


def local_random_state(
    random_state: int | np.random.RandomState | None,
) -> np.random.RandomState:
    """Return a generator; None gives a fresh one where scikit-learn gives numpy's global one."""
    if random_state is None:
        return np.random.RandomState()
    try:
        generator: np.random.RandomState = check_random_state(random_state)
    except ValueError as error:
        is_int = isinstance(random_state, int | np.integer)
        raise (ValueError if is_int else TypeError)(
            "`random_state` must be None, an int from 0 to 2**32 - 1 or a numpy RandomState; got "
            f"{random_state!r}; pass an int, or np.random.RandomState(seed)."
        ) from error
    return generator


def _as_label_vector(y: Any) -> NDArray[Any]:
    """Return `y` as a vector (n,) of labels; one-hot rows become column numbers."""
    values = y.detach().cpu() if hasattr(y, "detach") else y
    values = values.toarray() if hasattr(values, "tocsr") else values
    if str(getattr(values, "dtype", None)) == "torch.bfloat16":  # numpy has no such type
        values = values.float()
    if isinstance(values, np.ma.MaskedArray):  # numpy would forget the mask
        is_masked = np.ma.getmaskarray(values)
        _check_present(np.asarray(is_masked.any(axis=tuple(range(1, values.ndim)))))
    try:
        labels = np.asarray(values)
    except ValueError as error:
        raise ValueError(
            "`y` must hold one label per row; got rows of unequal length; pass a flat sequence."
        ) from error
    if labels.dtype.kind in "US":
        # numpy would turn the number 1 and the text "1" into one class, and NaN into a text.
        as_given = np.asarray(values, dtype=object)
        if not all(isinstance(label, str | bytes) for label in as_given.ravel()):
            labels = as_given
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    elif _is_one_hot(labels):
        labels = labels.argmax(axis=1)
    elif labels.ndim != 1:
        raise ValueError(
            "`y` must hold one label per row, as a vector, a column or one-hot rows; got shape "
            f"{labels.shape}; multilabel and multioutput targets are not supported."
        )
    _check_present(_find_missing(labels, y))
    if labels.dtype.kind == "f":
        _check_whole(labels)
    return labels


def _is_one_hot(labels: NDArray[Any]) -> bool:
    if labels.ndim != 2 or labels.dtype.kind not in "biuf" or labels.shape[1] == 0:
        return False
    return bool(np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all())


def _find_missing(labels: NDArray[Any], y: Any) -> NDArray[np.bool_]:
    """Tell which of `labels` (n,), those of `y`, are missing."""
    if hasattr(y, "isna"):
        return np.asarray(y.isna(), dtype=bool).reshape(-1)
    if labels.dtype.kind in "fcmM":
        return np.asarray(np.isnan(labels))
    if labels.dtype.kind == "O":
        return np.array([_is_missing(label) for label in labels], dtype=bool)
    return np.zeros(len(labels), dtype=bool)


def _is_missing(label: Any) -> bool:
    """Tell None from labels, and what is not equal to itself: NaN, NaT, NA."""
    try:
        return label is None or bool(label != label)
    except TypeError:  # NA will not even say that it differs
        return True
    except ValueError:  # an array, of which there is no order either
        return False


def _check_present(missing: NDArray[np.bool_]) -> None:
    if missing.any():
        raise ValueError(
            f"`y` must have a label in every row; got {int(missing.sum())} missing, the first in "
            f"row {int(missing.argmax())}; drop or label these rows."
        )


def _check_whole(labels: NDArray[Any]) -> None:
    fractional = labels[~(np.isfinite(labels) & (labels == np.floor(labels)))]
    if fractional.size:
        raise ValueError(
            "Unknown label type: `y` must hold classes; got continuous values such as "
            f"{fractional[0]:.6g}; bin them, or pass integers or strings."
        )


def _mixed_labels(labels: Any) -> TypeError:
    kinds = ", ".join(sorted({type(label).__name__ for label in labels}))
    return TypeError(
        f"`y` must hold labels of one kind that can be sorted; got {kinds}; "
        "convert them, for instance with str."
    )


def check_mask(mask: Any, n: int, name: str, remedy: str = "mark the rows of this X") -> BoolArray:
    """Return a mask of rows as an array (n,), or raise."""
    rows = np.asarray(mask.detach().cpu() if hasattr(mask, "detach") else mask)
    if rows.dtype.kind != "b":
        raise TypeError(
            f"`{name}` must be boolean; got dtype {rows.dtype}; row numbers become a mask by "
            "mask = np.zeros(len(X), bool); mask[rows] = True."
        )
    if rows.shape != (n,):
        raise ValueError(
            f"`{name}` must have one entry for each row of X, shape ({n},); got {rows.shape}; "
            f"{remedy}; behind a sampler that changes their number use "
            "skgdw.corruption.CorruptedClassifier."
        )
    return rows
