"""Classes made uneven by leaving rows out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skgdw._rows import IntArray, RowContainer, rows_by_class

from ._base import BaseSampler
from ._draws import Draws
from ._named_classes import permutation_faults, plain_label
from ._profile import PROFILES, class_sizes, largest_head
from ._strategy import check_strategy, wanted_rows


class ClassImbalance(BaseSampler):
    """Leave rows out so that class sizes follow a profile, or are those asked for.

    With c classes in order, k = 0 the largest (the head), and r = `imbalance_ratio`, class k keeps

    - ``"exp"``: n_max r^(-k / (c - 1)) rows, a long tail [1]_;
    - ``"step"``: n_max rows for the first half of the classes (the larger half of an odd number),
      n_max / r for the rest [2]_;

    rounded half up, and at least one. n_max is the largest size for which every class has enough
    rows: of balanced classes the head keeps all its rows, while a head or tail that is too small
    to begin with scales the whole profile down rather than distort it. No class is ever lost.

    Trusted rows, marked by `meta_mask`, all stay and come on top of the sizes of the profile, which
    is that of the classes with other rows.

    Parameters
    ----------
    profile : {"exp", "step"}, default="exp"
        Shape of the class sizes.
    imbalance_ratio : float, default=10
        Size of the largest class over that of the smallest, at least 1. The inverse, smallest over
        largest, goes by the name of ``imb_factor`` elsewhere and is refused.
    class_order : None, "random" or array-like of shape (n_classes,), default=None
        Classes from head to tail. None takes them sorted, "random" draws their order.
    sampling_strategy : dict, callable or None, default=None
        Numbers of rows to keep, ``{class: n_rows}``, as in imbalanced-learn's ``make_imbalance``,
        or a callable that returns them for the labels, an ndarray of shape (n_rows,). Classes not
        named keep all rows. `profile`, `imbalance_ratio` and `class_order` are then ignored.
        Numbers count the rows that are not trusted, and the callable gets their labels.
    random_state : int, RandomState or None, default=None
        Seed of the draw. An int gives rows a stream of the sampler's own, a RandomState is drawn
        from as it is. None draws anew each time. Numpy's global state is not used.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The sorted classes of `y`.
    class_order_ : ndarray of shape (n_classes,)
        The classes from head to tail; with a `sampling_strategy` from the largest to the smallest,
        equal ones sorted. A class of trusted rows alone is missing.
    sampling_strategy_ : dict
        For each class, the number of rows kept, trusted ones included.
    imbalance_ratio_ : float
        Realised size of the largest class over that of the smallest, without trusted rows; 1 if
        there are no others. It falls short of `imbalance_ratio` where the smallest class is held at
        one row, and differs by rounding.
    sample_indices_ : ndarray of shape (n_kept,), dtype int
        Rows kept, ascending.
    n_features_in_ : int
        Number of columns of `X`, where it is a table.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns of `X`, where all are strings.

    See Also
    --------
    LabelNoise : Give rows wrong labels; apply it after the imbalance.

    Notes
    -----
    The rows kept stay in their order. With a fixed seed, data and n_max, the rows kept at a high
    ratio are among those kept at a lower one, and the rows of a class kept for a small number in
    `sampling_strategy` among those kept for a larger one.

    References
    ----------
    .. [1] Cui et al., "Class-Balanced Loss Based on Effective Number of Samples", CVPR 2019,
       arXiv:1901.05555.
    .. [2] Cao et al., "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss",
       NeurIPS 2019, arXiv:1906.07413.

    Examples
    --------
    >>> import numpy as np
    >>> from skgdw.corruption import ClassImbalance
    >>> X, y = np.zeros((300, 2)), np.repeat(["a", "b", "c"], 100)
    >>> imbalance = ClassImbalance(imbalance_ratio=25, random_state=0)
    >>> X, y = imbalance.fit_resample(X, y)
    >>> imbalance.sampling_strategy_
    {'a': 100, 'b': 20, 'c': 4}
    >>> imbalance = ClassImbalance(sampling_strategy={"a": 10}, random_state=0)
    >>> X, y = imbalance.fit_resample(X, y)
    >>> imbalance.sampling_strategy_
    {'a': 10, 'b': 20, 'c': 4}
    """

    class_order_: NDArray[Any]
    imbalance_ratio_: float

    def __init__(
        self,
        *,
        profile: str = "exp",
        imbalance_ratio: float = 10,
        class_order: ArrayLike | str | None = None,
        sampling_strategy: Mapping[Any, int] | Callable[..., Mapping[Any, int]] | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.profile = profile
        self.imbalance_ratio = imbalance_ratio
        self.class_order = class_order
        self.sampling_strategy = sampling_strategy
        self.random_state = random_state

    def _check_params(self) -> None:
        check_strategy(self.sampling_strategy)
        if self.sampling_strategy is not None:
            return
        if not isinstance(self.profile, str) or self.profile not in PROFILES:
            raise ValueError(
                f"`profile` must be one of {sorted(PROFILES)}; got {self.profile!r}; "
                "use 'exp' for a long tail."
            )
        _check_ratio(self.imbalance_ratio)
        _order_codes(self.class_order, self.classes_)

    def _check_unmarked(self, X: RowContainer, rows: IntArray, codes: IntArray) -> None:
        if self.sampling_strategy is not None:
            wanted_rows(self.sampling_strategy, codes, self.classes_)

    def _resample(
        self, X: RowContainer, rows: IntArray, codes: IntArray, draws: Draws
    ) -> tuple[IntArray, IntArray]:
        n_classes = len(self.classes_)
        available = np.bincount(codes, minlength=n_classes)
        if self.sampling_strategy is not None:
            order = np.arange(n_classes)
            sizes = wanted_rows(self.sampling_strategy, codes, self.classes_)
        else:
            order = self._order(draws.of_classes)
            sizes = self._profile_sizes(order, available)
        by_class = rows_by_class(codes, n_classes)
        # Drawn in an order that the numbers asked for do not change.
        kept = [draws.of_rows.permutation(by_class[k])[: sizes[k]] for k in order.tolist()]
        indices = np.sort(np.concatenate(kept))
        if self.sampling_strategy is not None:
            order = np.argsort(-sizes, kind="stable")
        order = order[available[order] > 0]
        self.class_order_ = self.classes_[order]
        self.imbalance_ratio_ = (
            float(sizes[order].max() / sizes[order].min()) if len(order) else 1.0
        )
        return indices, codes[indices]

    def _order(self, generator: np.random.RandomState) -> IntArray:
        order = _order_codes(self.class_order, self.classes_)
        return generator.permutation(len(self.classes_)) if order is None else order

    def _profile_sizes(self, order: IntArray, available: IntArray) -> IntArray:
        """Return the size of each class (c,), in the order of the codes; 0 where it has no rows."""
        sizes = np.zeros_like(available)
        order = order[available[order] > 0]
        if len(order):
            divisors = PROFILES[self.profile](len(order), float(self.imbalance_ratio))
            sizes[order] = class_sizes(largest_head(available[order], divisors), divisors)
        return sizes


def _check_ratio(imbalance_ratio: object) -> None:
    if isinstance(imbalance_ratio, bool | np.bool_) or not isinstance(imbalance_ratio, Real):
        raise TypeError(
            f"`imbalance_ratio` must be a number; got {imbalance_ratio!r}; "
            "pass the size of the largest class over that of the smallest."
        )
    ratio = float(imbalance_ratio)
    if 0 < ratio < 1:
        raise ValueError(
            "`imbalance_ratio` must be at least 1, the largest class over the smallest; got "
            f"{ratio}; that is min/max (imb_factor); pass 1/value = {1 / ratio:.6g}."
        )
    if not 1 <= ratio < math.inf:
        raise ValueError(
            "`imbalance_ratio` must be finite and at least 1; got "
            f"{ratio}; pass the size of the largest class over that of the smallest."
        )


def _order_codes(class_order: object, classes: NDArray[Any]) -> IntArray | None:
    """Return the codes (c,) of `class_order`, None where it is to be drawn."""
    if class_order is None:
        return np.arange(len(classes))
    if isinstance(class_order, str) and class_order == "random":
        return None
    known = classes.tolist()
    is_single = isinstance(class_order, str) or getattr(class_order, "ndim", 1) == 0
    if is_single or not hasattr(class_order, "__iter__"):
        given, found = [], [repr(class_order)]
    else:
        given = [plain_label(label) for label in class_order]
        found = permutation_faults(given, known)
    if found:
        raise ValueError(
            "`class_order` must be None, 'random' or each class once; got "
            f"{'; '.join(found)}; order the classes {known}."
        )
    return np.array([known.index(label) for label in given])
