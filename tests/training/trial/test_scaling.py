"""The input scaling of our networks, fitted wherever one stands in a user's module."""

import numpy as np
import pytest
import torch
from torch import nn

from skgdw._training.trial._scaling import fit_input_scaling
from skgdw.modules import Standardize

X = np.random.default_rng(0).normal(3.0, 2.0, size=(50, 4)).astype(np.float32)


def is_fitted(layer):
    return bool(layer.is_fitted)


def test_an_input_layer_is_fitted_to_all_rows():
    layer = Standardize(4)
    module = nn.Sequential(layer, nn.Linear(4, 3))
    fit_input_scaling(module, X, torch.from_numpy(X[:8]))
    assert torch.equal(layer.scale, Standardize(4).fit_scaling(X).scale)
    centre = layer(torch.from_numpy(X)).mean(dim=0)
    torch.testing.assert_close(centre, torch.zeros(4), atol=1e-5, rtol=0)
    assert not module.training


def test_layers_that_the_rows_reach_changed_are_left():
    inner, outer = Standardize(4), Standardize(4)
    module = nn.Sequential(outer, nn.Linear(4, 4), inner)
    fit_input_scaling(module, X, torch.from_numpy(X[:8]))
    assert is_fitted(outer)
    assert not is_fitted(inner)


def test_a_layer_that_is_fitted_keeps_its_scaling():
    layer = Standardize(4).fit_scaling(10 * X)
    before = layer.scale.clone()
    fit_input_scaling(nn.Sequential(layer), X, torch.from_numpy(X[:8]))
    assert torch.equal(layer.scale, before)


@pytest.mark.parametrize(
    ("rows", "some"), [({"x": X}, {"x": torch.from_numpy(X)}), ([1, 2], torch.from_numpy(X))]
)
def test_other_containers_are_left_to_their_owner(rows, some):
    layer = Standardize(4)
    fit_input_scaling(nn.Sequential(layer), rows, some)
    assert not is_fitted(layer)
