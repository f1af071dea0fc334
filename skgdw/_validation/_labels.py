"""Labels: what may come as y, and how they become class codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from skorch.dataset import Dataset as SkorchDataset

from skgdw._validation._inputs import as_host_array, check_mapping, n_samples


def check_labels(y: Any, name: str) -> NDArray[Any]:
    """Return the labels (n,), one for each row, or raise."""
    check_not_missing(y, name)
    y = as_host_array(y)
    _check_one_column(np.shape(y), name)
    labels = np.asarray(column_or_1d(y, warn=True))
    if labels.dtype.kind == "O":
        # Numbers in an object array are numbers all the same.
        plain = np.asarray(labels.tolist())
        labels = plain if plain.dtype.kind in "iub" else labels
    elif labels.dtype.kind == "f":
        _refuse_missing(np.isnan(labels), name)
    try:
        check_classification_targets(labels)
    except ValueError as error:
        raise ValueError(f"`{name}` must hold classes, one a row; got others: {error}") from error
    return labels


def _check_one_column(shape: tuple[int, ...], name: str) -> None:
    if len(shape) == 1 or (len(shape) == 2 and shape[1] == 1):
        return
    remedy = f"One-hot rows become labels by {name}.argmax(axis=1); "
    if name == "y":
        remedy += (
            "for several outputs wrap the classifier in MultiOutputClassifier, with the meta rows "
            "marked by `meta_mask`."
        )
    else:
        remedy += (
            "a wrapper that fits one classifier for each column of y (MultiOutputClassifier, "
            f"ClassifierChain) does not cut `{name}` so: give it `meta_mask` in place of "
            f"`X_meta` and `{name}`."
        )
    raise ValueError(f"`{name}` must hold one label a row, shape (n,); got shape {shape}. {remedy}")


def check_not_missing(y: Any, name: str) -> None:
    """Check that there are labels, none of them None, NaN or NA among objects."""
    if y is None:
        raise ValueError(
            f"`{name}` must hold one label a row; got None. This estimator requires y to be "
            "passed, but the target y is None."
        )
    y = as_host_array(y)
    kind = getattr(getattr(y, "dtype", None), "kind", "O")
    if hasattr(y, "isna") and kind == "O":
        _refuse_missing(np.asarray(y.isna()).reshape(-1), name)
    elif kind == "O":
        entries = np.asarray(y, dtype=object).reshape(-1)
        _refuse_missing(np.array([v is None or v != v for v in entries], dtype=bool), name)


def _refuse_missing(missing: NDArray[np.bool_], name: str) -> None:
    if missing.any():
        raise ValueError(
            f"`{name}` must not miss labels; got {missing.sum()} missing (NaN or None), the "
            f"first in row {missing.argmax()}. Drop these rows."
        )


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
            "Label both in the same way. If you did, a meta-estimator around the classifier "
            "(one-vs-rest, voting, bagging) has encoded y anew, but not `y_meta`: give it "
            "`meta_mask` in place of `X_meta` and `y_meta`."
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
    if isinstance(X, Mapping):
        check_mapping(X, "X")
    elif not hasattr(X, "__len__"):
        raise TypeError(
            f"`X` as a Dataset must have a length; got {type(X).__name__} without one. Wrap it in "
            "a map-style Dataset."
        )
    if y is None and isinstance(X, SkorchDataset) and X.y is not None:
        y = X.y
    if y is not None:
        labels = check_labels(y, "y")
        if len(labels) != n_samples(X):
            raise ValueError(
                "`X` and `y` must have the same number of rows; got "
                f"{n_samples(X)} and {len(labels)}."
            )
        return labels
    if isinstance(X, Mapping):
        check_not_missing(None, "y")
    if classes is None:
        raise ValueError(
            "`classes` must be given to the classifier when a Dataset holds the labels itself; got "
            "y=None. Pass classes=[...], in the order of the Dataset's class codes, or y."
        )
    return None


def check_same_classes(classes: Any, known: NDArray[Any]) -> None:
    """Check that a later call of partial_fit names the classes of the first."""
    given = np.unique(np.asarray(classes))
    if given.tolist() != np.unique(known).tolist():
        raise ValueError(
            f"`classes` must be those of the first call, {known.tolist()}; got {given.tolist()}. "
            "Call `fit` to start afresh."
        )
