"""The check of ``sample_weight``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skgdw._rows import IntArray, as_host_array, check_readable

_NONE_COUNTS = "`sample_weight` must be positive for some row that is trained on; got zeros alone."


def check_sample_weight(given: Any, n: int) -> NDArray[np.float64] | None:
    """Return the weights of the rows that ``fit`` is given.

    Parameters
    ----------
    given : array-like of shape (n,), number or None
        None, and a number, count all rows alike.
    n : int

    Returns
    -------
    ndarray of shape (n,) or None
        None where all rows count alike.

    Raises
    ------
    ValueError
        If the weights are of another shape or no numbers, if some are negative or not finite, or if
        all are zero.
    """
    if given is None:
        return None
    check_readable(given, "sample_weight")
    try:
        weight = np.asarray(as_host_array(given), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`sample_weight` must hold numbers; got {type(given).__name__}: {error}."
        ) from error
    if weight.ndim == 0:
        weight = np.full(n, weight)
    if weight.shape != (n,):
        raise ValueError(
            f"`sample_weight` must hold one number a row of X, shape ({n},); got shape "
            f"{weight.shape}. Meta and validation rows have none."
        )
    odd, negative = ~np.isfinite(weight), weight < 0
    faults = [
        f"{mask.sum()} {words}, the first in row {mask.argmax()}"
        for mask, words in ((odd, "NaN or infinite"), (negative, "negative"))
        if mask.any()
    ]
    if faults:
        raise ValueError(
            f"`sample_weight` must be finite and not negative; got {'; '.join(faults)}. "
            "Give rows that are not to count a weight of 0."
        )
    if n and not weight.any():
        raise ValueError(_NONE_COUNTS)
    return None if (weight == weight[:1]).all() else weight


def relative_weight(
    weight: NDArray[np.float64] | None, train: IntArray
) -> NDArray[np.float64] | None:
    """Put weights in relation to those of the rows at places `train`.

    Returns
    -------
    ndarray of shape (n,) or None
        One on average over these rows; None for None.

    Raises
    ------
    ValueError
        If no row would be trained on.
    """
    if weight is None:
        return None
    largest = weight[train].max()
    if not largest:
        raise ValueError(_NONE_COUNTS)
    # By the largest first, so that no sum of huge weights overflows. Rows that are not trained on
    # may be beyond it, and are never read.
    with np.errstate(over="ignore"):
        weight = weight / largest
    return weight / weight[train].mean()
