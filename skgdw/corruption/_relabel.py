"""What the samplers that give wrong labels share: exact numbers, and a warning of hidden truth."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skgdw._rows import IntArray
from skgdw.exceptions import NoiseNotLearnableWarning

from ._transition import FloatArray


def check_exact(exact: Any) -> None:
    """Raise if `exact` is no bool."""
    if not isinstance(exact, bool | np.bool_):
        raise TypeError(f"`exact` must be a bool; got {exact!r}; pass True or False.")


def largest_remainder(shares: FloatArray, total: int, tie_order: IntArray) -> IntArray:
    """Round `shares` (c,) to integers that sum to `total`; equal remainders go by `tie_order`."""
    # 0.29 * 100 must count as 29, and equal remainders must compare as equal.
    shares = np.round(shares, 9)
    counts = np.floor(shares).astype(np.intp)
    order = np.lexsort((tie_order, -np.round(shares - counts, 9)))
    counts[order[: total - int(counts.sum())]] += 1
    return counts


def warn_if_truth_is_hidden(
    matrix: FloatArray, codes: IntArray, classes: NDArray[Any], name: str
) -> None:
    """Warn of classes that have rows but not, by `matrix` (c, c), their own label most often.

    `name` is what set the matrix. For a sampler's `_resample`: points at the caller of
    `fit_resample`.
    """
    others = matrix.copy()
    np.fill_diagonal(others, -np.inf)
    # A tie hides the truth too; rounding must not decide whether there is one.
    hidden = np.diagonal(matrix) <= others.max(axis=1) + 1e-12
    hidden &= np.isin(np.arange(len(hidden)), codes)
    if hidden.any():
        warnings.warn(
            f"`{name}` must give each true class its own label most often for the "
            "noise to be learnable; got another label at least as often for "
            f"{classes[hidden].tolist()}; lower the noise rate.",
            NoiseNotLearnableWarning,
            stacklevel=4,
        )
