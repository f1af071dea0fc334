"""The weights of classes that ``class_weight`` asks for, as the criterion takes them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor

from skgdw._intake._check_fit import TrainingData


def criterion_weight(
    class_weight: str | Mapping[Any, float],
    classes: ArrayLike | None,
    data: TrainingData | None,
    *,
    is_partial_fit: bool = False,
) -> Tensor:
    """Return the weight of each class.

    Parameters
    ----------
    class_weight : "balanced" or mapping of label to number
        Labels that are not in the mapping weigh one.
    classes : array-like of shape (c,) or None
    data : TrainingData or None
        What "balanced" counts the training rows of, each by its ``sample_weight``; None outside a
        fit.
    is_partial_fit : bool, default=False
        Whether further rows are to come.

    Returns
    -------
    Tensor of shape (c,)
        Of float64.

    Raises
    ------
    ValueError
        If "balanced" cannot be worked out, or the mapping has labels that are no classes or
        weights that are none.
    """
    if isinstance(class_weight, str):
        return _balanced(classes, data, is_partial_fit=is_partial_fit)
    if classes is None:
        raise ValueError(
            "`class_weight` must know the classes; none are known before a fit. Name them: "
            "classes=[...]."
        )
    known = np.asarray(classes).tolist()
    faults = [f"{label!r}, which is no class" for label in class_weight if label not in known]
    faults += [f"{w!r} for {label!r}" for label, w in class_weight.items() if not _is_weight(w)]
    if faults:
        raise ValueError(
            f"`class_weight` must map labels among {known} to finite numbers > 0; got "
            f"{', '.join(faults)}. Give rows that are not to count a `sample_weight` of 0."
        )
    weight = [float(class_weight.get(label, 1.0)) for label in known]
    return torch.tensor(weight, dtype=torch.float64)


def as_criterion_weight(
    weight: ArrayLike | Tensor, n_classes: int | None, dtype: torch.dtype
) -> Tensor:
    """Return weights of classes in the dtype of the logits, which cross-entropy insists on.

    Parameters
    ----------
    weight : array-like of shape (c,)
    n_classes : int or None
        None where the classes are not known yet.
    dtype : torch.dtype

    Returns
    -------
    Tensor of shape (c,)

    Raises
    ------
    ValueError
        If there are not as many as classes, or they are no numbers > 0.
    """
    try:
        found = torch.as_tensor(weight, dtype=dtype)
    except (TypeError, ValueError, RuntimeError):
        found = torch.empty(0, dtype=dtype)
    is_fit = found.ndim == 1 and len(found) == (n_classes or len(found)) and len(found) > 0
    if not is_fit or not bool((found.isfinite() & (found > 0)).all()):
        raise ValueError(
            f"`criterion__weight` must hold a finite number > 0 for each of the "
            f"{n_classes or ''} classes, in their order; got {weight!r}. Pass as many, or "
            "class_weight=..., which takes them by label. Give rows that are not to count a "
            "`sample_weight` of 0."
        )
    return found


def _is_weight(value: object) -> bool:
    # Not zero, here as above: the mean loss of a batch that holds no other class would be 0 / 0.
    return isinstance(value, Real) and not isinstance(value, bool) and 0 < float(value) < math.inf


def _balanced(classes: Any, data: TrainingData | None, *, is_partial_fit: bool) -> Tensor:
    if data is None or data.train.y is None or is_partial_fit:
        why = "a Dataset holds the labels" if data else "there are no rows to count, outside a fit"
        why = "further rows are to come" if is_partial_fit else why
        raise ValueError(
            f'`class_weight` must not be "balanced" where {why}; pass a mapping of labels to '
            "weights."
        )
    codes, each = data.train.y, data.sample_weight
    counted = np.ones(len(codes)) if each is None else each[data.train.rows]
    codes, counted = codes[counted > 0], counted[counted > 0]
    present = np.unique(codes)
    weight = np.ones(len(classes))  # of those without training rows, too: meta rows have them
    weight[present] = compute_class_weight(
        "balanced", classes=present, y=codes, sample_weight=counted
    )
    return torch.as_tensor(weight)
