"""What ``fit`` is given, checked and split in one walk, before anything is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skgdw import _validation as check
from skgdw._intake._datasets import labels_inside, with_codes
from skgdw._intake._hold_out import Rows, hold_out, separate
from skgdw._rows import BoolArray, RowContainer, check_same_length, encode, n_rows


class GivenRows(NamedTuple):
    """The rows, labels and mask in the arguments of ``fit``, as they are."""

    X: RowContainer
    y: RowContainer | None = None
    X_meta: RowContainer | None = None
    y_meta: RowContainer | None = None
    meta_mask: RowContainer | None = None
    X_val: RowContainer | None = None
    y_val: RowContainer | None = None
    sample_weight: Any = None


@dataclass(frozen=True)
class TrainingData:
    """What one fit works on, every check passed.

    Attributes
    ----------
    train : Rows
        Rows to train on.
    meta : Rows or None
        Rows that teach; None in plain training without any.
    valid : Rows or None
        Rows with trusted labels that are only scored.
    classes : ndarray of shape (c,)
        Labels in the order of the codes.
    n_rows : int
        Rows of the X that was given, meta rows that were taken out of it among them.
    sample_weight : ndarray of shape (n_rows,) or None
        Their mean is one over the rows to train on; None where all count alike.
    """

    train: Rows
    meta: Rows | None
    valid: Rows | None
    classes: NDArray[Any]
    n_rows: int
    sample_weight: NDArray[np.float64] | None = None


class Trainable(Protocol):
    """What is asked of the classifier here."""

    meta_size: float
    train_split: object
    _row_names: tuple[str, ...] | None
    _row_columns: Mapping[str, tuple[Any, ...]]
    _row_shapes: Mapping[str, tuple[int, ...]]

    def _input_dtype(self) -> Any:
        """Return the dtypes that arrays may have; others become the first."""


class _Labelled(NamedTuple):
    """Checked rows and their labels, None where a Dataset holds them; whether they came bare."""

    X: Any
    labels: NDArray[Any] | None
    is_bare: bool = False
    y: RowContainer | None = None  # as they were given


def check_fit(
    net: Trainable,
    given: GivenRows,
    *,
    classes: ArrayLike | None,
    reset: bool,
    uses_meta: bool,
    judges: bool = False,
    random_state: Callable[[], np.random.RandomState],
) -> TrainingData:
    """Check everything that `fit` is given, and split it into training, meta and validation rows.

    Parameters
    ----------
    net : GDWClassifier
        Gets ``n_features_in_`` and ``feature_names_in_``.
    given : GivenRows
    classes : array-like or None
        Labels that are known already.
    reset : bool
        Whether X defines the features, or has to agree with them.
    uses_meta : bool
        Whether the weights are taught. Where not, a meta set is checked and left aside, and none is
        taken out of X.
    judges : bool, default=False
        Whether epochs are judged on the meta set, so that what is odd about it matters.
    random_state : callable
        Returns the source of the draw of meta rows. It is called once and after every check, so
        that a refusal draws nothing from a source that the user shares.

    Returns
    -------
    TrainingData
        Training, meta and validation rows, with class codes for labels.
    """
    meta_pair = check.check_pair(given.X_meta, given.y_meta, check.META_SET)
    check.check_one_meta_set(meta_pair, given.meta_mask)
    valid_pair = check.check_pair(given.X_val, given.y_val, check.VALIDATION_ROWS)
    check.check_one_validation_set(valid_pair, net.train_split)

    checked = _check_training_rows(net, given, classes, reset=reset)
    meta_checked = _check_beside(net, meta_pair, checked, classes, check.META_SET)
    found = check.find_classes(checked.labels, _labels(meta_checked), classes)
    valid_checked = _check_beside(net, valid_pair, checked, found, check.VALIDATION_ROWS)
    check.check_known(_labels(valid_checked), found, "y_val")
    n = n_rows(checked.X)
    weight = check.check_sample_weight(given.sample_weight, n)
    mask = None if given.meta_mask is None else check.check_meta_mask(given.meta_mask, n)
    check.check_enough_rows(n if mask is None else int((~mask).sum()))

    everything = _encode(checked, found)
    meta = None if meta_checked is None else _encode(meta_checked, found)
    valid = None if valid_checked is None else _encode(valid_checked, found)
    if uses_meta or judges:
        _warn_of_meta_set(everything, mask, meta, found, is_bare=_is_bare(meta_checked))
    _warn_of_validation_rows(everything, meta, valid, is_bare=_is_bare(valid_checked))
    source, train = random_state(), everything
    if mask is not None:
        train, meta = separate(everything.X, everything.y, mask)
    elif meta is None and uses_meta:
        codes = check.check_can_hold_out(everything.y)
        train, meta = hold_out(everything.X, codes, found, net.meta_size, source, weight)
    check.check_enough_rows(len(train.rows))
    relative = check.relative_weight(weight, train.rows)
    return TrainingData(train, meta, valid, found, n, relative)


def _check_training_rows(
    net: Trainable, given: GivenRows, classes: ArrayLike | None, *, reset: bool
) -> _Labelled:
    X = check.check_form(net, given.X, reset=reset)
    if check.passes_through(X):
        return _Labelled(X, check.check_dataset_labels(X, given.y, classes), y=given.y)
    y = check.check_given(given.y, "y")
    X = check.check_X(net, X, dtype=net._input_dtype(), reset=reset)
    check_same_length(X, y)
    return _Labelled(X, check.check_labels(y, "y"), y=y)


def _check_beside(
    net: Trainable,
    pair: check.GivenPair | None,
    training: _Labelled,
    classes: ArrayLike | None,
    names: check.TrustedPair,
) -> _Labelled | None:
    """Check rows that come beside the training rows: they are to be of the same form and kind."""
    if pair is None:
        return None
    y = labels_inside(pair.X, classes) if pair.y is None else pair.y
    labels = check.check_pair_labels(y, names)
    check.check_same_columns(training.y, pair.y, names.y)
    known = np.asarray(classes) if training.labels is None else training.labels
    check.check_same_kind(labels, known, names)
    X = check.open_mapping(pair.X, names.X)
    X = check.check_pair_rows(net, X, labels, training.X, names)
    check.check_columns(net, pair.X, names.X)
    return _Labelled(X, labels, pair.is_bare)


def _labels(checked: _Labelled | None) -> NDArray[Any] | None:
    return None if checked is None else checked.labels


def _is_bare(checked: _Labelled | None) -> bool:
    return checked is not None and checked.is_bare


def _encode(checked: _Labelled, classes: NDArray[Any]) -> Rows:
    codes = None if checked.labels is None else encode(checked.labels, classes)
    X = with_codes(checked.X, codes, classes)
    return Rows(X, codes, np.arange(n_rows(X)))


def _warn_of_meta_set(
    everything: Rows,
    mask: BoolArray | None,
    meta: Rows | None,
    classes: NDArray[Any],
    *,
    is_bare: bool,
) -> None:
    X, y = everything.X, everything.y
    if y is None:
        return
    if mask is not None:  # rows of X themselves: only the classes can be odd
        check.warn_of_meta_classes(y[~mask], y[mask], classes, is_mask=True)
    elif meta is not None and meta.y is not None:
        if is_bare:
            check.warn_of_slicing(X, meta.X, check.META_SET)
        check.warn_of_meta_classes(y, meta.y, classes, is_mask=False)
        check.warn_of_meta_overlap(X, meta.X)
        check.warn_of_scale(X, meta.X, check.META_SET)


def _warn_of_validation_rows(
    everything: Rows, meta: Rows | None, valid: Rows | None, *, is_bare: bool
) -> None:
    if valid is None:
        return
    if is_bare:
        check.warn_of_slicing(everything.X, valid.X, check.VALIDATION_ROWS)
    check.warn_of_validation_overlap(everything.X, None if meta is None else meta.X, valid.X)
    check.warn_of_scale(everything.X, valid.X, check.VALIDATION_ROWS)
