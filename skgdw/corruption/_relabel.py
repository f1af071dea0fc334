"""What the samplers that give wrong labels share: a check, and a warning of hidden truth."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skgdw._rows import IntArray
from skgdw.exceptions import NoiseNotLearnableWarning

from ._transition import FloatArray


def check_exact(exact: object) -> None:
    """Raise if `exact` is no bool."""
    if not isinstance(exact, bool | np.bool_):
        raise TypeError(f"`exact` must be a bool; got {exact!r}; pass True or False.")


def warn_if_truth_is_hidden(
    matrix: FloatArray, codes: IntArray, classes: NDArray[Any], name: str
) -> None:
    """Warn of classes with rows whose label does not, by `matrix` (c, c), tell them from others.

    Either the rows of the class get another label at least as often as their own, or rows of other
    classes get it at least as often as they do: p(given = k) p(true = k) >= p(given = k, true = k),
    by which cleanlab calls noise not learnable. `codes` (n,) are the classes of the rows.

    `name` is the parameter that set the matrix. For a sampler's `_resample`: points at the caller
    of `fit_resample`.
    """
    n_rows = np.bincount(codes, minlength=len(matrix))
    n_others = len(codes) - n_rows
    others = matrix.copy()
    np.fill_diagonal(others, 0)
    # A tie hides the truth too; rounding must not decide whether there is one.
    own = np.diagonal(matrix) - 1e-12
    hidden = own <= others.max(axis=1)
    # Where one class alone has rows, no other row gets its label.
    hidden |= own <= n_rows @ others / np.maximum(n_others, 1)
    hidden &= n_rows > 0
    if hidden.any():
        is_rate = name == "noise_rate"
        remedy = "lower the noise rate" if is_rate else "lower the probabilities of wrong labels"
        warnings.warn(
            f"`{name}` must give each true class its own label more often than any other label, "
            "and more often than rows of other classes get it, for the noise to be learnable; got "
            f"as often or less for {classes[hidden].tolist()}; {remedy}.",
            NoiseNotLearnableWarning,
            stacklevel=4,
        )
