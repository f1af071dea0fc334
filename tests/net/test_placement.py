"""The device a net is on: "auto", one by name, and moving there."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone

from classifier_cases import blobs, quick, weights
from skgdw._net import _set_params

DATA = blobs()
X, Y, X_META, Y_META = DATA
META = {"X_meta": X_META, "y_meta": Y_META}


def test_device_stays_auto():
    net = quick()
    assert net.get_params()["device"] == "auto"
    net.fit(*DATA)
    assert net.get_params()["device"] == "auto"
    assert clone(net).get_params()["device"] == "auto"
    assert pickle.loads(pickle.dumps(net)).get_params()["device"] == "auto"
    net.set_params(device="cpu").fit(*DATA)
    assert net.get_params()["device"] == "cpu"


def devices(net):
    parts = [*net.module_.parameters(), *net.weight_net_.parameters(), net.criterion_.weight]
    for optimizer in (net.optimizer_, net.weight_net_optimizer_):
        parts += [p for group in optimizer.param_groups for p in group["params"]]
        parts += [state["momentum_buffer"] for state in optimizer.state.values()]
    return {part.device.type for part in parts}


def test_a_new_device_moves_a_fitted_estimator(monkeypatch):
    net = quick(
        criterion__weight=torch.ones(3),
        weight_net_optimizer=torch.optim.SGD,
        weight_net_optimizer__momentum=0.5,
    ).fit(*DATA)
    # The one other device there is everywhere; it is refused to users, as it holds no numbers.
    monkeypatch.setattr(_set_params, "check_device", lambda device: None)
    assert devices(net) == {"cpu"}
    net.set_params(device="meta")
    assert net.device == "meta"
    assert devices(net) == {"meta"}
    learnt = [p for group in net.optimizer_.param_groups for p in group["params"]]
    own = list(net.module_.parameters())
    assert all(a is b for a, b in zip(learnt, own, strict=True))


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu"), "auto", None])
def test_training_goes_on_after_the_device_was_set(device):
    net, expected = (quick().fit(*DATA) for _ in range(2))
    net.set_params(device=device)
    for each in (net, expected):
        each.partial_fit(X, Y, **META)
    assert np.array_equal(weights(net), weights(expected))


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "meta", 3.5])
def test_a_device_that_cannot_be_used_is_refused(device):
    words = f"`device` must be one that torch can use here.*got {device!r}: .*Pass device="
    net = quick().fit(*DATA)
    before = net.predict_proba(X)
    with pytest.raises(ValueError, match=words):
        net.set_params(device=device, lr=0.5)
    assert net.get_params()["device"] == "auto"
    assert net.lr == 0.1
    assert np.array_equal(net.predict_proba(X), before)
    unfitted = quick().set_params(device=device)
    with pytest.raises(ValueError, match=words):
        unfitted.fit(*DATA)
