"""Rows that come one by one: lists of arrays, tensors, pictures or numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from skgdw._rows import as_host_array, check_readable


def stacked(rows: Sequence[Any], name: str) -> Any:
    """Return rows in a list, tuple or SliceDataset as an array, or raise.

    Parameters
    ----------
    rows : sequence of n rows
        Numbers, lists, arrays, tensors, or what has an array to give, as pictures of PIL have.
    name : str
        What the argument is called.

    Returns
    -------
    ndarray of shape (n, ...)

    Raises
    ------
    ValueError
        If there are no rows, or they differ in shape.
    TypeError
        If they are mappings.
    """
    items = [rows[i] for i in range(len(rows))]
    if not items:
        raise ValueError(f"`{name}` must hold at least one row; got an empty sequence.")
    kinds = {type(item).__name__ for item in items if isinstance(item, Mapping)}
    if kinds:
        raise TypeError(
            f"`{name}` must hold rows of numbers; got a list of {' and '.join(sorted(kinds))}. "
            "Pass one mapping of names to arrays, each with an entry for every row."
        )
    if any(isinstance(item, tuple) and not all(map(_is_plain, item)) for item in items):
        raise TypeError(
            f"`{name}` must hold rows; got a list of tuples, as of a Dataset's items, which "
            "cross-validation cuts out one by one. Wrap the Dataset in skorch.helper.SliceDataset, "
            "and labels likewise with idx=1."
        )
    if all(_is_plain(item) for item in items):
        # As it is: numpy finds out what numbers, texts or lists of them make.
        try:
            return np.asarray(items)
        except ValueError:
            pass
    arrays = [np.asarray(as_host_array(item)) for item in _each_as_array(items, name)]
    _check_one_shape(arrays, name)
    return np.stack(arrays)


def _is_plain(item: object) -> bool:
    """Tell numbers, texts and lists from what has an array to give."""
    return not any(hasattr(item, name) for name in ("__array_interface__", "__array__", "detach"))


def _each_as_array(items: list[Any], name: str) -> list[Any]:
    found = []
    for i, item in enumerate(items):
        try:
            found.append(np.asarray(as_host_array(item)))
        except (TypeError, ValueError, RuntimeError) as error:
            check_readable(item, f"{name}[{i}]")
            raise ValueError(
                f"`{name}` must hold rows of one shape; got a ragged row {i}. Pad it, or pass a "
                "Dataset and a collate function that does."
            ) from error
    return found


def _check_one_shape(arrays: list[Any], name: str) -> None:
    shapes = [array.shape for array in arrays]
    first = {shape: shapes.index(shape) for shape in shapes}
    if len(first) > 1:
        some = ", ".join(f"{shape} in row {i}" for shape, i in list(first.items())[:5])
        raise ValueError(
            f"`{name}` must hold rows of one shape; got {some}. Resize or pad them; for inputs "
            "that differ by nature pass a mapping of names to arrays."
        )
