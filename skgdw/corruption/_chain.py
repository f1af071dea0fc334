"""Samplers applied one after the other, and what becomes of each row and its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any, NamedTuple, Protocol

import numpy as np
from sklearn.base import clone

from skgdw._rows import BoolArray, IntArray, RowContainer, check_mask, join_rows, n_rows, take_rows

# Origin of a row that is no row of the input, or not known to be one.
UNKNOWN = -1

# Fit parameters that are rows and labels of their own, however many there are.
_BESIDE_X = {"X_meta", "y_meta", "X_val", "y_val"}


class Sampler(Protocol):
    """What corrupts rows and labels: ours, imbalanced-learn's, or the user's own."""

    def fit_resample(self, X: Any, y: Any, **options: Any) -> Any:
        """Return rows and labels after corruption."""


class Corrupted(NamedTuple):
    """What came out of the samplers; `origin` (m,) is each row's number in the input."""

    X: Any
    y: Any
    origin: IntArray
    samplers: list[tuple[str, Any]]


def corrupt(
    samplers: list[tuple[str, Any]],
    X: RowContainer,
    y: RowContainer,
    mask: BoolArray,
    generator: np.random.RandomState,
) -> Corrupted:
    """Apply clones of `samplers` in their order to the rows that `mask` (n,) does not name."""
    if samplers and mask.all():
        raise ValueError(
            f"`meta_mask` must leave rows to be corrupted; got only true rows, {len(mask)}; "
            "unmark some, or pass corruption=None."
        )
    origin, fitted = np.arange(len(mask)), []
    for name, sampler in samplers:
        sampler = clone(sampler, safe=False)
        _seed(sampler, generator)
        X, y, taken = _apply(name, sampler, X, y, mask)
        is_known = taken != UNKNOWN
        origin = np.where(is_known, origin[taken], UNKNOWN)
        mask = is_known & mask[taken]
        fitted.append((name, sampler))
    return Corrupted(X, y, origin, fitted)


def is_mask(name: str) -> bool:
    """Tell whether a fit parameter is the mask of trusted rows, if need be of a pipeline's step."""
    return _own_name(name) == "meta_mask"


def carry(params: Mapping[str, Any], origin: IntArray, n: int) -> dict[str, Any]:
    """Return the fit parameters `params` with those that have an entry for each row taken along.

    `n` is the number of rows before corruption, `origin` (m,) says where those after it come from.

    Returns
    -------
    dict of str to object
        Of the rows after corruption.

    Raises
    ------
    ValueError
        If rows of unknown origin would need an entry.
    """
    carried = dict(params)
    is_known = origin != UNKNOWN
    lost = []
    for name, value in params.items():
        if value is None or np.array_equal(origin, np.arange(n)):
            continue
        if is_mask(name):
            carried[name] = is_known & check_mask(value, n, name)[origin]
        elif _is_per_row(name, value, n):
            if is_known.all():
                carried[name] = take_rows(value, origin)
            else:
                lost.append(name)
    if lost:
        raise ValueError(
            f"Fit parameters with an entry for each row, here {lost}, must be carried along when "
            f"rows are dropped or added; got {int((~is_known).sum())} rows of unknown origin; "
            "leave the parameters out, or use samplers that set sample_indices_."
        )
    return carried


def _apply(
    name: str, sampler: Sampler, X: RowContainer, y: RowContainer, mask: BoolArray
) -> tuple[Any, Any, IntArray]:
    """Return the rows and labels after one sampler, and where each row comes from."""
    if not mask.any():
        return _resample(name, sampler, X, y)
    if "meta_mask" in signature(sampler.fit_resample).parameters:
        X, y, taken = _resample(name, sampler, X, y, meta_mask=mask)
        if (taken == UNKNOWN).any():
            raise ValueError(
                "`corruption` must hold samplers that set sample_indices_ if they take meta_mask; "
                f"got none from {name!r}; set it to the row of X that each row came from."
            )
        return X, y, taken
    free, fixed = np.flatnonzero(~mask), np.flatnonzero(mask)
    X_free = take_rows(X, free)
    X_new, y_new, taken = _resample(name, sampler, X_free, take_rows(y, free))
    origin = np.concatenate([np.where(taken == UNKNOWN, UNKNOWN, free[taken]), fixed])
    # Rows in the order of the input, those of unknown origin at the end.
    order = np.argsort(np.where(origin == UNKNOWN, len(mask), origin), kind="stable")
    y_all = take_rows(join_rows(y_new, take_rows(y, fixed)), order)
    if X_new is X_free:
        return X, y_all, origin[order]
    return take_rows(join_rows(X_new, take_rows(X, fixed)), order), y_all, origin[order]


def _resample(
    name: str, sampler: Sampler, X: RowContainer, y: RowContainer, **options: Any
) -> tuple[Any, Any, IntArray]:
    result = sampler.fit_resample(X, y, **options)
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise TypeError(
            "`corruption` must hold samplers that return X and y; got "
            f"{type(result).__name__} from {name!r}; return (X, y) from its fit_resample."
        )
    X_new, y_new = result
    n, n_new, n_labels = n_rows(X), n_rows(X_new), n_rows(y_new, "y")
    if n_new != n_labels:
        raise ValueError(
            "`corruption` must hold samplers that return one label per row; got "
            f"{n_new} rows and {n_labels} labels from {name!r}; mend its fit_resample."
        )
    if X_new is X:
        return X_new, y_new, np.arange(n)
    indices = getattr(sampler, "sample_indices_", None)
    if indices is None:
        return X_new, y_new, np.full(n_new, UNKNOWN)
    taken = np.asarray(indices)
    fits = taken.shape == (n_new,) and taken.dtype.kind in "iu"
    if not fits or (taken < 0).any() or (taken >= n).any():
        raise ValueError(
            "`corruption` must hold samplers whose sample_indices_ name a row of X for each row "
            f"returned; got {taken.dtype} of shape {taken.shape} for {n_new} rows out of {n} from "
            f"{name!r}; mend its fit_resample."
        )
    return X_new, y_new, taken


def _seed(sampler: Any, generator: np.random.RandomState) -> None:
    """Set the seeds that are None; one is drawn for each, so that none depends on the others."""
    params = sampler.get_params(deep=True) if hasattr(sampler, "get_params") else {}
    names = [name for name in sorted(params) if _own_name(name) == "random_state"]
    seeds = {name: int(generator.randint(2**31 - 1)) for name in names}
    missing = {name: seed for name, seed in seeds.items() if params[name] is None}
    if missing:
        sampler.set_params(**missing)


def _is_per_row(name: str, value: object, n: int) -> bool:
    """Tell whether a fit parameter has an entry for each row; trusted rows beside X never have."""
    if _own_name(name) in _BESIDE_X or isinstance(value, Mapping):
        return False
    try:
        return n_rows(value) == n
    except TypeError:
        return False


def _own_name(name: str) -> str:
    """Return the last part of ``step__name``."""
    return name.rpartition("__")[2]
