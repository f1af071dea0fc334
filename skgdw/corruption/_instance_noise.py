"""Labels changed at random according to their true class and to what the row looks like."""

from __future__ import annotations

import math
from numbers import Real

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri  # SciPy comes with scikit-learn

from skgdw._rows import BoolArray, IntArray, RowContainer, rows_by_class

from ._base import BaseSampler
from ._draws import Draws
from ._relabel import check_exact, warn_if_truth_is_hidden
from ._rounding import changes_by_class
from ._standard_rows import StandardRows
from ._tags import SamplerEstimatorTags
from ._transition import FloatArray, check_noise_rate

# Stands in for 0 in a divisor.
_TINY = np.finfo(np.float64).tiny


class InstanceDependentNoise(BaseSampler):
    r"""Give rows wrong labels, with probabilities that depend on the row itself.

    This is the instance-dependent noise of [1]_. Row x of true class k has a noise rate q of its
    own, drawn from the normal distribution of mean `noise_rate` and standard deviation
    `noise_rate_std`, cut to [0, 1]. With probability q the row gets another label, and which one
    is decided by its values:

    .. math:: P(j \mid x, k) = \frac{\exp(z^T w_{kj})}{\sum_{l \neq k} \exp(z^T w_{kl})},
              \quad j \neq k,

    where z is x flattened to d columns, each brought to mean 0 and variance 1, and the w are
    vectors of d standard normal numbers, drawn once for each pair of classes.

    The units of the columns do not matter, then; standardising them is ours, the simulations of
    [1]_ take rows as they come. The number of columns does matter, as in [1]_: the exponents spread
    by about the square root of d. In a table of few columns several labels have a chance; an image
    leaves nearly one, the same for images alike.

    Parameters
    ----------
    noise_rate : float, default=0.4
        Mean of the normal distribution above, a fraction in [0, 1]. Near 0 and 1 the cut draws the
        mean rate inwards: with the default deviation from 0.2 to 0.206, from 0.1 to 0.129. Below
        0.1 the mean rate hardly falls any more: it is 0.101 for 0.05, 0.084 for 0.01 and 0.080 for
        1e-9. Set a smaller `noise_rate_std` there, or ``exact=True``. At 0 nothing changes.
    noise_rate_std : float, default=0.1
        Standard deviation of the normal distribution, not negative. At 0 all rows have the same
        rate.
    exact : bool, default=False
        If False, each row changes with its own probability q, so that the realised share varies
        about its expectation. If True, n `noise_rate` of the n rows change, rounded half up, shared
        out over the classes in proportion to their sizes, rounded by largest remainder (ties
        drawn). Within a class, rows are then picked by sequential Poisson sampling [2]_, with
        chances about in proportion to q.
    random_state : int, RandomState or None, default=None
        Seed of the draw. An int gives rows a stream of the sampler's own, a RandomState is drawn
        from as it is. None draws anew each time. Numpy's global state is not used.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The sorted classes of `y`.
    row_noise_rate_ : ndarray of shape (n_samples,), dtype float64
        The rate q of each row; 0 for trusted rows, marked by `meta_mask`.
    transition_matrix_ : ndarray of shape (n_classes, n_classes), dtype float64
        Mean of the rows' probabilities of each label, by true class: rows are true classes, columns
        given ones. If `exact`, scaled to the share of rows that change. A class without rows to
        corrupt keeps its label.
    noise_mask_ : ndarray of shape (n_samples,), dtype bool
        True where the label given differs from the true one. Trusted rows have an entry too, False.
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
        By `fit_resample`, if by `transition_matrix_` in some class (listed) another label is at
        least as frequent as the true one, or if its label is at least as frequent among the rows of
        other classes. Single rows may still be wrong more often than right.

    See Also
    --------
    LabelNoise : Noise that depends on the true class alone, for rows of any values.
    ClassImbalance : Make classes uneven; apply it before the noise.

    Notes
    -----
    `X` must hold finite numbers, in rows of any rank in any container; categories and text must be
    encoded first. Trusted rows are not looked at. Sparse matrices stay sparse and other containers
    are read in blocks, so that the memory needed goes as rows plus columns times classes. `X` comes
    back as the object given, `y` in its own container, dtype and index.

    With a fixed seed and data, the rows changed at a low rate are among those changed at a higher
    one, and get the same labels. With ``exact=True`` only the labels are sure to be the same, and
    most of the rows.

    References
    ----------
    .. [1] Xia et al., "Part-dependent Label Noise: Towards Instance-dependent Label Noise",
       NeurIPS 2020, arXiv:2006.07836.
    .. [2] Ohlsson, "Sequential Poisson Sampling", Journal of Official Statistics 14 (1998),
       149-162.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skgdw.corruption import InstanceDependentNoise
    >>> X, y = load_iris(return_X_y=True)
    >>> noise = InstanceDependentNoise(noise_rate=0.3, exact=True, random_state=0)
    >>> X, y_noisy = noise.fit_resample(X, y)
    >>> int(noise.noise_mask_.sum()), noise.noise_rate_
    (45, 0.3)
    >>> [int(n) for n in (y_noisy != y).reshape(3, 50).sum(axis=1)]
    [15, 15, 15]
    """

    transition_matrix_: FloatArray
    row_noise_rate_: FloatArray

    _keeps_rows = True

    def __init__(
        self,
        *,
        noise_rate: float = 0.4,
        noise_rate_std: float = 0.1,
        exact: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.noise_rate = noise_rate
        self.noise_rate_std = noise_rate_std
        self.exact = exact
        self.random_state = random_state

    def __sklearn_tags__(self) -> SamplerEstimatorTags:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = False
        tags.input_tags.allow_nan = False
        return tags

    def _check_params(self) -> None:
        check_noise_rate(self.noise_rate)
        _check_std(self.noise_rate_std)
        check_exact(self.exact)

    def _check_unmarked(self, X: RowContainer, rows: IntArray, codes: IntArray) -> None:
        if len(rows):
            StandardRows(X, rows)

    def _resample(
        self, X: RowContainer, rows: IntArray, codes: IntArray, draws: Draws
    ) -> tuple[IntArray, IntArray]:
        rate = float(self.noise_rate)
        # Always the same draws, so that at another rate the same rows go the same way.
        level, threshold, pick = draws.of_rows.random_sample((3, len(codes)))
        tie_order = draws.of_classes.permutation(len(self.classes_))
        seeds = draws.of_classes.randint(2**31 - 1, size=len(self.classes_))

        self.row_noise_rate_ = _cut_normal(level, rate, float(self.noise_rate_std))
        by_class = rows_by_class(codes, len(self.classes_))
        if self.exact:
            changes = _change_exactly(by_class, rate, threshold, self.row_noise_rate_, tie_order)
        else:
            changes = threshold < self.row_noise_rate_
        matrix, others = self._other_labels(X, rows, by_class, pick, seeds)
        if self.exact:
            shares = [changes[own].mean() if len(own) else 0.0 for own in by_class]
            matrix *= (shares / np.maximum(matrix.sum(axis=1), _TINY))[:, None]
        np.fill_diagonal(matrix, np.maximum(0, 1 - matrix.sum(axis=1)))
        self.transition_matrix_ = matrix
        warn_if_truth_is_hidden(matrix, codes, self.classes_, "noise_rate")
        return np.arange(len(codes)), np.where(changes, others, codes)

    def _record(self, mask: BoolArray) -> None:
        rates = np.zeros(len(mask))
        rates[~mask] = self.row_noise_rate_
        self.row_noise_rate_ = rates

    def _other_labels(
        self,
        X: RowContainer,
        rows: IntArray,
        by_class: list[IntArray],
        pick: FloatArray,
        seeds: IntArray,
    ) -> tuple[FloatArray, IntArray]:
        """Return the mean probabilities of changes (c, c), and each row's code (n,) if changed."""
        n_classes = len(by_class)
        matrix = np.zeros((n_classes, n_classes))
        others = np.zeros(len(pick), dtype=np.intp)
        standard = StandardRows(X, rows) if len(rows) else None
        for k, own in enumerate(by_class):
            if standard is None or not len(own):
                continue
            # Each class from a seed of its own: not hanging on which others have rows.
            weights = np.random.RandomState(seeds[k]).standard_normal(
                (standard.n_columns, n_classes)
            )
            for block in standard.blocks(own, n_classes):
                chances = _softmax_without(standard.project(rows[block], weights), k)
                matrix[k] += self.row_noise_rate_[block] @ chances
                others[block] = _pick_labels(chances, pick[block])
            matrix[k] /= len(own)
        return matrix, others


def _check_std(noise_rate_std: object) -> None:
    if isinstance(noise_rate_std, bool | np.bool_) or not isinstance(noise_rate_std, Real):
        raise TypeError(
            f"`noise_rate_std` must be a number; got {noise_rate_std!r}; pass for instance 0.1."
        )
    if not 0 <= float(noise_rate_std) < math.inf:
        raise ValueError(
            f"`noise_rate_std` must be finite and not negative; got {float(noise_rate_std)}; "
            "pass 0 for the same rate in every row."
        )


def _cut_normal(level: FloatArray, mean: float, std: float) -> FloatArray:
    """Return the quantiles `level` (n,) of a normal distribution cut to [0, 1]; 0 at mean 0."""
    if std == 0 or mean == 0:
        return np.full(len(level), mean)
    low, high = ndtr(-mean / std), ndtr((1 - mean) / std)
    quantiles = mean + std * ndtri(low + level * (high - low))
    return np.asarray(np.clip(quantiles, 0, 1), dtype=np.float64)


def _change_exactly(
    by_class: list[IntArray],
    rate: float,
    threshold: FloatArray,
    row_rates: FloatArray,
    tie_order: IntArray,
) -> BoolArray:
    """Return which rows (n,) change: those first reached as all row rates are raised together."""
    counts = changes_by_class(rate * np.array([len(rows) for rows in by_class]), tie_order)
    priority = threshold / np.maximum(row_rates, _TINY)
    changes: NDArray[np.bool_] = np.zeros(len(threshold), dtype=bool)
    for rows, count in zip(by_class, counts.tolist(), strict=True):
        changes[rows[np.argsort(priority[rows], kind="stable")[:count]]] = True
    return changes


def _softmax_without(scores: FloatArray, k: int) -> FloatArray:
    """Return the softmax of each row of `scores` (m, c) over all columns but `k`, 0 there."""
    scores[:, k] = -np.inf
    scores -= scores.max(axis=1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=1, keepdims=True)
    return scores


def _pick_labels(chances: FloatArray, pick: FloatArray) -> IntArray:
    """Return the column of `chances` (m, c) that `pick` (m,), uniform in [0, 1), falls to."""
    cumulated = np.cumsum(chances, axis=1)
    # Of what the sum really is: no draw then lands beyond the last label with a chance.
    reached = pick * cumulated[:, -1]
    return np.asarray((cumulated > reached[:, None]).argmax(axis=1), dtype=np.intp)
