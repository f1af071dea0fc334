"""Rows: what may come as X."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import validate_data
from torch.utils.data import Dataset


def passes_through(X: Any) -> bool:
    """Tell whether X is one of skorch's inputs that are handed to the module as they are."""
    return isinstance(X, Dataset) or (isinstance(X, Mapping) and not hasattr(X, "tocsr"))


def as_host_array(data: Any) -> Any:
    """Return a torch tensor as a numpy array, anything else as it is."""
    if isinstance(data, torch.Tensor):
        data = data.detach().cpu()
        return (data.float() if data.dtype is torch.bfloat16 else data).numpy()
    return data


def check_X(estimator: Any, X: Any, y: Any = None, *, dtype: Any, reset: bool) -> Any:
    """Return X as an array (n, d) or (n, ...); with y, both, of equal length."""
    options: dict[str, Any] = {"dtype": dtype, "allow_nd": True, "order": "C", "reset": reset}
    if y is None:
        return _check_range(validate_data(estimator, as_host_array(X), **options))
    X, y = validate_data(
        estimator, as_host_array(X), as_host_array(y), multi_output=True, **options
    )
    return _check_range(X), y


def _check_range(X: Any) -> Any:
    """Refuse doubles that a module of single precision would see as infinite."""
    if X.dtype == np.float64 and X.size and np.abs(X).max() > np.finfo(np.float32).max:
        raise ValueError("Input X contains a value too large for dtype('float32'). Scale X.")
    return X


def as_plain_mapping(X: Any) -> Any:
    """Return a mapping as a dict, anything else as it is."""
    return dict(X) if isinstance(X, Mapping) and not hasattr(X, "tocsr") else X


def n_samples(X: Any) -> int:
    """Count the rows of an array, a mapping of arrays or a Dataset."""
    return len(next(iter(X.values()))) if isinstance(X, Mapping) else len(X)


def check_mapping(X: Mapping[str, Any], name: str) -> None:
    """Check that the entries of a mapping are arrays of equal, positive length."""
    lengths = {key: len(value) for key, value in X.items()}
    if len(set(lengths.values())) != 1 or not all(lengths.values()):
        raise ValueError(
            f"`{name}` as a mapping must hold arrays of one length, at least one row; got "
            f"{lengths or 'no entry'}."
        )
    bad = [key for key, value in X.items() if not _is_finite(as_host_array(value))]
    if bad:
        raise ValueError(f"`{name}` must be finite; got NaN or infinity in the entries {bad}.")


def _is_finite(value: Any) -> bool:
    array = np.asarray(value)
    return array.dtype.kind not in "fc" or bool(np.isfinite(array).all())


def check_enough_rows(n: int) -> None:
    """Check that there is something to train on."""
    if n < 2:
        raise ValueError(
            "At least two training rows are needed beside the meta set; got n_samples = "
            f"{n}: batch statistics of one row do not exist."
        )
