"""Labels changed at random according to their true class."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skgdw._rows import IntArray, RowContainer, local_random_state, rows_by_class

from ._base import BaseSampler
from ._draws import Draws
from ._given_matrix import check_transition_matrix
from ._relabel import check_exact, warn_if_truth_is_hidden
from ._rounding import changes_by_class, largest_remainder
from ._transition import FloatArray, transition_matrix


class LabelNoise(BaseSampler):
    """Give rows wrong labels, with probabilities that depend on their true class.

    Each row of true class i gets label j with probability T[i, j], T being the transition matrix
    of `kind` and `noise_rate`, or one of your own. The truth is kept in `noise_mask_`.

    Parameters
    ----------
    kind : {"uniform", "symmetric", "pair", "flip1", "flip2"}, default="uniform"
        Kind of noise, see :func:`transition_matrix`. At the same `noise_rate`, "uniform" changes
        fewer labels than "symmetric": it may draw the true label again. "flip1" and "flip2" draw
        one or two other classes for each class to be confused with, from `random_state`: the same
        at every rate.
    noise_rate : float, default=0.4
        Strength of the noise, a fraction in [0, 1].
    transition_matrix : array-like of shape (n_classes, n_classes), DataFrame or dict, default=None
        The matrix T itself, in place of `kind` and `noise_rate`, which are then ignored. Rows are
        true classes, columns given ones; rows sum to 1. A matrix with columns as true classes,
        such as cleanlab's ``noise_matrix``, must be transposed.

        - An array is in the order of `classes_`.
        - A DataFrame has the classes as its index and as its columns, in any order. Labels that
          are no classes are refused, the default 0, 1, ... among them: pass ``to_numpy()`` then.
        - A dict ``{true class: {given class: probability}}`` may leave out classes without noise,
          labels never given, and a class itself, which then gets what is missing to 1.
    exact : bool, default=False
        If False, each row's label is drawn by itself, so that the realised rate varies about its
        expectation. If True, numbers are fixed and only which rows change is random. Of the n_i
        rows of class i, n_i T[i, j] get label j, rounded up or down: first the sum of all changes
        is rounded half up, then the changes of each class and of each label in it by largest
        remainder (ties drawn), adding what the label is owed by the rounding in other classes.
    random_state : int, RandomState or None, default=None
        Seed of the draw. An int gives rows a stream of the sampler's own, a RandomState is drawn
        from as it is. None draws anew each time. Numpy's global state is not used.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The sorted classes of `y`.
    transition_matrix_ : ndarray of shape (n_classes, n_classes), dtype float64
        The matrix in use.
    noise_mask_ : ndarray of shape (n_samples,), dtype bool
        True where the label given differs from the true one. Trusted rows, marked by `meta_mask`,
        have an entry too, False.
    noise_rate_ : float
        Realised share of changed labels among the rows that are not trusted; 0 if all are.
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
        By `fit_resample`, if in some class (listed) that has rows to corrupt another label is at
        least as frequent as the true one, or if its label is at least as frequent among the rows of
        other classes. The latter depends on the class sizes.

    See Also
    --------
    InstanceDependentNoise : Noise that depends on the row too.
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

    Every fifth cat is taken for a dog:

    >>> LabelNoise(transition_matrix={"cat": {"dog": 0.2}}).fit(X, y).transition_matrix_
    array([[0.8, 0.2],
           [0. , 1. ]])
    """

    transition_matrix_: FloatArray

    _keeps_rows = True

    def __init__(
        self,
        *,
        kind: str = "uniform",
        noise_rate: float = 0.4,
        transition_matrix: ArrayLike | Mapping[Any, Mapping[Any, float]] | None = None,
        exact: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.kind = kind
        self.noise_rate = noise_rate
        self.transition_matrix = transition_matrix
        self.exact = exact
        self.random_state = random_state

    def _check_params(self) -> None:
        # A copy: what `fit` draws must not be missing from `fit_resample`.
        matrix = self._matrix(copy.deepcopy(local_random_state(self.random_state)))
        check_exact(self.exact)
        self.transition_matrix_ = matrix

    def _matrix(self, generator: np.random.RandomState) -> FloatArray:
        if self.transition_matrix is not None:
            return check_transition_matrix(self.transition_matrix, self.classes_)
        return transition_matrix(
            self.kind, len(self.classes_), self.noise_rate, random_state=generator
        )

    def _resample(
        self, X: RowContainer, rows: IntArray, codes: IntArray, draws: Draws
    ) -> tuple[IntArray, IntArray]:
        if self.transition_matrix is None:
            self.transition_matrix_ = self._matrix(draws.of_classes)
        name = "noise_rate" if self.transition_matrix is None else "transition_matrix"
        warn_if_truth_is_hidden(self.transition_matrix_, codes, self.classes_, name)
        share_out = _share_out_exactly if self.exact else _draw
        return np.arange(len(codes)), share_out(codes, self.transition_matrix_, draws.of_rows)


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
    """Change fixed numbers of each class's rows, to each of the other labels in fixed numbers."""
    n_classes = len(matrix)
    by_class = rows_by_class(codes, n_classes)
    shares = matrix / matrix.sum(axis=1, keepdims=True)
    np.fill_diagonal(shares, 0)
    shares *= np.array([len(rows) for rows in by_class])[:, None]
    # Always the same draws, so that another rate changes the numbers but not the order.
    class_order = generator.permutation(n_classes)
    n_changes = changes_by_class(shares.sum(axis=1), class_order).tolist()
    new_codes, owed = codes.copy(), np.zeros(n_classes)
    for i in class_order.tolist():
        tie_order = generator.permutation(n_classes)
        changed = generator.permutation(by_class[i])[: n_changes[i]]
        # What rounding keeps from a label in one class, the label gets in the next.
        counts = largest_remainder(shares[i], n_changes[i], tie_order, owed)
        owed += shares[i] - counts
        new_codes[changed] = np.repeat(np.arange(n_classes), counts)
    return new_codes
