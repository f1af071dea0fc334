"""Parameters that were set since the parts were built."""

import copy
import pickle

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, InputShapeSetter
from torch import nn

from classifier_cases import Net, blobs, quick
from skgdw._net._kept import check_kept, kept_params

X, Y, X_META, Y_META = DATA = blobs()


@pytest.mark.parametrize("go_on", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    "params",
    [
        {"optimizer": torch.optim.Adam},
        {"criterion__weight": torch.ones(3)},
        {"class_weight": {0: 2.0}},
        {"module": nn.Linear(4, 3), "weight_net__hidden": 7},
    ],
    ids=lambda params: "-".join(params),
)
def test_what_only_building_reads_is_refused_where_training_goes_on(params, go_on):
    net = quick(warm_start=True).fit(*DATA)
    before = copy.deepcopy(net.module_.state_dict())
    net.set_params(**params)
    names = ", ".join(f"`{name}`" for name in sorted(params))
    with pytest.raises(ValueError, match=f"{names} must stay as .* start afresh: `fit`"):
        getattr(net, go_on)(X, Y, X_meta=X_META, y_meta=Y_META)
    assert all(torch.equal(value, before[name]) for name, value in net.module_.state_dict().items())


def test_a_fit_that_starts_afresh_takes_them():
    net = quick().fit(*DATA).set_params(optimizer=torch.optim.Adam).fit(*DATA)
    assert type(net.optimizer_) is torch.optim.Adam


@pytest.mark.parametrize("params", [{"lr": 0.01}, {"optimizer__momentum": 0.5}, {"meta_lr": 0.3}])
def test_what_acts_on_the_running_parts_does(params):
    net = quick(warm_start=True).fit(*DATA)
    assert net.set_params(**params).fit(*DATA)


@pytest.mark.parametrize("saved", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_a_net_that_was_saved_goes_on(saved):
    weight = torch.tensor([1.0, 2.0, 3.0])
    net = quick(Net(), criterion__weight=weight, warm_start=True).fit(*DATA)
    assert saved(net).fit(*DATA).partial_fit(X, Y, X_meta=X_META, y_meta=Y_META)
    with pytest.raises(ValueError, match="`criterion__weight` must stay"):
        saved(net).set_params(criterion__weight=2 * weight).fit(*DATA)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (torch.ones(2), torch.ones(2)),
        (np.ones(2), np.ones(2)),
        ({0: 1.0}, {0: 1.0}),
        ("balanced", "balanced"),
        ((1, 2), (1, 2)),
    ],
)
def test_equal_values_are_the_same(one, other):
    check_kept({"criterion__weight": one}, {"criterion__weight": other})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (torch.ones(2), torch.zeros(2)),
        (torch.ones(2), torch.ones(3)),
        (1, 1.0),
        ({0: np.ones(2)}, {0: np.zeros(2)}),
        (nn.Linear(2, 2), nn.Linear(2, 2)),
    ],
)
def test_others_are_not(one, other):
    with pytest.raises(ValueError, match="`criterion__weight` must stay as the parts were built"):
        check_kept({"criterion__weight": one}, {"criterion__weight": other})


def test_what_training_reads_again_is_not_kept():
    params = {"module": 1, "module__a": 2, "lr": 3, "optimizer__momentum": 4, "weighting": 5}
    assert kept_params(params) == {"module": 1, "module__a": 2}


class Shaped(nn.Module):
    def __init__(self, input_dim=9):
        super().__init__()
        self.out = nn.Linear(input_dim, 3)

    def forward(self, X):
        return self.out(X)


@pytest.mark.parametrize("weighting", ["class_pair", "class", "uniform"])
def test_what_a_callback_sets_as_training_begins_is_built(weighting):
    net = quick(Shaped, weighting=weighting, callbacks=[InputShapeSetter()]).fit(*DATA)
    assert net.module_.out.in_features == 4
    assert net.optimizer_.param_groups[0]["params"][0] is net.module_.out.weight
    expected = quick(Shaped, module__input_dim=4, weighting=weighting).fit(*DATA)
    assert net.predict_proba(DATA.X).shape == expected.predict_proba(DATA.X).shape
    X, y, X_meta, y_meta = DATA
    net.partial_fit(X, y, X_meta=X_meta, y_meta=y_meta)


def test_but_not_where_training_goes_on():
    class Sets(Callback):
        def on_train_begin(self, net, **kwargs):
            if len(net.history):
                net.set_params(module__hidden=5)

    net = quick(callbacks=[Sets()]).fit(*DATA)
    X, y, X_meta, y_meta = DATA
    with pytest.raises(ValueError, match=r"`module__hidden` must stay as the parts were built"):
        net.partial_fit(X, y, X_meta=X_meta, y_meta=y_meta)


def test_an_optimizer_that_a_callback_sets_leaves_what_was_loaded():
    class Loads(Callback):
        def on_train_begin(self, net, **kwargs):
            with torch.no_grad():
                net.module_.layers[0].weight.fill_(7.0)
            net.set_params(optimizer=torch.optim.Adam)

    net = quick(callbacks=[("loads", Loads())], lr=0.0).fit(*DATA)
    assert isinstance(net.optimizer_, torch.optim.Adam)
    assert (net.module_.layers[0].weight == 7).all()
