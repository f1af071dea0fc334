"""Modules that are odd inside: how the meta gradient is taken, and which layers are trained."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback
from torch import nn
from torch.nn import functional as F

from classifier_cases import blobs, quick, weights
from skgdw.exceptions import MetaGradientFallbackWarning

DATA = blobs()
X, Y = DATA[:2]


class RoundedNet(torch.nn.Module):
    """Normalises in single precision whatever it is given."""

    def __init__(self):
        super().__init__()
        self.first, self.out = torch.nn.Linear(X.shape[1], 16), torch.nn.Linear(16, 3)

    def forward(self, X):
        hidden = torch.relu(self.first(X))
        single = hidden.to(torch.float32)
        single = single * torch.rsqrt(single.pow(2).mean(-1, keepdim=True) + 1e-6)
        return self.out(single.to(hidden.dtype))


class SingleOutNet(RoundedNet):
    """Returns single precision."""

    def forward(self, X):
        return self.out(torch.relu(self.first(X))).float()


@pytest.mark.parametrize("module", [RoundedNet, SingleOutNet])
def test_no_difference_in_double_precision_of_what_is_rounded_inside(module):
    with pytest.warns(MetaGradientFallbackWarning, match="rounds to single precision inside"):
        quick(module, meta_gradient="difference").fit(*DATA)


class LeavesItsGraph(torch.autograd.Function):
    """A sine whose backward cannot be differentiated, and does not say so."""

    @staticmethod
    def forward(ctx, values):
        ctx.values = values
        return torch.sin(values)

    @staticmethod
    def backward(ctx, grad):
        return grad.detach() * torch.cos(ctx.values.detach())

    @staticmethod
    def jvp(ctx, tangent):
        return tangent * torch.cos(ctx.values)


class LinearButForOne(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.out = torch.nn.Linear(X.shape[1], 8), torch.nn.Linear(8, 3)

    def forward(self, X):
        return self.out(LeavesItsGraph.apply(self.first(X)))


def test_double_backward_is_not_taken_in_silence_where_forward_mode_disagrees():
    with pytest.warns(MetaGradientFallbackWarning, match="not that of its backward"):
        quick(LinearButForOne).fit(*DATA)


class SometimesDeeper(nn.Module):
    """Leaves out a layer in some passes, at first too: its parameters then have no gradient."""

    def __init__(self):
        super().__init__()
        self.first, self.extra, self.out = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 3)
        self.count = 0

    def forward(self, X):
        hidden = torch.relu(self.first(X))
        if self.training:
            self.count += 1
        if self.count > 20:
            hidden = hidden + self.extra(hidden)
        return self.out(hidden)


@pytest.mark.parametrize("weighting", ["class", "uniform"])
def test_layers_that_join_later_are_trained(weighting):
    net = quick(SometimesDeeper, weighting=weighting, batch_size=8, max_epochs=6)
    net.fit(*DATA)
    begun = quick(SometimesDeeper, weighting=weighting, max_epochs=0).fit(*DATA)
    assert not torch.equal(net.module_.extra.weight, begun.module_.extra.weight)
    assert torch.isfinite(net.module_.extra.weight).all()


class Thaw(Callback):
    """Freezes the first layer for one epoch."""

    def on_epoch_begin(self, net, **kwargs):
        net.module_.layers[0].requires_grad_(len(net.history) > 1)


@pytest.mark.parametrize("weighting", ["class", "uniform"])
def test_layers_that_are_unfrozen_later_are_trained_as_by_single_steps(weighting):
    found = [
        quick(weighting=weighting, max_epochs=3, callbacks=[Thaw()], **options).fit(*DATA)
        for options in ({}, {"optimizer__fused": False})
    ]
    torch.testing.assert_close(*map(torch.as_tensor, map(weights, found)), rtol=1e-4, atol=1e-5)
    assert np.isfinite(weights(found[0])).all()


class SometimesUnknown(nn.Module):
    """Stops a gradient, and holds an operation without a rule in some passes only."""

    def __init__(self):
        super().__init__()
        self.first, self.gate, self.out = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 3)
        self.norm = nn.LayerNorm(6)

    def forward(self, X):
        hidden = torch.relu(self.first(X))
        with torch.no_grad():
            gate = 3 * self.gate(hidden)
        hidden = hidden * gate
        if self.training and torch.rand(()) < 0.5:
            hidden = hidden + self.norm(hidden)
        return self.out(hidden)


@pytest.mark.parametrize("seed", range(4))
def test_graphs_that_change_are_never_left_to_a_wrong_derivative(seed):
    def fitted(method):
        return quick(SometimesUnknown, meta_gradient=method, random_state=seed).fit(*DATA)

    with pytest.warns(MetaGradientFallbackWarning, match="no_grad"):
        found = fitted("auto")
    assert found.meta_gradient_ == "unrolled"
    assert np.array_equal(weights(found), weights(fitted("unrolled")))


class Cropping(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.out = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(64, 3)

    def forward(self, X):
        return self.out(F.pad(self.conv(X), (-1, -1, -1, -1)).flatten(1))


def test_cropping_modules_are_fitted_forward(recwarn):
    rows = np.resize(X, (len(X), 1, 6, 6)).astype(np.float32)
    net = quick(Cropping).fit(rows, Y, rows[:12] + 1, Y[:12])
    assert net.meta_gradient_ == "forward"
    assert not [w for w in recwarn if issubclass(w.category, MetaGradientFallbackWarning)]


def plain():
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


@pytest.mark.parametrize("is_instance", [True, False])
@pytest.mark.parametrize(
    "params",
    [{"weighting": "class_pair"}, {"weighting": "class"}, {"fine_tune": True, "max_epochs": 2}],
)
def test_modules_that_jit_compiled_train_as_they_do_without(params, is_instance):
    def compiled():
        return torch.jit.script(plain())

    params = {"weighting": "uniform", "max_epochs": 4, "batch_size": 16, **params}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        modules = (plain(), compiled()) if is_instance else (plain, compiled)
    if is_instance:
        modules[1].load_state_dict(modules[0].state_dict())
    without, net = (clone(quick(module, **params)).fit(*DATA) for module in modules)
    assert np.array_equal(net.predict_proba(X), without.predict_proba(X))
    if is_instance:
        assert all(one.grad is None for one in modules[1].parameters())
