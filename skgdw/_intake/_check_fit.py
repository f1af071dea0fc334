"""What ``fit`` is given: checked once, then split into training and meta rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from skgdw import _validation as check
from skgdw._intake._hold_out import Rows, hold_out, relabel, separate


def check_fit(
    net: Any,
    X: Any,
    y: Any,
    X_meta: Any,
    y_meta: Any,
    meta_mask: Any,
    classes: Any,
    *,
    reset: bool,
) -> check.CheckedData:
    """Check everything that `fit` is given, before anything is built.

    Parameters
    ----------
    net : GDWClassifier
    X, y, X_meta, y_meta, meta_mask
        As given to `fit`.
    classes : array-like or None
        Labels that are known already.
    reset : bool
        Whether X defines the features, or has to agree with them.
    """
    X_meta, y_meta, bare = check.check_meta_arguments(X_meta, y_meta, meta_mask)
    X, X_meta = check.as_plain_mapping(X), check.as_plain_mapping(X_meta)
    if check.passes_through(X):
        labels = check.check_dataset_labels(X, y, classes)
    else:
        check.check_not_missing(y, "y")
        X, labels = check.check_X(net, X, y, dtype=net._input_dtype(), reset=reset)
        labels = check.check_labels(labels, "y")
    meta_labels = None if y_meta is None else check.check_labels(y_meta, "y_meta")
    classes = check.find_classes(labels, meta_labels, classes)
    codes = None if labels is None else check.encode(labels, classes)
    mask = None if meta_mask is None else check.check_meta_mask(meta_mask, check.n_samples(X))
    meta_codes = None
    if meta_labels is not None:
        X_meta = check.check_meta_X(net, X_meta, X)
        check.check_same_length(X_meta, meta_labels)
        meta_codes = check.encode(meta_labels, classes)
    X, X_meta = relabel(X, codes), relabel(X_meta, meta_codes)
    data = check.CheckedData(X, codes, classes, X_meta, meta_codes, mask)
    n_train = check.n_samples(X) - (0 if mask is None else int(mask.sum()))
    check.check_enough_rows(n_train)
    if net.weighting != "uniform":
        check.warn_of_meta_set(data, bare=bare)
    return data


def split_rows(net: Any, data: check.CheckedData) -> tuple[Rows, Rows | None]:
    """Return the rows to train on and the meta rows, None where there are none."""
    everything = Rows(data.X, data.y, np.arange(check.n_samples(data.X)))
    if data.meta_mask is not None:
        return separate(data.X, data.y, data.meta_mask)
    if data.y_meta is not None:
        return everything, Rows(data.X_meta, data.y_meta, np.arange(len(data.y_meta)))
    if net.weighting == "uniform":
        return everything, None
    codes = check.check_can_hold_out(data)
    return hold_out(data.X, codes, data.classes, net.meta_size, net._random)
