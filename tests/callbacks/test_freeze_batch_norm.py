"""Frozen layers of batch normalisation stay as they are while the rest trains."""

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, Freezer, Unfreezer
from torch import nn

from classifier_cases import blobs, quick
from skgdw._training._fine_tune import FineTuner
from skgdw.callbacks import FreezeBatchNorm, Resume

DATA = blobs(n=96, n_meta=24)


class Backbone(nn.Sequential):
    """A frozen part with statistics of its own, and a head with others."""

    def __init__(self, frozen=True):
        body = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU())
        head = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3))
        super().__init__(body, head)
        body[1].running_mean.fill_(0.25)
        body.requires_grad_(not frozen)


def fit(*callbacks, module=Backbone, **params):
    given = {"weighting": "class_pair", "max_epochs": 4, "batch_size": 16, **params}
    return quick(module, callbacks=list(callbacks), **given).fit(*DATA)


def means(net):
    return [part[1].running_mean for part in net.module_]


@pytest.mark.parametrize("weighting", ["class_pair", "class", "uniform"])
@pytest.mark.parametrize("meta_gradient", ["forward", "difference", "unrolled"])
def test_statistics_of_frozen_layers_stay(weighting, meta_gradient):
    net = fit(FreezeBatchNorm(), weighting=weighting, meta_gradient=meta_gradient)
    body, head = means(net)
    assert torch.equal(body, torch.full((6,), 0.25))
    assert not torch.equal(head, torch.zeros(6))


def test_without_it_they_move():
    assert not torch.equal(means(fit())[0], torch.full((6,), 0.25))


def test_layers_that_train_are_as_they_were():
    one, other = (fit(*given, module__frozen=False) for given in ([], [FreezeBatchNorm()]))
    assert np.array_equal(one.predict_proba(DATA.X), other.predict_proba(DATA.X))


def test_layers_without_parameters_are_left_alone():
    class Bare(nn.Sequential):
        def __init__(self):
            super().__init__(nn.BatchNorm1d(4, affine=False), nn.Linear(4, 3))

    net = fit(FreezeBatchNorm(), module=Bare)
    assert not torch.equal(net.module_[0].running_mean, torch.zeros(4))


def test_freezers_are_followed():
    class Notes(Callback):
        def on_train_begin(self, net, **kwargs):
            self.seen = []

        def on_epoch_end(self, net, **kwargs):
            self.seen.append(means(net)[0].clone())

    notes = Notes()
    fit(
        ("freeze", Freezer("0.*")),
        ("free", Unfreezer("0.*", at=3)),
        ("keep", FreezeBatchNorm()),
        ("notes", notes),
        module__frozen=False,
    )
    first, second, third, _ = notes.seen
    assert torch.equal(first, second)
    assert torch.equal(first, torch.full((6,), 0.25))
    assert not torch.equal(second, third)


def test_a_fit_that_was_cut_off_goes_on(tmp_path):
    class Stops(Callback):
        def on_epoch_end(self, net, **kwargs):
            if len(net.history) == 2:
                raise SystemExit

    whole = fit(("keep", FreezeBatchNorm()), ("resume", Resume(tmp_path / "whole")))
    callbacks = [("keep", FreezeBatchNorm()), ("resume", Resume(tmp_path / "cut"))]
    with pytest.raises(SystemExit):
        fit(*callbacks, ("stops", Stops()))
    again = fit(*callbacks)
    assert np.array_equal(again.predict_proba(DATA.X), whole.predict_proba(DATA.X))


@pytest.mark.parametrize("max_epochs", [2, 0])
def test_the_copies_that_fine_tuning_compares_are_frozen_too(max_epochs, monkeypatch):
    found, tuned = [], FineTuner._tuned

    def noted(self, share, rows, seed):
        found.append(tuned(self, share, rows, seed))
        return found[-1]

    monkeypatch.setattr(FineTuner, "_tuned", noted)
    params = {"weighting": "uniform", "fine_tune": True, "max_epochs": max_epochs}
    fit(FreezeBatchNorm(), **params)
    assert all(torch.equal(part[0][1].running_mean, torch.full((6,), 0.25)) for part in found)
    assert len({part[1][1].running_mean.sum().item() for part in found}) > 2  # the head's move
