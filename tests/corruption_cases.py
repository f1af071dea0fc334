"""A numbered table, a classifier that writes down what it gets, and samplers to corrupt it with."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import StratifiedKFold

from skgdw.corruption import ClassImbalance, LabelNoise

N = 90
# The first column numbers the rows, so that every row can be told again; classes go round.
X = np.column_stack([np.arange(N), np.arange(N) % 7]).astype(float)
Y = np.arange(N) % 3
MASK = np.arange(N) % 4 == 1
FOLDS = StratifiedKFold(3, shuffle=True, random_state=0)


class Watch(ClassifierMixin, BaseEstimator):
    """Keeps what reaches its fit, and predicts the true label of each row."""

    def fit(self, X, y, sample_weight=None, X_meta=None, y_meta=None, meta_mask=None, extra=None):
        self.X_, self.y_, self.mask_, self.weight_ = X, y, meta_mask, sample_weight
        self.X_meta_, self.y_meta_, self.extra_ = X_meta, y_meta, extra
        self.classes_ = np.arange(3)
        return self

    def predict(self, X):
        return X[:, 0].astype(int) % 3


class Plain(BaseEstimator):
    """A sampler that records nothing of itself; `returns` makes what comes back."""

    def __init__(self, returns):
        self.returns = returns

    def fit_resample(self, X, y):
        return self.returns(self, X, y)


def noise(rate: float = 0.5, **params: Any) -> LabelNoise:
    """Return seeded noise that changes many labels."""
    return LabelNoise(**{"kind": "symmetric", "noise_rate": rate, "random_state": 0, **params})


def imbalance(**params: Any) -> ClassImbalance:
    """Return a seeded sampler that drops many rows."""
    return ClassImbalance(**{"imbalance_ratio": 5, "random_state": 0, **params})


def by_number(X: Any) -> np.ndarray:
    """Return the numbers of the rows, in whatever they are kept."""
    if sparse.issparse(X):
        X = X.toarray()
    return np.asarray(X)[:, 0].astype(int)
