"""The world that predictions are for: how frequent the classes are in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def class_prior_fault(class_prior: Any) -> str | None:
    """Say what is wrong with the parameter, whatever was fitted; None if nothing is."""
    if isinstance(class_prior, str) and class_prior in ("meta", "train"):
        return None
    by_label = _by_label(class_prior)
    try:
        shares = np.asarray(class_prior if by_label is None else [*by_label.values()], dtype=float)
    except (TypeError, ValueError):
        shares = np.empty(0)
    if shares.ndim == 1 and len(shares) and np.isfinite(shares).all() and (shares > 0).all():
        return None
    return (
        '`class_prior` must be "meta", "train", or the share of each class, numbers > 0; got '
        f"{class_prior!r}."
    )


def in_order(class_prior: Any, classes: NDArray[Any]) -> Any:
    """Return shares that are given by label, in a mapping or a Series, in the order of the classes.

    Parameters
    ----------
    class_prior : {"meta", "train"}, array-like of shape (c,) or mapping of label to number
    classes : ndarray of shape (c,)

    Returns
    -------
    str or array-like of shape (c,)
        What is not by label as it is; so is a Series whose entries are numbered from 0.

    Raises
    ------
    ValueError
        If the labels are not those of the classes.
    """
    shares = _by_label(class_prior)
    if shares is None:
        return class_prior
    labels = classes.tolist()
    if shares.keys() == set(labels):
        return [shares[label] for label in labels]
    if [*shares] == [*range(len(labels))] and not isinstance(class_prior, Mapping):
        return [*shares.values()]
    raise ValueError(
        f"`class_prior` by label must have a share for each of {labels}; got {[*shares]}. Name "
        "each class once, or pass an array in the order of `classes_`."
    )


def _by_label(class_prior: Any) -> dict[Any, Any] | None:
    """Return shares by label, None where they are in order."""
    if isinstance(class_prior, Mapping):
        return dict(class_prior)
    is_series = hasattr(class_prior, "index") and hasattr(class_prior, "to_dict")
    return dict(class_prior.to_dict()) if is_series else None


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
