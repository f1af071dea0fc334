"""Transition matrices: how likely each true class is to be given which label."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

# Rows of probabilities written down by hand or in float32 miss 1 by less than this.
_SUM_TOLERANCE = 1e-6


def transition_matrix(kind: str, n_classes: int, noise_rate: float) -> FloatArray:
    r"""Return the transition matrix of a kind of label noise.

    Entry (i, j) is the probability that a row of true class i is given label j: rows are true
    classes, columns given ones, and each row sums to 1. With c = `n_classes`, p = `noise_rate`:

    - ``"uniform"``: with probability p the label is drawn anew from all c classes, the true one
      included, so that only p (c - 1) / c of the labels change; used in [1]_, [2]_.
    - ``"symmetric"``: with probability p the label is drawn from the c - 1 other classes, so that
      p of the labels change; used in [3]_.
    - ``"pair"``: with probability p class i is given label i + 1, the last class label 0 [3]_.

    Parameters
    ----------
    kind : {"uniform", "symmetric", "pair"}
        Kind of noise.
    n_classes : int
        Number of classes, at least 2.
    noise_rate : float
        The p above, a fraction in [0, 1].

    Returns
    -------
    ndarray of shape (n_classes, n_classes), dtype float64
        The matrix.

    Raises
    ------
    TypeError
        If `n_classes` or `noise_rate` is not a number.
    ValueError
        If `kind` is unknown or a number is out of range.

    References
    ----------
    .. [1] Chen et al., "Generalized Data Weighting via Class-Level Gradient Manipulation",
       NeurIPS 2021, arXiv:2111.00056.
    .. [2] Shu et al., "Meta-Weight-Net: Learning an Explicit Mapping For Sample Weighting",
       NeurIPS 2019, arXiv:1902.07379.
    .. [3] Han et al., "Co-teaching: Robust Training of Deep Neural Networks with Extremely Noisy
       Labels", NeurIPS 2018, arXiv:1804.06872.

    Examples
    --------
    >>> from skgdw.corruption import transition_matrix
    >>> transition_matrix("uniform", 4, 0.4)
    array([[0.7, 0.1, 0.1, 0.1],
           [0.1, 0.7, 0.1, 0.1],
           [0.1, 0.1, 0.7, 0.1],
           [0.1, 0.1, 0.1, 0.7]])
    >>> transition_matrix("pair", 3, 0.25)
    array([[0.75, 0.25, 0.  ],
           [0.  , 0.75, 0.25],
           [0.25, 0.  , 0.75]])
    """
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ValueError(
            f"`kind` must be one of {sorted(_KINDS)}; got {kind!r}; for other noise pass a matrix "
            "of your own as `transition_matrix=` to LabelNoise."
        )
    if isinstance(n_classes, bool) or not isinstance(n_classes, int | np.integer):
        raise TypeError(f"`n_classes` must be an integer; got {n_classes!r}; pass for instance 10.")
    if n_classes < 2:
        raise ValueError(f"`n_classes` must be at least 2; got {n_classes}; add classes.")
    return _KINDS[kind](int(n_classes), check_noise_rate(noise_rate))


def check_noise_rate(noise_rate: Any) -> float:
    """Return `noise_rate` as a float in [0, 1], or raise."""
    if isinstance(noise_rate, bool | np.bool_) or not isinstance(noise_rate, Real):
        raise TypeError(
            f"`noise_rate` must be a number; got {noise_rate!r}; pass for instance 0.4."
        )
    rate = float(noise_rate)
    if not 0 <= rate <= 1:
        raise ValueError(
            f"`noise_rate` must lie in [0, 1]; got {rate}; pass a fraction, not per cent."
        )
    return rate


def check_transition_matrix(matrix: Any, classes: NDArray[Any]) -> FloatArray:
    """Return `matrix` as float64 (c, c), rows = true classes in the order of `classes`."""
    n_classes = len(classes)
    try:
        checked = np.array(matrix, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"`transition_matrix` must be an array of numbers; got {type(matrix).__name__}; "
            f"pass {n_classes} rows of {n_classes} probabilities."
        ) from error
    if checked.shape != (n_classes, n_classes):
        raise ValueError(
            f"`transition_matrix` must have shape ({n_classes}, {n_classes}), one row and one "
            f"column per class of {classes.tolist()}; got shape {checked.shape}; "
            "add or remove rows and columns."
        )
    sums = checked.sum(axis=1)
    row_misses = ~np.isclose(sums, 1, rtol=0, atol=_SUM_TOLERANCE)
    columns_fit = np.allclose(checked.sum(axis=0), 1, rtol=0, atol=_SUM_TOLERANCE)
    found = [
        f"{value:.6g} in row {i} (class {label!r}), column {j}"
        for i, label in enumerate(classes.tolist())
        for j, value in enumerate(checked[i].tolist())
        if value < 0
    ] + [
        f"row {i} (class {label!r}) with sum {sums[i]:.6g}"
        for i, label in enumerate(classes.tolist())
        if row_misses[i]
    ]
    if found:
        remedy = (
            "this looks like cleanlab's noise_matrix (columns = true class); pass its transpose"
            if row_misses.any() and columns_fit
            else "make the probabilities of each true class add up to 1, they are never rescaled"
        )
        raise ValueError(
            "`transition_matrix` must have non-negative entries and rows that sum to 1; got "
            f"{'; '.join(found)}; {remedy}."
        )
    return checked


def _uniform(n_classes: int, rate: float) -> FloatArray:
    return (1 - rate) * np.eye(n_classes) + rate / n_classes


def _symmetric(n_classes: int, rate: float) -> FloatArray:
    others = 1 - np.eye(n_classes)
    return (1 - rate) * np.eye(n_classes) + rate / (n_classes - 1) * others


def _pair(n_classes: int, rate: float) -> FloatArray:
    return (1 - rate) * np.eye(n_classes) + rate * np.roll(np.eye(n_classes), 1, axis=1)


_KINDS: dict[str, Callable[[int, float], FloatArray]] = {
    "pair": _pair,
    "symmetric": _symmetric,
    "uniform": _uniform,
}
