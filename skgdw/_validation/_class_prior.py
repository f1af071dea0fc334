"""The world that predictions are for: how frequent the classes are in it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def class_prior_fault(class_prior: Any) -> str | None:
    """Say what is wrong with the parameter, whatever was fitted; None if nothing is."""
    if isinstance(class_prior, str) and class_prior in ("meta", "train"):
        return None
    try:
        shares = np.asarray(class_prior, dtype=float)
    except (TypeError, ValueError):
        shares = np.empty(0)
    if shares.ndim == 1 and len(shares) and np.isfinite(shares).all() and (shares > 0).all():
        return None
    return (
        '`class_prior` must be "meta", "train", or the share of each class, numbers > 0; got '
        f"{class_prior!r}."
    )


def check_class_prior(class_prior: Any, n_classes: int, estimated: NDArray[Any] | None) -> None:
    """Check the parameter once the classes are known, and whether their shares were estimated.

    Parameters
    ----------
    class_prior : {"meta", "train"} or array-like of shape (c,)
    n_classes : int
    estimated : ndarray of shape (c,) or None

    Raises
    ------
    ValueError
        If the parameter breaks its rule, does not fit the classes, or asks for shares that were not
        estimated.
    """
    if fault := class_prior_fault(class_prior):
        raise ValueError(fault)
    if isinstance(class_prior, str):
        if class_prior == "train" and estimated is None:
            raise ValueError(
                '`class_prior` must be "meta" or an array under a `weighting` that does not '
                'estimate how frequent the classes are; got "train". Use weighting="class_pair".'
            )
    elif len(class_prior) != n_classes:
        raise ValueError(
            f"`class_prior` must have one share for each of the {n_classes} classes, in the order "
            f"of `classes_`; got {len(class_prior)}."
        )
