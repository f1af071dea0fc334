"""Transition matrices of the user's own: arrays, frames and dicts, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skgdw._rows import BoolArray

from ._named_classes import permutation_faults, plain_label
from ._transition import FloatArray

# Rows of probabilities written down by hand or in float32 miss 1 by less than this.
_SUM_TOLERANCE = 1e-6


def check_transition_matrix(matrix: Any, classes: NDArray[Any]) -> FloatArray:
    """Return `matrix` as float64 (c, c), rows = true classes in the order of `classes`."""
    known = classes.tolist()
    if isinstance(matrix, Mapping):
        return _from_mapping(matrix, known)
    if hasattr(matrix, "iloc") and hasattr(matrix, "columns"):
        matrix = _align_frame(matrix, known)
    n_classes = len(known)
    is_tensor = hasattr(matrix, "detach")
    try:
        plain = np.asarray(matrix.detach().cpu().double()) if is_tensor else matrix
        checked = np.array(plain, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"`transition_matrix` must be an array of numbers; got {type(matrix).__name__}; "
            f"pass {n_classes} rows of {n_classes} probabilities."
        ) from error
    if checked.shape != (n_classes, n_classes):
        raise ValueError(
            f"`transition_matrix` must have shape ({n_classes}, {n_classes}), one row and one "
            f"column per class of {known}; got shape {checked.shape}; "
            "add or remove rows and columns."
        )
    found = _row_faults(checked, np.ones(n_classes, dtype=bool), known)
    if found:
        raise ValueError(
            "`transition_matrix` must have non-negative entries and rows that sum to 1; got "
            f"{'; '.join(found)}; {_remedy(checked, np.ones(n_classes, dtype=bool))}."
        )
    return checked


def _align_frame(frame: Any, known: list[Any]) -> Any:
    """Return the frame's cells, rows and columns in the order of the classes `known`."""
    axes = {"index": list(frame.index), "columns": list(frame.columns)}
    found = [
        f"{fault} in the {name}"
        for name, labels in axes.items()
        for fault in permutation_faults(labels, known)
    ]
    if found:
        raise ValueError(
            f"`transition_matrix` as a DataFrame must be labelled with the classes {known}, each "
            f"once in the index (true) and in the columns (given); got {'; '.join(found)}; label "
            "it so, or pass its to_numpy() if it is in this order."
        )
    rows, columns = (
        [[plain_label(label) for label in labels].index(name) for name in known]
        for labels in axes.values()
    )
    return frame.iloc[rows, columns]


def _from_mapping(mapping: Mapping[Any, Any], known: list[Any]) -> FloatArray:
    """Return the matrix of ``{true class: {given class: probability}}``."""
    rows = {plain_label(label): row for label, row in mapping.items()}
    odd = [
        f"{type(row).__name__} for {label!r}"
        for label, row in rows.items()
        if not isinstance(row, Mapping)
    ]
    entries = [
        (label, plain_label(given), value)
        for label, row in rows.items()
        if isinstance(row, Mapping)
        for given, value in row.items()
    ]
    odd += [
        f"{value!r} for {label!r} given {other!r}"
        for label, other, value in entries
        if isinstance(value, bool | np.bool_) or not isinstance(value, Real)
    ]
    if odd:
        raise TypeError(
            "`transition_matrix` as a dict must hold {true class: {given class: probability}}; got "
            f"{'; '.join(odd)}; pass for instance {{{known[0]!r}: {{{known[1]!r}: 0.2}}}}."
        )
    named = dict.fromkeys([*rows, *(other for _, other, _ in entries)])
    unknown = [label for label in named if label not in known]
    matrix, has_diagonal = np.zeros((len(known), len(known))), np.zeros(len(known), dtype=bool)
    for label, other, value in entries:
        if label in known and other in known:
            i, j = known.index(label), known.index(other)
            matrix[i, j] = value
            has_diagonal[i] |= i == j
    # A row that names an unknown class has lost an entry, so that its sum says nothing.
    whole = [all(plain_label(other) in known for other in rows.get(label, ())) for label in known]
    found = [f"unknown classes {unknown}"] if unknown else []
    found += _row_faults(matrix, has_diagonal, known, np.array(whole))
    if found:
        remedy = f"name classes out of {known}" if unknown else _remedy(matrix, has_diagonal)
        raise ValueError(
            "`transition_matrix` must name the classes of y and have non-negative entries and rows "
            "that sum to 1, or to at most 1 where the class itself is left out; got "
            f"{'; '.join(found)}; {remedy}."
        )
    np.fill_diagonal(
        matrix, np.where(has_diagonal, np.diagonal(matrix), np.maximum(0, 1 - matrix.sum(axis=1)))
    )
    return matrix


def _row_faults(
    matrix: FloatArray, has_diagonal: BoolArray, known: list[Any], whole: BoolArray | None = None
) -> list[str]:
    """List negative entries, and rows (of those that are `whole`) with a wrong sum."""
    misses = _misses(matrix.sum(axis=1), has_diagonal)
    return [
        f"{value:.6g} in row {i} (class {label!r}), column {j}"
        for i, label in enumerate(known)
        for j, value in enumerate(matrix[i].tolist())
        if value < 0
    ] + [
        f"row {i} (class {label!r}) with sum {matrix[i].sum():.6g}"
        for i, label in enumerate(known)
        if misses[i] and (whole is None or whole[i])
    ]


def _remedy(matrix: FloatArray, has_diagonal: BoolArray) -> str:
    """Say what to do about faults of rows, by whether the columns would do for rows."""
    columns_fit = (matrix >= 0).all() and not _misses(matrix.sum(axis=0), has_diagonal).any()
    # A class that has no entry at all is kept, whichever way the matrix is read.
    is_whole = has_diagonal | ~(matrix.any(axis=0) | matrix.any(axis=1))
    if columns_fit and is_whole.all():
        return "this looks like cleanlab's noise_matrix (columns = true class); pass its transpose"
    if columns_fit:
        return "correct these sums, or, if the outer keys are given labels, transpose the dict"
    return "make the probabilities of each true class non-negative, with sum 1: none is rescaled"


def _misses(sums: FloatArray, has_diagonal: BoolArray) -> BoolArray:
    """Tell which sums (c,) are not 1, or are above 1 where the diagonal is still to be filled."""
    too_high, too_low = ~(sums <= 1 + _SUM_TOLERANCE), ~(sums >= 1 - _SUM_TOLERANCE)
    return too_high | (too_low & has_diagonal)
