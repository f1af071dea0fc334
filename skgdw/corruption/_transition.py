"""Transition matrices: how likely each true class is to be given which label."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real

import numpy as np
from numpy.typing import NDArray

from skgdw._rows import local_random_state

FloatArray = NDArray[np.float64]


def transition_matrix(
    kind: str,
    n_classes: int,
    noise_rate: float,
    *,
    random_state: int | np.random.RandomState | None = None,
) -> FloatArray:
    r"""Return the transition matrix of a kind of label noise.

    Entry (i, j) is the probability that a row of true class i is given label j: rows are true
    classes, columns given ones, and each row sums to 1. With c = `n_classes`, p = `noise_rate`:

    - ``"uniform"``: with probability p the label is drawn anew from all c classes, the true one
      included, so that only p (c - 1) / c of the labels change; used in [1]_, [2]_.
    - ``"symmetric"``: with probability p the label is drawn from the c - 1 other classes, so that
      p of the labels change; used in [3]_.
    - ``"pair"``: with probability p class i is given label i + 1, the last class label 0 [3]_.
    - ``"flip1"``: with probability p class i is given the label of one other class, drawn once for
      each i, so that several classes may share it; used in the code of [1]_, [2]_.
    - ``"flip2"``: the same with two other classes, p / 2 each; used in the code of [1]_, [2]_.

    Parameters
    ----------
    kind : {"uniform", "symmetric", "pair", "flip1", "flip2"}
        Kind of noise.
    n_classes : int
        Number of classes, at least 2; for "flip2" at least 3.
    noise_rate : float
        The p above, a fraction in [0, 1].
    random_state : int, RandomState or None, default=None
        Seed of the classes that "flip1" and "flip2" draw; the other kinds draw nothing. The same
        seed draws the same classes at every rate, and :class:`LabelNoise` the same as this
        function. None draws anew each time. Numpy's global state is not used.

    Returns
    -------
    ndarray of shape (n_classes, n_classes), dtype float64
        The matrix.

    Raises
    ------
    TypeError
        If `n_classes` or `noise_rate` is not a number, or `random_state` no seed.
    ValueError
        If `kind` is unknown, a number is out of range, or "flip2" gets fewer than three classes.

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
    >>> transition_matrix("flip1", 3, 0.2, random_state=0)
    array([[0.8, 0. , 0.2],
           [0.2, 0.8, 0. ],
           [0.2, 0. , 0.8]])
    """
    kinds = sorted([*_KINDS, *_N_FLIP_TARGETS])
    if not isinstance(kind, str) or kind not in kinds:
        raise ValueError(
            f"`kind` must be one of {kinds}; got {kind!r}; for other noise pass a matrix "
            "of your own as `transition_matrix=` to LabelNoise."
        )
    if isinstance(n_classes, bool) or not isinstance(n_classes, int | np.integer):
        raise TypeError(f"`n_classes` must be an integer; got {n_classes!r}; pass for instance 10.")
    if n_classes < 2:
        raise ValueError(f"`n_classes` must be at least 2; got {n_classes}; add classes.")
    rate = check_noise_rate(noise_rate)
    generator = local_random_state(random_state)
    if kind in _KINDS:
        return _KINDS[kind](int(n_classes), rate)
    n_targets = _N_FLIP_TARGETS[kind]
    if n_classes <= n_targets:
        raise ValueError(
            f"`n_classes` must be at least {n_targets + 1} for the kind {kind!r}; got {n_classes}; "
            "use 'flip1', or add classes."
        )
    return _flip(int(n_classes), rate, n_targets, generator)


def check_noise_rate(noise_rate: object) -> float:
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


def _uniform(n_classes: int, rate: float) -> FloatArray:
    return (1 - rate) * np.eye(n_classes) + rate / n_classes


def _symmetric(n_classes: int, rate: float) -> FloatArray:
    others = 1 - np.eye(n_classes)
    return (1 - rate) * np.eye(n_classes) + rate / (n_classes - 1) * others


def _pair(n_classes: int, rate: float) -> FloatArray:
    return (1 - rate) * np.eye(n_classes) + rate * np.roll(np.eye(n_classes), 1, axis=1)


def _flip(
    n_classes: int, rate: float, n_targets: int, generator: np.random.RandomState
) -> FloatArray:
    matrix = (1 - rate) * np.eye(n_classes)
    for i in range(n_classes):
        # The same draws for any number of targets: that of "flip1" is one of those of "flip2".
        others = generator.permutation(n_classes - 1)[:n_targets]
        matrix[i, others + (others >= i)] = rate / n_targets
    return matrix


_KINDS: dict[str, Callable[[int, float], FloatArray]] = {
    "pair": _pair,
    "symmetric": _symmetric,
    "uniform": _uniform,
}

# To how many classes, drawn at random, each class goes.
_N_FLIP_TARGETS = {"flip1": 1, "flip2": 2}
