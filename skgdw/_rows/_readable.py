"""What holds no numbers that can be read, and the words for it."""

from __future__ import annotations

from typing import Any

import numpy as np

from skgdw._rows._containers import as_host_array, check_countable


def check_readable(data: Any, name: str) -> None:
    """Refuse what numpy makes no array of, or another than is meant.

    Parameters
    ----------
    data : array-like, or anything else
    name : str
        What the argument is called.

    Raises
    ------
    TypeError
        If it is not in memory, or a tensor that numpy cannot read.
    ValueError
        If it hides entries.
    """
    check_countable(data, name)
    if hasattr(data, "detach"):
        _check_tensor(data, name)
    if isinstance(data, np.ma.MaskedArray) and (n_hidden := int(np.ma.getmaskarray(data).sum())):
        raise ValueError(
            f"`{name}` must not hide entries; got a masked array with {n_hidden} of them masked. "
            f"Fill them, {name}.filled(...), or drop these rows."
        )


def _check_tensor(data: Any, name: str) -> None:
    if data.is_meta:
        raise TypeError(
            f'`{name}` must hold numbers; got a tensor on the device "meta", which keeps none. '
            'Make it on another, as by device="cpu".'
        )
    if data.is_quantized:
        raise TypeError(
            f"`{name}` must hold plain numbers; got a quantized tensor ({data.dtype}). Pass "
            f"{name}.dequantize()."
        )
    try:
        as_host_array(data.new_empty(0))
    except TypeError as error:
        raise TypeError(
            f"`{name}` must be of a dtype that numpy has; got {data.dtype}. Pass {name}.float()."
        ) from error
