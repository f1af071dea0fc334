"""Labels: what may come as y, and how they become class codes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import DataConversionWarning
from skorch.dataset import Dataset as SkorchDataset

from skgdw._rows import (
    RowContainer,
    as_labels,
    check_has_length,
    check_same_length,
    is_column,
    is_mapping,
    join_labels,
)
from skgdw._warn import warn
from skgdw.exceptions import ClassOrderWarning

_SEVERAL_OUTPUTS = (
    "For several outputs wrap the classifier in MultiOutputClassifier, with the meta rows marked "
    "by `meta_mask`."
)


def check_labels(
    y: RowContainer | None, name: str, *, hint: str = _SEVERAL_OUTPUTS
) -> NDArray[Any]:
    """Return the labels (n,), one for each row, or raise.

    Parameters
    ----------
    y : array-like of shape (n,), (n, 1) or (n, c), or None
    name : str
        What `fit` calls it.
    hint : str
        What to do about several columns of labels.

    Returns
    -------
    ndarray of shape (n,)
        Labels of one kind, none missing.
    """
    given = check_given(y, name)
    labels = as_labels(given, name, hint=hint)
    if is_column(given):
        warn(
            f"A column-vector {name} was passed when a 1d array was expected. Please change the "
            f"shape of {name} to (n_samples, ), for example using ravel().",
            DataConversionWarning,
        )
    return labels


def check_same_columns(y: RowContainer | None, other: RowContainer | None, name: str) -> None:
    """Refuse one-hot labels whose columns are not those of y's: they go by their places."""
    mine, theirs = _columns_of(y), _columns_of(other)
    if not mine or not theirs or mine == theirs:
        return
    if len(mine) == len(theirs) and not (hasattr(y, "columns") and hasattr(other, "columns")):
        return
    raise ValueError(
        f"`{name}` in one-hot rows must have the columns of y, in their order; got {theirs} beside "
        f"{mine}. Bring them together, as {name}.reindex(columns=y.columns, fill_value=0) does for "
        "frames, or pass labels."
    )


def _columns_of(y: Any) -> list[Any]:
    """Return the names of several columns, or their numbers; nothing of labels in a vector."""
    shape = y.shape if hasattr(y, "shape") else np.shape(y)
    several = len(shape) == 2 and shape[1] > 1
    return list(getattr(y, "columns", range(shape[1]))) if several else []


def check_given(y: RowContainer | None, name: str) -> RowContainer:
    """Return labels, or raise where there are none."""
    if y is None:
        raise ValueError(
            f"`{name}` must hold one label a row; got None. This estimator requires y to be "
            "passed, but the target y is None."
        )
    return y


def find_classes(
    y: NDArray[Any] | None, y_meta: NDArray[Any] | None, classes: ArrayLike | None
) -> NDArray[Any]:
    """Return the classes: those given, or the sorted union of the labels, of one kind."""
    known = [labels for labels in (y, y_meta) if labels is not None]
    found = np.unique(join_labels(known, "y and y_meta")) if known else _listed(classes)
    if classes is None:
        return found
    given = _listed(classes)
    if len(np.unique(given)) != len(given):
        raise ValueError(f"`classes` must not repeat a label; got {given.tolist()}.")
    unknown = _unknown(found, given)
    if unknown:
        raise ValueError(
            f"`classes` must hold every label; got {given.tolist()}, and labels {unknown} beside "
            "them in y or y_meta. Add them, or leave `classes` out; with `partial_fit` or "
            "`warm_start` training goes on with the labels of the first call: start afresh for "
            "others."
        )
    if not np.array_equal(given, np.unique(given)):
        warn(
            "`classes` should be sorted, as `classes_` is in scikit-learn: its scorers by "
            "probability, such as roc_auc and neg_log_loss, take the columns to be in that order; "
            f"got {given.tolist()}. Sort them, and what goes by their order.",
            ClassOrderWarning,
        )
    return given


def _listed(classes: ArrayLike | None) -> NDArray[Any]:
    """Return classes as an array, if they can be a list of labels."""
    given = np.asarray(classes)
    if given.ndim != 1:
        raise ValueError(
            f"`classes` must be a list of labels; got an array of shape {given.shape}. "
            "`partial_fit` takes it third, as scikit-learn's do: pass a meta set by name, as "
            "X_meta=..., y_meta=..."
        )
    return given


def check_known(labels: NDArray[Any] | None, classes: NDArray[Any], name: str) -> None:
    """Check that there is a class to each label of rows that are only to be scored."""
    if labels is not None and (unknown := _unknown(labels, classes)):
        n_unknown = int(np.isin(labels, unknown).sum())
        raise ValueError(
            f"`{name}` must hold labels that y or y_meta hold, {classes.tolist()}; got {unknown} "
            f"in {n_unknown} rows: no class is learnt for them, so they cannot be scored. Drop "
            "these rows, or give training rows of these classes."
        )


def _unknown(labels: NDArray[Any], classes: NDArray[Any]) -> list[Any]:
    return sorted(set(labels.tolist()) - set(classes.tolist()))


def check_dataset_labels(
    X: RowContainer, y: RowContainer | None, classes: ArrayLike | None
) -> NDArray[Any] | None:
    """Return the labels of a mapping or Dataset, None where a Dataset holds them itself."""
    if not is_mapping(X):
        check_has_length(X, "X")
    if y is None and isinstance(X, SkorchDataset) and X.y is not None:
        y = X.y
    if y is None and not is_mapping(X):
        if classes is None:
            raise ValueError(
                "`classes` must be given to the classifier when a Dataset holds the labels itself; "
                "got y=None. Pass classes=[...], the labels that it holds, or y."
            )
        return None
    labels = check_labels(y, "y")
    check_same_length(X, labels)
    return labels


def check_classes(classes: ArrayLike, known: NDArray[Any] | None) -> None:
    """Check the classes that partial_fit is given: a list, in a later call that of the first."""
    given = np.unique(_listed(classes))
    if known is not None and given.tolist() != np.unique(known).tolist():
        raise ValueError(
            f"`classes` must be those of the first call, {known.tolist()}; got {given.tolist()}. "
            "Call `fit` to start afresh."
        )
