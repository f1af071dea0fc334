"""Predictions for a world in which the classes have given frequencies."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skgdw._validation import check_class_prior


def at_class_prior(
    probability: NDArray[Any], class_prior: Any, estimated: NDArray[Any] | None
) -> NDArray[Any]:
    """Return probabilities for classes as frequent as that.

    Parameters
    ----------
    probability : ndarray of shape (n, c)
        For classes that are equally frequent.
    class_prior : {"meta", "train"} or array-like of shape (c,)
        "meta" leaves them as they are.
    estimated : ndarray of shape (c,) or None
        Shares of the true classes in training, where they are known.

    Returns
    -------
    ndarray of shape (n, c)
        Rows sum to one.
    """
    check_class_prior(class_prior, probability.shape[1], estimated)
    if isinstance(class_prior, str) and class_prior == "meta":
        return probability
    shares = np.asarray(estimated if isinstance(class_prior, str) else class_prior)
    weighed = probability * shares.astype(probability.dtype)
    total = weighed.sum(axis=1, keepdims=True)
    # A network may be certain of a class that is not there at all.
    return np.where(total > 0, weighed / np.where(total > 0, total, 1), probability)
