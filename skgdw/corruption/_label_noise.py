"""Labels changed at random according to their true class."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skgdw._rows import IntArray, rows_by_class
from skgdw.exceptions import NoiseNotLearnableWarning

from ._base import BaseSampler
from ._transition import FloatArray, check_transition_matrix, transition_matrix


class LabelNoise(BaseSampler):
    """Give rows wrong labels, with probabilities that depend on their true class.

    Each row of true class i gets label j with probability T[i, j], T being the transition matrix
    of `kind` and `noise_rate`, or one of your own. The truth is kept in `noise_mask_`.

    Parameters
    ----------
    kind : {"uniform", "symmetric", "pair"}, default="uniform"
        Kind of noise, see :func:`transition_matrix`. At the same `noise_rate`, "uniform" changes
        fewer labels than "symmetric": it may draw the true label again.
    noise_rate : float, default=0.4
        Strength of the noise, a fraction in [0, 1].
    transition_matrix : array-like of shape (n_classes, n_classes), default=None
        The matrix T itself, in place of `kind` and `noise_rate`, which are then ignored. Rows are
        true classes, columns given ones, both in the order of `classes_`; rows sum to 1. A matrix
        with columns as true classes, such as cleanlab's ``noise_matrix``, must be transposed.
    exact : bool, default=False
        If False, each row's label is drawn by itself, so that the realised rate varies about its
        expectation. If True, the n_i rows of class i are shared out over the labels in the
        numbers n_i T[i, j], rounded to sum to n_i by largest remainder (ties drawn), and only
        which rows change is random.
    random_state : int, RandomState or None, default=None
        Seed of the draw. None draws anew each time. Numpy's global state is not used.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The sorted classes of `y`.
    transition_matrix_ : ndarray of shape (n_classes, n_classes), dtype float64
        The matrix in use.
    noise_mask_ : ndarray of shape (n_samples,), dtype bool
        True where the label given differs from the true one.
    noise_rate_ : float
        Realised share of changed labels.
    sample_indices_ : ndarray of shape (n_samples,), dtype int
        Row of the input each row of the output came from: all, in their order.
    sampling_strategy_ : dict
        For each class, how many rows have its label after corruption.
    n_features_in_ : int
        Number of columns of `X`, where it is a table.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns of `X`, where all are strings.

    Warns
    -----
    NoiseNotLearnableWarning
        By `fit_resample`, if another label is at least as frequent as the true one in some class
        (listed).

    See Also
    --------
    ClassImbalance : Make classes uneven; apply it before the noise.
    transition_matrix : The matrix of each kind.

    Notes
    -----
    `y` comes back in its own container, dtype and index; `X` is the object given, not a copy.

    With a fixed seed and data, and one kind, the rows changed at a low rate are among those changed
    at a higher one, which makes curves over the rate smoother. With ``exact=True`` this holds up to
    the row per class that rounding may move.

    Examples
    --------
    >>> import numpy as np
    >>> from skgdw.corruption import LabelNoise
    >>> X, y = np.zeros((10, 2)), np.repeat(["cat", "dog"], 5)
    >>> noise = LabelNoise(kind="symmetric", noise_rate=0.2, exact=True, random_state=0)
    >>> X, y_noisy = noise.fit_resample(X, y)
    >>> int(noise.noise_mask_.sum()), noise.noise_rate_
    (2, 0.2)
    >>> noise.sampling_strategy_
    {'cat': 5, 'dog': 5}
    """

    transition_matrix_: FloatArray
    noise_mask_: NDArray[np.bool_]
    noise_rate_: float

    _keeps_rows = True

    def __init__(
        self,
        *,
        kind: str = "uniform",
        noise_rate: float = 0.4,
        transition_matrix: ArrayLike | None = None,
        exact: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.kind = kind
        self.noise_rate = noise_rate
        self.transition_matrix = transition_matrix
        self.exact = exact
        self.random_state = random_state

    def _check_params(self) -> None:
        if self.transition_matrix is None:
            matrix = transition_matrix(self.kind, len(self.classes_), self.noise_rate)
        else:
            matrix = check_transition_matrix(self.transition_matrix, self.classes_)
        if not isinstance(self.exact, bool | np.bool_):
            raise TypeError(f"`exact` must be a bool; got {self.exact!r}; pass True or False.")
        self.transition_matrix_ = matrix

    def _resample(
        self, X: Any, codes: IntArray, generator: np.random.RandomState
    ) -> tuple[IntArray, IntArray]:
        self._warn_if_truth_is_hidden()
        share_out = _share_out_exactly if self.exact else _draw
        new_codes = share_out(codes, self.transition_matrix_, generator)
        self.noise_mask_ = new_codes != codes
        self.noise_rate_ = float(self.noise_mask_.mean())
        return np.arange(len(codes)), new_codes

    def _warn_if_truth_is_hidden(self) -> None:
        others = self.transition_matrix_.copy()
        np.fill_diagonal(others, -np.inf)
        # A tie hides the truth too; rounding must not decide whether there is one.
        hidden = np.diagonal(self.transition_matrix_) <= others.max(axis=1) + 1e-12
        if hidden.any():
            warnings.warn(
                "`transition_matrix` must give each true class its own label most often for the "
                "noise to be learnable; got another label at least as often for "
                f"{self.classes_[hidden].tolist()}; lower the noise rate.",
                NoiseNotLearnableWarning,
                stacklevel=4,
            )


def _draw(codes: IntArray, matrix: FloatArray, generator: np.random.RandomState) -> IntArray:
    """Draw each row's label by itself."""
    uniform = generator.random_sample(len(codes))
    new_codes = codes.copy()
    for i, rows in enumerate(rows_by_class(codes, len(matrix))):
        cumulated = np.cumsum(matrix[i])
        # Ends at exactly 1, so no draw lands beyond the last label with a chance.
        cumulated /= cumulated[-1]
        new_codes[rows] = np.searchsorted(cumulated, uniform[rows], side="right")
    return new_codes


def _share_out_exactly(
    codes: IntArray, matrix: FloatArray, generator: np.random.RandomState
) -> IntArray:
    """Give each class's rows its labels in fixed numbers."""
    new_codes = codes.copy()
    for i, rows in enumerate(rows_by_class(codes, len(matrix))):
        # Always the same draws, so that another rate changes the numbers but not the order.
        tie_order = generator.permutation(len(matrix))
        shuffled = generator.permutation(rows)
        shares = len(rows) * (matrix[i] / matrix[i].sum())
        counts = _largest_remainder(shares, len(rows), tie_order)
        new_codes[shuffled] = np.repeat(np.arange(len(matrix)), counts)
    return new_codes


def _largest_remainder(shares: FloatArray, total: int, tie_order: IntArray) -> IntArray:
    """Round `shares` (c,) to integers that sum to `total`; equal remainders go by `tie_order`."""
    # 0.29 * 100 must count as 29, and equal remainders must compare as equal.
    shares = np.round(shares, 9)
    counts = np.floor(shares).astype(np.intp)
    order = np.lexsort((tie_order, -np.round(shares - counts, 9)))
    counts[order[: total - int(counts.sum())]] += 1
    return counts
