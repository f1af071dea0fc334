"""Classes made uneven by leaving rows out."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skgdw._rows import IntArray, rows_by_class

from ._base import BaseSampler
from ._profile import PROFILES, class_sizes, largest_head


class ClassImbalance(BaseSampler):
    """Leave rows out so that class sizes follow a long-tailed or a step profile.

    With c classes in order, k = 0 the largest (the head), and r = `imbalance_ratio`, class k keeps

    - ``"exp"``: n_max r^(-k / (c - 1)) rows, a long tail [1]_;
    - ``"step"``: n_max rows for the first half of the classes (the larger half of an odd number),
      n_max / r for the rest [2]_;

    rounded half up, and at least one. n_max is the largest size for which every class has enough
    rows: of balanced classes the head keeps all its rows, while a head or tail that is too small
    to begin with scales the whole profile down rather than distort it.

    Parameters
    ----------
    profile : {"exp", "step"}, default="exp"
        Shape of the class sizes.
    imbalance_ratio : float, default=10
        Size of the largest class over that of the smallest, at least 1. The inverse, smallest over
        largest, goes by the name of ``imb_factor`` elsewhere and is refused.
    class_order : None, "random" or array-like of shape (n_classes,), default=None
        Classes from head to tail. None takes them sorted, "random" draws their order.
    random_state : int, RandomState or None, default=None
        Seed of the draw. None draws anew each time. Numpy's global state is not used.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The sorted classes of `y`.
    class_order_ : ndarray of shape (n_classes,)
        The classes from head to tail.
    sampling_strategy_ : dict
        For each class, the number of rows kept.
    imbalance_ratio_ : float
        Realised size of the largest class over that of the smallest. It falls short of
        `imbalance_ratio` where the smallest class is held at one row, and differs by rounding.
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
    ratio are among those kept at a lower one.

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
    """

    class_order_: NDArray[Any]
    imbalance_ratio_: float

    def __init__(
        self,
        *,
        profile: str = "exp",
        imbalance_ratio: float = 10,
        class_order: ArrayLike | str | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.profile = profile
        self.imbalance_ratio = imbalance_ratio
        self.class_order = class_order
        self.random_state = random_state

    def _check_params(self) -> None:
        if not isinstance(self.profile, str) or self.profile not in PROFILES:
            raise ValueError(
                f"`profile` must be one of {sorted(PROFILES)}; got {self.profile!r}; "
                "use 'exp' for a long tail."
            )
        _check_ratio(self.imbalance_ratio)
        _order_codes(self.class_order, self.classes_)

    def _resample(
        self, X: Any, codes: IntArray, generator: np.random.RandomState
    ) -> tuple[IntArray, IntArray]:
        n_classes = len(self.classes_)
        order = _order_codes(self.class_order, self.classes_)
        if order is None:
            order = generator.permutation(n_classes)
        rows = rows_by_class(codes, n_classes)
        available = np.array([len(rows[k]) for k in order])
        divisors = PROFILES[self.profile](n_classes, float(self.imbalance_ratio))
        sizes = class_sizes(largest_head(available, divisors), divisors)
        kept = [
            generator.permutation(rows[k])[:size]
            for k, size in zip(order.tolist(), sizes.tolist(), strict=True)
        ]
        indices = np.sort(np.concatenate(kept))
        self.class_order_ = self.classes_[order]
        self.imbalance_ratio_ = float(sizes.max() / sizes.min())
        return indices, codes[indices]


def _check_ratio(imbalance_ratio: Any) -> None:
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


def _order_codes(class_order: Any, classes: NDArray[Any]) -> IntArray | None:
    """Return the codes (c,) of `class_order`, None where it is to be drawn."""
    if class_order is None:
        return np.arange(len(classes))
    if isinstance(class_order, str) and class_order == "random":
        return None
    known = classes.tolist()
    if isinstance(class_order, str) or not hasattr(class_order, "__iter__"):
        given, found = [], [repr(class_order)]
    else:
        given = [v.tolist() if hasattr(v, "tolist") else v for v in class_order]
        found = _permutation_faults(given, known)
    if found:
        raise ValueError(
            "`class_order` must be None, 'random' or each class once; got "
            f"{'; '.join(found)}; order the classes {known}."
        )
    return np.array([known.index(label) for label in given])


def _permutation_faults(given: list[Any], known: list[Any]) -> list[str]:
    repeated = [label for i, label in enumerate(given) if label in given[:i]]
    faults = {
        "missing": [label for label in known if label not in given],
        "unknown": [label for label in given if label not in known],
        "repeated": repeated,
    }
    return [f"{name} {labels}" for name, labels in faults.items() if labels]
