"""Modules whose layers take their shapes from the first rows."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from torch import nn
from torch.nn.parameter import is_lazy

from classifier_cases import Data, blobs, quick
from skgdw._training.trial._scaling import fill_lazy_parts


class LazyTable(nn.Sequential):
    def __init__(self):
        super().__init__(nn.LazyLinear(8), nn.LazyBatchNorm1d(), nn.ReLU(), nn.LazyLinear(3))


class LazyImages(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.LazyConv2d(6, 3),
            nn.LazyBatchNorm2d(),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.LazyLinear(3),
        )


class LazyByName(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.LazyLinear(3), nn.LazyLinear(3)

    def forward(self, left, right):
        return self.first(left) + self.second(right)


def images(n, seed):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    return (rng.normal(size=(n, 1, 8, 8)) + 2 * y[:, None, None, None]).astype("f4"), y


TABLE = blobs(n=96, n_meta=24)
HALVES = [{"left": X[:, :2], "right": X[:, 2:]} for X in (TABLE.X, TABLE.X_meta)]
CASES = {
    LazyTable: TABLE,
    LazyImages: Data(*images(96, 0), *images(24, 1)),
    LazyByName: Data(HALVES[0], TABLE.y, HALVES[1], TABLE.y_meta),
}


@pytest.mark.parametrize("weighting", ["class_pair", "class", "uniform"])
@pytest.mark.parametrize("module", CASES)
def test_they_are_fitted_as_any_other(module, weighting):
    data, before = CASES[module], torch.get_rng_state()
    net = quick(module, weighting=weighting, max_epochs=8, batch_size=16).fit(*data)
    assert torch.equal(torch.get_rng_state(), before)
    assert net.score(data.X, data.y) > 0.6
    expected = net.predict_proba(data.X)
    assert np.array_equal(clone(net).fit(*data).predict_proba(data.X), expected)
    again = pickle.loads(pickle.dumps(net))
    assert np.array_equal(again.predict_proba(data.X), expected)
    again.partial_fit(data.X, data.y, X_meta=data.X_meta, y_meta=data.y_meta)


def test_the_first_look_draws_parameters_and_moves_no_statistics():
    module, X = LazyTable(), torch.randn(8, 4)
    fill_lazy_parts(module, X)
    assert module[0].weight.shape == (8, 4)
    assert torch.equal(module[1].running_mean, torch.zeros(8))
    drawn = module[0].weight.clone()
    module.train()
    fill_lazy_parts(module, X)
    assert module.training
    assert torch.equal(module[0].weight, drawn)


def test_searches_take_them():
    search = GridSearchCV(quick(LazyTable), {"meta_lr": [0.01, 0.1]}, cv=2)
    search.fit(TABLE.X, TABLE.y, X_meta=TABLE.X_meta, y_meta=TABLE.y_meta)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize("module", CASES)
def test_an_instance_is_copied_before_it_has_shapes(module):
    data, given = CASES[module], module()
    net = quick(given, max_epochs=8, batch_size=16).fit(*data)
    expected = net.predict_proba(data.X)
    assert net.score(data.X, data.y) > 0.6
    assert all(is_lazy(parameter) for parameter in given.parameters())
    assert np.array_equal(net.fit(*data).predict_proba(data.X), expected)
    # As every tool of scikit-learn's does, whose own copy torch refuses.
    assert np.array_equal(clone(net).fit(*data).predict_proba(data.X), expected)


def test_searches_and_cross_validation_take_instances():
    routed = {"X_meta": (TABLE.X_meta,), "y_meta": (TABLE.y_meta,)}
    net = quick(LazyTable())
    assert np.isfinite(cross_val_score(net, TABLE.X, TABLE.y, cv=2, params=routed)).all()
    search = GridSearchCV(net, {"meta_lr": [0.01, 0.1]}, cv=2)
    search.fit(TABLE.X, TABLE.y, **routed)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
