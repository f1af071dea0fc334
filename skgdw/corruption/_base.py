"""The contract all corruption samplers share."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin
from sklearn.utils.validation import validate_data

from skgdw._rows import (
    BoolArray,
    IntArray,
    RowContainer,
    as_rows,
    check_mask,
    check_same_length,
    encode_labels,
    is_dataset,
    is_mapping,
    local_random_state,
    take_labels,
    take_rows,
)

from ._draws import Draws, make_draws
from ._mask import put_back
from ._tags import SamplerEstimatorTags, make_sampler_tags


class BaseSampler(OneToOneFeatureMixin, BaseEstimator):
    """Template of a sampler: validates, converts and records; a subclass does the maths."""

    # A class attribute, as set_fit_resample_request exists only once imbalanced-learn is loaded.
    # scikit-learn, which goes by the start of the name, reads it for `fit` as well.
    __metadata_request__fit_resample: ClassVar[dict[str, Any]] = {"meta_mask": True}

    random_state: int | np.random.RandomState | None
    classes_: NDArray[Any]

    # Whether all rows come back in their order, so that X itself can be handed back. What changed
    # is then recorded in noise_mask_ and noise_rate_.
    _keeps_rows = False

    noise_mask_: BoolArray
    noise_rate_: float

    def fit(
        self, X: RowContainer, y: RowContainer, *, meta_mask: RowContainer | None = None
    ) -> Self:
        """Check the parameters and the data; nothing is drawn.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows, as for `fit_resample`.
        y : array-like of shape (n_samples,)
            Labels, as for `fit_resample`.
        meta_mask : array-like of shape (n_samples,), bool, default=None
            Marks trusted rows, as for `fit_resample`.

        Returns
        -------
        self : object
            The sampler.
        """
        codes = self._check_data(X, y)
        mask = _mask_of(meta_mask, len(codes))
        self._check_params()
        local_random_state(self.random_state)
        free = np.flatnonzero(~mask)
        self._check_unmarked(X, free, codes[free])
        return self

    def fit_resample(
        self, X: RowContainer, y: RowContainer, *, meta_mask: RowContainer | None = None
    ) -> tuple[Any, Any]:
        """Corrupt (X, y).

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows of any rank, in an ndarray, memmap, DataFrame, Series, sparse matrix, tensor or
            list. Values may be of any type, as only rows are taken; `InstanceDependentNoise`
            alone looks into them, and needs numbers.
        y : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
            True labels of any kind that can be sorted, or one-hot rows. At least two classes.
        meta_mask : array-like of shape (n_samples,), bool, default=None
            Marks trusted rows, which keep their labels and are never left out. Rates, exact
            numbers and class sizes are those of the other rows. All rows may be marked; then
            nothing changes.

            In imbalanced-learn's pipelines switch metadata routing on and put samplers first;
            without routing the mask is dropped, and nothing told. The steps after a sampler that
            leaves rows out get the mask as it was, which no longer fits: use
            `CorruptedClassifier` there, which carries it along.

        Returns
        -------
        X : same type as given
            The rows kept, in their order. A sampler that only changes labels returns the object it
            was given. Rows taken out of a memmap are an ndarray in memory, a copy, as numpy gives
            them: they are in no file.
        y : same type as given
            Their labels after corruption, an ndarray for a memmap.

        Raises
        ------
        TypeError
            If a parameter has the wrong type, the labels cannot be sorted, or `meta_mask` is not
            boolean.
        ValueError
            If a parameter is out of range, lengths differ, or `y` does not hold two classes.
        """
        codes = self._check_data(X, y)
        mask = _mask_of(meta_mask, len(codes))
        self._check_params()
        free = np.flatnonzero(~mask)
        draws = make_draws(self.random_state, type(self).__name__, codes[free])
        taken, free_codes = self._resample(X, free, codes[free], draws)
        indices, new_codes = put_back(taken, free_codes, codes, mask)
        if self._keeps_rows:
            self.noise_mask_ = new_codes != codes
            self.noise_rate_ = float(self.noise_mask_.sum() / max(1, len(free)))
        self._record(mask)
        self.sample_indices_ = indices
        self.sampling_strategy_ = self._count_by_class(new_codes)
        X_out = X if self._keeps_rows else take_rows(X, indices)
        return X_out, take_labels(y, indices, codes, new_codes)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the feature names of `X`, which a sampler leaves as they are.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names to use where `X` had none; otherwise they must be those of `X`.

        Returns
        -------
        ndarray of shape (n_features,), dtype object
            The names.

        Raises
        ------
        ValueError
            If `X` was not a table of two dimensions, or the names do not match it.
        """
        if hasattr(self, "classes_") and not hasattr(self, "n_features_in_"):
            raise ValueError(
                "`X` must have two dimensions for its features to have names; got rows of another "
                "rank in fit; pass a table."
            )
        names: NDArray[np.object_] = super().get_feature_names_out(input_features)
        return names

    def __sklearn_tags__(self) -> SamplerEstimatorTags:
        return make_sampler_tags(super().__sklearn_tags__())

    @abstractmethod
    def _check_params(self) -> None:
        """Check the parameters against `classes_`; take nothing from `random_state`."""

    def _check_unmarked(self, X: RowContainer, rows: IntArray, codes: IntArray) -> None:
        """Check what depends on the unmarked rows, as `_resample` gets them and does by itself."""

    def _record(self, mask: BoolArray) -> None:
        """Bring what `_resample` recorded of unmarked rows into the order of all, `mask` (n,)."""

    @abstractmethod
    def _resample(
        self, X: RowContainer, rows: IntArray, codes: IntArray, draws: Draws
    ) -> tuple[IntArray, IntArray]:
        """Return which of `rows` to keep, as positions (m,), and their codes (m,) afterwards.

        `rows` (n,) are the numbers in X of the unmarked rows, `codes` (n,) their classes, of which
        some may be missing; n may be 0.
        """

    def _check_data(self, X: RowContainer, y: RowContainer) -> IntArray:
        """Check (X, y), set `classes_` and the feature attributes, return the codes (n,)."""
        if y is None:
            raise ValueError(
                f"`y` must be given: {type(self).__name__} requires y to be passed, but the "
                "target y is None; pass the true labels."
            )
        check_same_length(X, y)
        self.classes_, codes = encode_labels(y)
        if len(self.classes_) < 2:
            raise ValueError(
                "`y` must hold at least two classes to be corrupted; got "
                f"{len(self.classes_)} class{'' if len(self.classes_) == 1 else 'es'}: "
                f"{self.classes_.tolist()}; add rows of another class."
            )
        for name in ("n_features_in_", "feature_names_in_"):
            self.__dict__.pop(name, None)
        if _is_table(X):
            validate_data(self, X, skip_check_array=True)
        return codes

    def _count_by_class(self, codes: IntArray) -> dict[Any, int]:
        counts = np.bincount(codes, minlength=len(self.classes_))
        return dict(zip(self.classes_.tolist(), counts.tolist(), strict=True))


def _mask_of(meta_mask: RowContainer | None, n: int) -> BoolArray:
    return np.zeros(n, dtype=bool) if meta_mask is None else check_mask(meta_mask, n, "meta_mask")


def _is_table(X: RowContainer) -> bool:
    X = as_rows(X)
    if is_mapping(X) or is_dataset(X):
        return False
    n_dims = getattr(X, "ndim", None)
    if n_dims is None:  # a sequence: its first row tells
        row = X[0]
        n_dims = 2 if isinstance(row, (list, tuple)) else 1 + getattr(row, "ndim", 0)
        return n_dims == 2 and not (len(row) and isinstance(row[0], (list, tuple)))
    return bool(n_dims == 2)
