"""Predictions for a world in which the classes have given frequencies."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skgdw._validation import check_class_prior, in_order
from skgdw.modules._probabilities import LEAST_SHARE


def class_shares(
    class_prior: Any, classes: NDArray[Any], estimated: NDArray[Any] | None
) -> NDArray[Any] | None:
    """Return how frequent the classes are by the parameter ``class_prior``.

    Parameters
    ----------
    class_prior : {"meta", "train"}, array-like of shape (c,) or mapping of label to number
    classes : ndarray of shape (c,)
    estimated : ndarray of shape (c,) or None
        Shares of the true classes in training, where they are known.

    Returns
    -------
    ndarray of shape (c,) or None
        Sums to one; None for classes as frequent as the logits have them.
    """
    class_prior = in_order(class_prior, classes)
    check_class_prior(class_prior, len(classes), estimated)
    if isinstance(class_prior, str) and class_prior == "meta":
        return None
    shares = np.asarray(estimated if isinstance(class_prior, str) else class_prior, dtype=float)
    return shares / shares.sum()


def log_shares(shares: NDArray[Any]) -> NDArray[Any]:
    """Return what is added to balanced logits for classes of those shares."""
    logarithms: NDArray[Any] = np.log(shares.clip(min=LEAST_SHARE))
    return logarithms


def at_class_shares(probability: NDArray[Any], shares: NDArray[Any] | None) -> NDArray[Any]:
    """Return balanced probabilities (n, c) for classes of those shares; None leaves them."""
    if shares is None:
        return probability
    with np.errstate(under="ignore"):
        weighed = probability * shares.clip(min=LEAST_SHARE).astype(probability.dtype)
        weighed /= weighed.sum(axis=1, keepdims=True)
    return weighed
