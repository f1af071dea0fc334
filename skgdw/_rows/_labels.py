"""Labels of any container as a vector, and what may not be a label."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skgdw._rows._containers import BoolArray, RowContainer, as_host_array, check_no_mapping
from skgdw._rows._readable import check_readable

# Whole numbers up to here are the same in double precision.
_WHOLE_IN_DOUBLES = 2**53

_KINDS = {"b": "booleans", "U": "strings", "S": "bytes", "M": "dates", "m": "durations"}


def as_labels(y: RowContainer, name: str = "y", *, hint: str = "") -> NDArray[Any]:
    """Return `y` as a vector (n,) of labels of one kind, or raise.

    The one rule for all labels that enter, whatever they are for: `split_meta`, the samplers and
    `fit` accept and refuse the same.

    Parameters
    ----------
    y : array-like of shape (n,), (n, 1) or (n, c)
        A vector, a column, or one-hot rows, whose labels are the numbers of their columns.
    name : str
        What the caller's argument is called.
    hint : str
        What to do about several columns, to be added to the text that refuses them.

    Returns
    -------
    ndarray of shape (n,)
        Numbers and booleans that came as objects have the dtype that suits them.

    Raises
    ------
    ValueError
        If a row has several labels or none, or numbers that are measured.
    TypeError
        If labels are of several kinds, or cannot be sorted.
    """
    labels = _as_array(y, name)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    elif (ones := _one_hot(labels)) is not None:
        labels = ones.argmax(axis=1)
    elif labels.ndim != 1:
        raise ValueError(
            f"`{name}` must hold one label per row, as a vector, a column or one-hot rows; got "
            f"shape {labels.shape}; multilabel and multioutput targets are not supported."
            f"{hint and ' '}{hint}"
        )
    _check_present(_find_missing(labels, y), name)
    if labels.dtype.kind == "O":
        labels = _of_one_kind(labels, name)
    _check_not_measured(labels, name)
    return labels


def is_column(y: RowContainer) -> bool:
    """Tell whether labels that `as_labels` takes stand in a column (n, 1)."""
    shape = getattr(y, "shape", None)
    shape = np.asarray(y).shape if shape is None else shape
    return len(shape) == 2 and shape[1] == 1


def label_kind(labels: NDArray[Any]) -> str:
    """Name the kind of labels: what may stand beside each other in one set of classes."""
    if labels.dtype.kind in "iuf":
        return "numbers"
    if labels.dtype.kind in _KINDS:
        return _KINDS[labels.dtype.kind]
    return " and ".join(sorted({_kind_of(label) for label in labels})) or "strings"


def join_labels(known: list[NDArray[Any]], name: str) -> NDArray[Any]:
    """Return the labels of several arrays as one, in which those that differ stay apart."""
    return _exact(np.concatenate(known), [labels.tolist() for labels in known], name)


def _exact(labels: NDArray[Any], parts: list[list[Any]], name: str) -> NDArray[Any]:
    """Return labels that numpy joined out of `parts`, whole numbers without its rounding."""
    if labels.dtype.kind != "f" or not _is_large(labels):
        return labels
    given = [label for part in parts for label in part]
    large = [label for label in given if abs(label) >= _WHOLE_IN_DOUBLES]
    rounded = sorted({label for label in large if isinstance(label, float | np.floating)})
    if len(rounded) == len(set(large)) or any(label % 1 for label in given):
        return labels
    if rounded:
        raise ValueError(
            f"`{name}` must hold labels beyond 2**53 as integers alone, because floats have not "
            f"all of them; got integers beside floats such as {rounded[:3]}. Convert the floats "
            "where they were read, for instance by astype(np.int64) or dtype=."
        )
    whole = [int(label) for label in given]
    for dtype in (np.int64, np.uint64):
        if np.iinfo(dtype).min <= min(whole) and max(whole) <= np.iinfo(dtype).max:
            return np.array(whole, dtype=dtype)
    return np.array(whole, dtype=object)


def _is_large(labels: NDArray[Any]) -> bool:
    return bool(np.any(np.abs(labels) >= _WHOLE_IN_DOUBLES))


def _as_array(y: RowContainer, name: str) -> NDArray[Any]:
    check_no_mapping(y, name)
    if not isinstance(y, np.ma.MaskedArray):
        check_readable(y, name)
    values = as_host_array(y)
    values = values.toarray() if hasattr(values, "tocsr") else values
    if isinstance(values, np.ma.MaskedArray):  # numpy would forget the mask
        is_masked = np.ma.getmaskarray(values)
        _check_present(np.asarray(is_masked.any(axis=tuple(range(1, values.ndim)))), name)
    try:
        labels = np.asarray(values)
    except ValueError as error:
        raise ValueError(
            f"`{name}` must hold one label per row; got rows of unequal length; pass a flat "
            "sequence."
        ) from error
    if labels.dtype.kind in "TV":  # numpy's own strings, of which few functions know, and records
        return labels.astype(object)
    if labels.dtype.kind == "f" and isinstance(values, list | tuple) and _is_large(labels):
        return np.asarray(values, dtype=object)  # integers of several dtypes, perhaps
    if labels.dtype.kind in "US" and getattr(values, "dtype", None) != labels.dtype:
        # numpy would turn the number 1 and the text "1" into one class, and NaN into a text.
        as_given = np.asarray(values, dtype=object)
        if not all(isinstance(label, str | bytes) for label in as_given.ravel()):
            labels = as_given
    return labels


def _one_hot(labels: NDArray[Any]) -> NDArray[Any] | None:
    """Return one-hot rows as numbers; None of other labels."""
    if labels.ndim != 2 or labels.shape[1] == 0:
        return None
    if labels.dtype.kind == "O":  # a frame that has columns of numbers and of booleans
        if not {_kind_of(cell) for cell in labels.ravel()} <= {"numbers", "booleans"}:
            return None
        labels = labels.astype(np.float64)
    if labels.dtype.kind not in "biuf":
        return None
    is_one_hot = np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all()
    return labels if is_one_hot else None


def _find_missing(labels: NDArray[Any], y: RowContainer) -> BoolArray:
    """Tell which of `labels` (n,), those of `y`, are missing."""
    if hasattr(y, "isna"):
        return np.asarray(y.isna(), dtype=bool).reshape(len(labels), -1).max(axis=1, initial=False)
    if labels.dtype.kind in "fcmM":
        return np.asarray(np.isnan(labels))
    if labels.dtype.kind == "O":
        return np.array([_is_missing(label) for label in labels], dtype=bool)
    return np.zeros(len(labels), dtype=bool)


def _is_missing(label: object) -> bool:
    """Tell None from labels, and what is not equal to itself: NaN, NaT, NA."""
    try:
        return label is None or bool(label != label)
    except TypeError:  # NA will not even say that it differs
        return True
    except ValueError:  # an array, of which there is no order either
        return False


def _check_present(missing: BoolArray, name: str) -> None:
    if missing.any():
        raise ValueError(
            f"`{name}` must have a label in every row; got {int(missing.sum())} missing, the first "
            f"in row {int(missing.argmax())}; drop or label these rows."
        )


def _kind_of(label: object) -> str:
    if isinstance(label, bool | np.bool_):
        return "booleans"
    if isinstance(label, int | float | np.integer | np.floating):
        return "numbers"
    if isinstance(label, str):
        return "strings"
    return "bytes" if isinstance(label, bytes) else type(label).__name__


def _of_one_kind(labels: NDArray[Any], name: str) -> NDArray[Any]:
    """Return labels that came as objects, numbers among them as such; refuse mixed kinds."""
    kinds = {_kind_of(label) for label in labels}
    if kinds in ({"numbers"}, {"booleans"}):
        return _exact(np.asarray(labels.tolist()), [labels.tolist()], name)
    try:
        if len(kinds) > 1 or "tuple" in kinds:
            raise TypeError("there is no order between kinds, and no score takes tuples")
        if kinds != {"strings"}:
            np.unique(labels)
    except TypeError as error:
        found = ", ".join(sorted({type(label).__name__ for label in labels.tolist()}))
        raise TypeError(
            f"`{name}` must hold labels of one kind that can be sorted; got {found}; "
            "convert them, for instance with str."
        ) from error
    return labels


def _check_not_measured(labels: NDArray[Any], name: str) -> None:
    """Refuse numbers that are measured rather than chosen from classes."""
    if labels.dtype.kind == "c":
        raise ValueError(
            f"Complex data not supported: `{name}` must hold classes; got dtype {labels.dtype}; "
            "pass integers or strings."
        )
    if labels.dtype.kind != "f":
        return
    continuous = labels[~(np.isfinite(labels) & (labels == np.floor(labels)))]
    if continuous.size:
        raise ValueError(
            f"Unknown label type: `{name}` must hold classes; got continuous values such as "
            f"{continuous[0]:.6g}; bin them, or pass integers or strings."
        )
