"""Labels: what may come as y, and how they become class codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from skgdw._validation._inputs import as_host_array


def check_labels(y: Any, name: str) -> NDArray[Any]:
    """Return the labels (n,), one for each row, or raise."""
    y = as_host_array(y)
    if y is None:
        raise ValueError(
            f"`{name}` must hold one label a row; got None. This estimator requires y to be "
            "passed, but the target y is None."
        )
    labels = column_or_1d(y, warn=True)
    if labels.dtype.kind == "O" or hasattr(y, "isna"):
        missing = [label is None or label != label for label in labels.tolist()]
        if any(missing):
            raise ValueError(
                f"`{name}` must not miss labels; got {sum(missing)} missing (NaN or None), the "
                f"first in row {missing.index(True)}. Drop these rows."
            )
    check_classification_targets(labels)
    return np.asarray(labels)


def _kind(labels: NDArray[Any]) -> str:
    """Name the kind of labels: what may stand beside each other in one set of classes."""
    if labels.dtype.kind in "iuf":
        return "numbers"
    if labels.dtype.kind in "bU":
        return {"b": "booleans", "U": "strings"}[labels.dtype.kind]
    kinds = {"strings" if isinstance(label, str) else type(label).__name__ for label in labels}
    return " and ".join(sorted(kinds)) or "strings"


def find_classes(y: NDArray[Any] | None, y_meta: NDArray[Any] | None, classes: Any) -> NDArray[Any]:
    """Return the classes: those given, or the sorted union of the labels."""
    if y is None:  # a Dataset's own codes are places in `classes`
        y = np.asarray(classes)
    if y_meta is not None and _kind(y) != _kind(y_meta):
        raise ValueError(
            f"`y_meta` must hold labels of the same kind as y's; got {_kind(y_meta)} "
            f"({y_meta[:3].tolist()}, ...) where y holds {_kind(y)} ({y[:3].tolist()}, ...). "
            "Label both in the same way."
        )
    found = np.unique(y) if y_meta is None else np.union1d(y, y_meta)
    if classes is None:
        return found
    given = np.asarray(classes)
    if len(np.unique(given)) != len(given):
        raise ValueError(f"`classes` must not repeat a label; got {given.tolist()}.")
    unknown = sorted(set(found.tolist()) - set(given.tolist()))
    if unknown:
        raise ValueError(
            f"`classes` must hold every label; got {given.tolist()}, and labels {unknown} beside "
            "them in y or y_meta. Add them, or leave `classes` out."
        )
    return given


def encode(labels: NDArray[Any], classes: NDArray[Any]) -> NDArray[np.int64]:
    """Return each label's place in `classes`, all of which hold it."""
    order = np.argsort(classes, kind="stable")
    return order[np.searchsorted(classes[order], labels)].astype(np.int64)


def check_dataset_labels(X: Any, y: Any, classes: Any) -> NDArray[Any] | None:
    """Return the labels of a mapping or Dataset, None where a Dataset holds them itself."""
    if not hasattr(X, "__len__"):
        raise TypeError(
            f"`X` as a Dataset must have a length; got {type(X).__name__} without one. Wrap it in "
            "a map-style Dataset."
        )
    if y is not None:
        return check_labels(y, "y")
    if isinstance(X, Mapping):
        return check_labels(None, "y")
    if classes is None:
        raise ValueError(
            "`classes` must be given to the classifier when a Dataset holds the labels itself; got "
            "y=None. Pass classes=[...], in the order of the Dataset's class codes, or y."
        )
    return None
