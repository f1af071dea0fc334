"""Mistakes that a second review found: one test each."""

import functools

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, LRScheduler
from torch import nn
from torch.nn import functional as F

from classifier_cases import blobs, quick, weights
from skgdw import GDWClassifier
from skgdw.exceptions import MetaGradientFallbackWarning
from skgdw.modules import WeightNet

DATA = blobs()
X, Y = DATA[:2]


class EinsumWeights(torch.nn.Module):
    """A weighting net whose gradients are laid out otherwise than its parameters."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Parameter(torch.linspace(-1, 1, 15).reshape(5, 3))
        self.out = torch.nn.Parameter(torch.linspace(-1, 1, 5))

    def forward(self, losses):
        powers = losses.clamp(max=2)[:, None] ** torch.arange(3)
        hidden = torch.einsum("ni,oi->no", powers, self.first)
        return torch.sigmoid(torch.relu(hidden) @ self.out)


def test_gradients_of_any_layout_reach_the_optimizer_of_the_weighting_net():
    nets = [
        quick("auto", weight_net=EinsumWeights, weight_net_optimizer__fused=fused).fit(*DATA)
        for fused in (True, False)
    ]
    ours, theirs = (net.weight_net_.state_dict() for net in nets)
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-4, atol=1e-5)


def test_a_frozen_weighting_net_stays_as_it_is():
    frozen = WeightNet(hidden=4).requires_grad_(False)
    net = quick("auto", weight_net=frozen).fit(*DATA)
    for own, given in zip(net.weight_net_.parameters(), frozen.parameters(), strict=True):
        assert torch.equal(own, given)


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


def test_settings_of_parameter_groups_by_the_names_of_skorch():
    net = quick("auto", optimizer__param_groups=[("layers.0.*", {"lr": 0.01})]).fit(*DATA)
    net.set_params(optimizer__param_groups__0__lr=0.5)
    net.partial_fit(*DATA[:2], X_meta=DATA[2], y_meta=DATA[3])
    assert net.optimizer_.param_groups[0]["lr"] == 0.5
    net.set_params(callbacks__lr_schedule=None)
    assert net.fit(*DATA).optimizer_.param_groups[0]["lr"] == 0.5


@pytest.mark.parametrize("setting", ["9__lr", "0__rate", "first"])
def test_settings_of_groups_that_are_not_there(setting):
    with pytest.raises(ValueError, match="must name a group, 0, and a setting that it has; got"):
        quick("auto", **{f"optimizer__param_groups__{setting}": 0.5}).fit(*DATA)


@pytest.mark.parametrize("part", ["iterator_train", "iterator_valid", "iterator_meta"])
def test_loaders_with_settings_and_generators_of_the_users(part):
    loader = functools.partial(torch.utils.data.DataLoader, num_workers=0)
    plain = quick("auto").fit(*DATA)
    partial = quick("auto", **{part: loader}).fit(*DATA)
    np.testing.assert_allclose(partial.predict_proba(X), plain.predict_proba(X), rtol=1e-4)
    net = quick("auto", **{f"{part}__generator": torch.Generator().manual_seed(5)}).fit(*DATA)
    assert net.predict(X).shape == (len(X),)


class WithAuxiliary(GDWClassifier):
    """A subclass that takes arguments for a part of its own, and one for itself."""

    def initialize_module(self):
        super().initialize_module()
        self.auxiliary_ = torch.nn.Linear(**self.get_params_for("auxiliary"))
        return self

    def get_params_for(self, prefix):
        params = super().get_params_for(prefix)
        params.pop("kept", None)
        return params


def test_arguments_of_a_subclass():
    options = {"auxiliary__in_features": 2, "auxiliary__out_features": 3, "module__kept": 1}
    net = WithAuxiliary("auto", max_epochs=1, verbose=0, **options)
    assert net.set_params(auxiliary__out_features=4).fit(*DATA).auxiliary_.out_features == 4


def test_a_wrapper_may_take_more_than_what_it_wraps():
    @functools.wraps(RoundedNet)
    def make(*args, extra=0, **kwargs):
        return RoundedNet(*args, **kwargs)

    quick(make, module__extra=1).fit(*DATA)


def test_switches_that_change_nothing_are_taken():
    schedule = [("mine", LRScheduler("StepLR", step_size=1))]
    net = quick("auto", callbacks=schedule, callbacks__lr_schedule=None, dataset__length=None)
    names = dict(net.fit(*DATA).callbacks_)
    assert "mine" in names
    assert names.get("lr_schedule") is None


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
