"""The weights of classes that ``class_weight`` asks for, as the criterion takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor


def criterion_weight(
    class_weight: str | Mapping[Any, float],
    classes: NDArray[Any],
    codes: NDArray[np.int64] | None,
    *,
    is_partial_fit: bool = False,
) -> Tensor:
    """Return the weight of each class.

    Parameters
    ----------
    class_weight : "balanced" or mapping of label to number
        Labels that are not in the mapping weigh one.
    classes : ndarray of shape (c,)
    codes : ndarray of shape (n,) or None
        Class codes of the training rows; None where a Dataset holds the labels.
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
        if codes is None or is_partial_fit:
            why = "further rows are to come" if is_partial_fit else "a Dataset holds the labels"
            raise ValueError(
                f'`class_weight` must not be "balanced" where {why}; pass a mapping of labels to '
                "weights."
            )
        found = np.ones(len(classes))  # of those without training rows, too: meta rows have them
        present = np.unique(codes)
        found[present] = compute_class_weight("balanced", classes=present, y=codes)
        return torch.as_tensor(found)
    known = classes.tolist()
    weight = {label: class_weight.get(label, 1.0) for label in known}
    faults = [f"{label!r}, which is no class" for label in class_weight if label not in weight]
    faults += [f"{value!r} for {label!r}" for label, value in weight.items() if not value >= 0]
    if faults:
        raise ValueError(
            f"`class_weight` must map labels among {known} to numbers >= 0; got "
            f"{', '.join(faults)}."
        )
    return torch.tensor([float(weight[label]) for label in known], dtype=torch.float64)
