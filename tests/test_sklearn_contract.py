"""scikit-learn's own estimator checks: every one passes, none is expected to fail.

One of them holds for steps that take all rows alone, and is run on a classifier with such steps.
The one about class weights needs a network that has left its start, and has the epochs of a fit by
default.
"""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    parametrize_with_checks,
)
from torch import nn

from skgdw import GDWClassifier

# The checks fit without a meta set.
pytestmark = pytest.mark.filterwarnings("ignore::skgdw.exceptions.NoMetaSetWarning")


class OwnNetwork(nn.Module):
    """A user's network, without scaling of its inputs."""

    def __init__(self, n_features, n_classes):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_features, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, n_classes)
        )

    def forward(self, X):
        return self.layers(X)


class OwnNetworkClassifier(GDWClassifier):
    """Sizes the user's network by the data: the checks come with many widths."""

    def __init__(self, module=OwnNetwork, *, verbose=0, **kwargs):
        super().__init__(module, verbose=verbose, **kwargs)

    def get_params_for(self, prefix):
        params = super().get_params_for(prefix)
        if prefix == "module":
            params = {"n_features": self.n_features_in_, "n_classes": len(self.classes_), **params}
        return params


@pytest.fixture(autouse=True)
def _with_array_api(monkeypatch):
    """Run the check of array API inputs as well, which is skipped without this."""
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")


class WideNetwork(OwnNetwork):
    """Computes in float64, and each row by itself."""

    def __init__(self, n_features, n_classes):
        super().__init__(n_features, n_classes)
        self.layers = nn.Linear(n_features, n_classes).double()


class InWholeSteps(OwnNetworkClassifier):
    """Takes every row in every step, so that a weight of two is a row that comes twice.

    Otherwise batches of other rows are drawn where rows are repeated. scikit-learn runs this check
    on its own networks in such a setting, too, with a solver that takes all rows at once.
    """

    def __init__(self, module=WideNetwork, *, weighting="uniform", batch_size=-1, **kwargs):
        super().__init__(module, weighting=weighting, batch_size=batch_size, **kwargs)


def estimator_for(estimator, check):
    """Return the estimator that a check is about."""
    name = getattr(check, "func", check).__name__
    if name == "check_sample_weight_equivalence_on_dense_data":
        return InWholeSteps(max_epochs=3)
    if name == "check_class_weight_classifiers":
        return clone(estimator).set_params(max_epochs=GDWClassifier().max_epochs)
    return estimator


@parametrize_with_checks([GDWClassifier()])
def test_default(estimator, check):
    check(estimator_for(estimator, check))


def test_column_names():
    check_dataframe_column_names_consistency("GDWClassifier", GDWClassifier(max_epochs=1))


# Three epochs are what the checks of accuracy on easy data need.
VARIANTS = [
    *(
        GDWClassifier(weighting=weighting, max_epochs=3, verbose=0)
        for weighting in ("class", "instance", "network", "uniform")
    ),
    OwnNetworkClassifier(max_epochs=3),
]


@pytest.mark.long
@parametrize_with_checks(VARIANTS)
def test_variant(estimator, check):
    check(estimator_for(estimator, check))


@pytest.mark.long
@pytest.mark.parametrize("estimator", VARIANTS, ids=lambda e: f"{type(e).__name__}-{e.weighting}")
def test_column_names_of_variant(estimator):
    check_dataframe_column_names_consistency(type(estimator).__name__, estimator)


def test_the_own_network_is_what_the_checks_see():
    X = np.random.default_rng(0).normal(size=(20, 5))
    net = clone(VARIANTS[-1]).fit(X, np.arange(20) % 4)
    assert isinstance(net.module_, OwnNetwork)
    assert net.module_(torch.zeros(2, 5)).shape == (2, 4)
