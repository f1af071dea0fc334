"""Trusted rows beside X: what may come as the meta set, as its mask, and as validation rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from skgdw._rows import (
    BoolArray,
    RowContainer,
    check_mask,
    check_same_length,
    is_mapping,
    label_kind,
    n_rows,
)
from skgdw._validation._inputs import check_X_beside, passes_through
from skgdw._validation._labels import check_labels
from skgdw._validation._mappings import check_container, check_keys


@dataclass(frozen=True)
class TrustedPair:
    """What the texts call a pair of rows and labels that comes beside (X, y).

    Attributes
    ----------
    X, y : str
        Names of the arguments.
    rows : str
        What they are.
    instead : str
        What to give a wrapper that does not hand the pair on as it has to be.
    """

    X: str
    y: str
    rows: str
    instead: str


META_SET = TrustedPair(
    "X_meta", "y_meta", "meta set", "give it `meta_mask` in place of `X_meta` and `y_meta`"
)
VALIDATION_ROWS = TrustedPair("X_val", "y_val", "validation set", "give it no `X_val` and `y_val`")
SPLIT_ROWS = TrustedPair(
    "train_split", "train_split", "validation set", "give it no split with rows of its own"
)

_UNCUT_MASK = (
    "mark the rows of this X; a wrapper that trains on some of its rows (self-training) does not "
    "cut the mask: give it `X_meta` and `y_meta`"
)


class GivenPair(NamedTuple):
    """Rows and labels out of their 1-tuples; `is_bare` if no splitter was kept from them."""

    X: RowContainer
    y: RowContainer | None
    is_bare: bool


def check_pair(
    X: RowContainer | None, y: RowContainer | None, names: TrustedPair
) -> GivenPair | None:
    """Return a pair out of its 1-tuples, None where there is none; a half is refused.

    A Dataset may come alone: it holds labels.

    Returns
    -------
    GivenPair or None
        The two, and whether they came bare.

    Raises
    ------
    ValueError
        If one of the two is missing, or a tuple holds more than one.
    """
    if X is None and y is None:
        return None
    is_bare = not (isinstance(X, tuple) or isinstance(y, tuple))
    X, y = _unwrap(X, names.X), _unwrap(y, names.y)
    check_container(X, names.X)
    holds_labels = passes_through(X) and not is_mapping(X)
    if X is None or (y is None and not holds_labels):
        missing, given = (names.y, names.X) if y is None else (names.X, names.y)
        hint = (
            " Weights of rows go by name, as sample_weight=..."
            if getattr(X, "ndim", 0) == 1
            else ""
        )
        raise ValueError(
            f"`{names.X}` and `{names.y}` must come together; got `{given}` without `{missing}`. "
            f"Pass `{missing}` as well.{hint}"
        )
    return GivenPair(X, y, is_bare)


def check_one_meta_set(meta: GivenPair | None, meta_mask: RowContainer | None) -> None:
    """Refuse a meta set that comes in two ways."""
    if meta is not None and meta_mask is not None:
        raise ValueError(
            "`meta_mask` must not stand beside `X_meta` and `y_meta`; got both. Pass the meta set "
            "as arrays, or mark its rows in X."
        )


def check_one_validation_set(valid: GivenPair | None, train_split: object) -> None:
    """Refuse validation rows beside a split that takes some out of the training rows."""
    if valid is not None and train_split is not None:
        raise ValueError(
            "`X_val` and `y_val` must not stand beside `train_split`, as there is one validation "
            f"set; got both, train_split={train_split!r}. Set train_split=None to validate on "
            "these rows, or leave them out."
        )


def _unwrap(value: RowContainer | None, name: str) -> Any:
    if isinstance(value, list) and len(value) == 1 and getattr(value[0], "ndim", 0) >= 1:
        raise ValueError(
            f"`{name}` as a list must hold rows; got a list of one array of shape "
            f"{np.shape(value[0])}. Pass a 1-tuple, ({name},), or the bare array."
        )
    if not isinstance(value, tuple):
        return value
    if len(value) != 1:
        raise ValueError(
            f"`{name}` as a tuple must hold exactly one array; got {len(value)} entries. "
            f"Pass ({name},), or the bare array."
        )
    return value[0]


def check_pair_labels(y: RowContainer, names: TrustedPair) -> NDArray[Any]:
    """Return the labels (n,) of a pair, or raise."""
    hint = (
        "A wrapper that fits one classifier for each column of y (MultiOutputClassifier, "
        f"ClassifierChain) does not cut `{names.y}` so: {names.instead}."
    )
    return check_labels(y, names.y, hint=hint)


def check_same_kind(labels: NDArray[Any], y: NDArray[Any], names: TrustedPair) -> None:
    """Check that the labels of a pair can be classes beside those of y."""
    if label_kind(labels) != label_kind(y):
        raise ValueError(
            f"`{names.y}` must hold labels of the same kind as y's; got {label_kind(labels)} "
            f"({labels[:3].tolist()}, ...) where y holds {label_kind(y)} ({y[:3].tolist()}, ...). "
            "Label both in the same way. If you did, a meta-estimator around the classifier "
            f"(one-vs-rest, voting, bagging) has encoded y anew, but not `{names.y}`: "
            f"{names.instead}."
        )


def check_pair_rows(
    estimator: BaseEstimator, given: RowContainer, labels: NDArray[Any], X: Any, names: TrustedPair
) -> Any:
    """Return the rows of a pair in the form of X, one for each of `labels` (n,), or raise."""
    if passes_through(X) or passes_through(given):
        _check_same_container(given, X, names)
        _check_not_empty(given, names)
    else:
        _check_not_empty(given, names)
        given = check_X_beside(estimator, given, X, names.X, remedy=names.instead)
    check_same_length(
        given,
        labels,
        names.X,
        names.y,
        remedy="pass one label per row. Under cross-validation wrap both in 1-tuples, "
        f"{names.X}=({names.X},), {names.y}=({names.y},).",
    )
    return given


def _check_same_container(given: RowContainer, X: RowContainer, names: TrustedPair) -> None:
    if is_mapping(X) and is_mapping(given):
        check_keys(given, X.keys(), names.X, "X has")
    elif is_mapping(X) or is_mapping(given) or not (passes_through(X) and passes_through(given)):
        if is_mapping(X):
            remedy = "Pass a mapping with the keys of X"
        elif passes_through(X):
            remedy = (
                f"Wrap it in a Dataset as X is, for instance torch.utils.data.TensorDataset("
                f"torch.as_tensor({names.X}), torch.as_tensor({names.y}))"
            )
        else:
            remedy = "Pass an array"
        raise TypeError(
            f"`{names.X}` must be of the same kind as X; got {type(given).__name__} beside "
            f"{type(X).__name__}. {remedy}."
        )


def _check_not_empty(given: RowContainer, names: TrustedPair) -> None:
    shape = getattr(given, "shape", None)
    if (shape is None or len(shape)) and n_rows(given, names.X) == 0:
        raise ValueError(f"`{names.X}` must hold at least one row; got an empty {names.rows}.")


def check_meta_mask(meta_mask: RowContainer, n: int) -> BoolArray:
    """Return the mask (n,), with at least one row on each side, or raise."""
    mask = check_mask(meta_mask, n, "meta_mask", _UNCUT_MASK)
    if mask.all() or not mask.any():
        found = "only true rows" if mask.all() else "no true row"
        raise ValueError(
            f"`meta_mask` must mark some rows of X as meta rows and leave others; got {found}. "
            "Under cross-validation every fold needs meta rows: shuffle, or pass X_meta and y_meta."
        )
    return mask


def check_can_hold_out(codes: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Return the class codes by which a meta set can be taken out of the training rows."""
    if codes is None:
        raise ValueError(
            "`X_meta` and `y_meta`, or `meta_mask`, must be given beside a Dataset without `y`: "
            'its labels are not known here. Pass them, or weighting="uniform".'
        )
    return codes
