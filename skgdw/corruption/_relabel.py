"""What the samplers that give wrong labels share: a check, and a warning of hidden truth."""

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


def warn_if_truth_is_hidden(
    matrix: FloatArray, codes: IntArray, classes: NDArray[Any], name: str
) -> None:
    """Warn of classes that have rows but not, by `matrix` (c, c), their own label most often.

    `name` is the parameter that set the matrix. For a sampler's `_resample`: points at the caller
    of `fit_resample`.
    """
    others = matrix.copy()
    np.fill_diagonal(others, -np.inf)
    # A tie hides the truth too; rounding must not decide whether there is one.
    hidden = np.diagonal(matrix) <= others.max(axis=1) + 1e-12
    hidden &= np.isin(np.arange(len(hidden)), codes)
    if hidden.any():
        is_rate = name == "noise_rate"
        remedy = "lower the noise rate" if is_rate else "lower the probabilities of other labels"
        warnings.warn(
            f"`{name}` must give each true class its own label most often for the "
            "noise to be learnable; got another label at least as often for "
            f"{classes[hidden].tolist()}; {remedy}.",
            NoiseNotLearnableWarning,
            stacklevel=4,
        )
