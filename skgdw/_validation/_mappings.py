"""Rows as mappings of names to arrays, which become the arguments of the module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np
from skorch.dataset import Dataset as SkorchDataset
from skorch.helper import SliceDataset

from skgdw._rows import (
    RowContainer,
    as_host_array,
    check_countable,
    check_no_loader,
    check_readable,
    is_dataset,
    is_mapping,
    n_rows,
)
from skgdw._validation._inputs import as_dense, holds_times, is_beyond_singles


def open_mapping(X: RowContainer, name: str) -> Any:
    """Return a mapping as a dict of arrays and tensors, checked; anything else as it is.

    Parameters
    ----------
    X : mapping, or anything else
        A mapping of any class; its entries may be lists or frames. A SliceDataset whose rows are
        mappings counts as one.
    name : str
        What the argument is called.

    Returns
    -------
    dict of str to ndarray or Tensor, or X itself

    Raises
    ------
    TypeError
        If names are no strings, or entries have no rows.
    ValueError
        If entries are not finite, not equally long, or empty.
    """
    if isinstance(X, SliceDataset) and len(X) and is_mapping(X[0]):
        rows = [X[i] for i in range(len(X))]
        for i, row in enumerate(rows):
            check_keys(row, rows[0].keys(), f"{name}[{i}]", f"{name}[0] has")
        X = {key: [row[key] for row in rows] for key in rows[0]}
    if not is_mapping(X):
        return X
    keys = list(X)
    if unnamed := [key for key in keys if not isinstance(key, str)]:
        raise TypeError(
            f"`{name}` as a mapping must have the names of the module's arguments for keys; got "
            f"{unnamed}. Name the arrays."
        )
    lengths = {key: n_rows(X[key], f"{name}[{key!r}]") for key in keys}
    if len(set(lengths.values())) != 1 or not all(lengths.values()):
        raise ValueError(
            f"`{name}` as a mapping must hold arrays of one length, at least one row; got "
            f"{lengths or 'no entry'}."
        )
    opened = {key: _as_array(X[key], f"{name}[{key!r}]") for key in keys}
    bad = [key for key, value in opened.items() if not _is_finite(value)]
    if bad:
        raise ValueError(f"`{name}` must be finite; got NaN or infinity in the entries {bad}.")
    if large := [k for k, v in opened.items() if is_beyond_singles(np.asarray(as_host_array(v)))]:
        raise ValueError(
            f"`{name}` must be finite in single precision; got values too large for "
            f"dtype('float32') in the entries {large}. Scale them."
        )
    return opened


def _as_array(value: Any, name: str) -> Any:
    if hasattr(value, "detach"):
        check_readable(value, name)
        # Steps would go back through its graph again and again.
        return value.detach() if value.requires_grad else value
    array = np.asarray(as_dense(value, name))
    # Perhaps numbers of several dtypes, as frames may hold.
    if array.dtype.kind == "O" and not holds_times(array):
        try:
            return array.astype(np.float64)
        except (TypeError, ValueError, OverflowError):
            return array
    return array


def check_numbers(X: Mapping[str, Any], name: str = "X") -> None:
    """Refuse entries that do not become real numbers: a Dataset of the user's may read texts."""
    odd = [f"{k!r} ({v.dtype})" for k, v in X.items() if _is_odd(v)]
    if odd:
        raise TypeError(
            f"`{name}` must hold real numbers; got the entries {', '.join(odd)}. Encode them, "
            "texts for instance as the numbers of their words and complex numbers as two entries, "
            "or leave them out."
        )


def _is_odd(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.dtype.kind not in "biuf"
    return bool(value.is_complex())


def _is_finite(value: RowContainer) -> bool:
    array = np.asarray(as_host_array(value))
    return array.dtype.kind not in "fc" or bool(np.isfinite(array).all())


def check_container(X: Any, name: str) -> None:
    """Refuse what hands out rows as a Dataset does, but is none of torch's, or cannot hand any."""
    check_no_loader(X, name)
    check_countable(X, name)
    if type(X) is SkorchDataset and is_mapping(X.X):
        _check_no_frames(X.X, name)
    if is_dataset(X) or isinstance(X, Mapping | Sequence | np.ndarray) or hasattr(X, "detach"):
        return
    try:
        first = X[0]
    except Exception:  # a frame, which has columns of other names
        return
    if isinstance(first, Mapping | tuple):
        raise TypeError(
            f"`{name}` must be an array, a frame, a mapping or a torch Dataset; got "
            f"{type(X).__name__}, which hands out rows of {type(first).__name__} but is no "
            "torch.utils.data.Dataset. Derive it from that class; its items are pairs of inputs "
            "and label."
        )


def _check_no_frames(X: Mapping[str, Any], name: str) -> None:
    """Refuse a mapping inside skorch's Dataset whose frames that would look up rows as columns."""
    if frames := [key for key, value in X.items() if hasattr(value, "columns")]:
        raise TypeError(
            f"`{name}` as a Dataset over a mapping must hold arrays; got frames in the entries "
            f"{frames}. Pass the mapping itself, and the labels beside it."
        )


def check_keys(X: Mapping[str, Any], known: Set[str] | Sequence[str], name: str, of: str) -> None:
    """Check that a mapping has the keys `known`."""
    names = set(X)
    if names != set(known):
        missing, further = sorted(set(known) - names), sorted(names - set(known))
        found = [f"{what} {keys}" for what, keys in (("lacks", missing), ("adds", further)) if keys]
        raise ValueError(
            f"`{name}` must have the keys that {of}, {sorted(known)}; got one that "
            f"{' and '.join(found)}. Pass the same entries."
        )
