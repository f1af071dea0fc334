"""Setting parameters: what the next fit makes of them, and what a fitted net does at once."""

import numpy as np
import pytest
import torch
from sklearn import config_context
from sklearn.base import clone
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from skorch.dataset import ValidSplit
from torch import nn

from classifier_cases import DropoutNet, blobs, quick, weights
from skgdw import GDWClassifier
from skgdw.modules import WeightNet

DATA = blobs()
X, Y, X_META, Y_META = DATA
META = {"X_meta": X_META, "y_meta": Y_META}


def test_parameters_make_a_round_trip():
    net = quick(
        device="cpu", module__hidden=3, optimizer__nesterov=True, callbacks=[("a", EarlyStopping())]
    )
    params = net.get_params(deep=False)
    again = GDWClassifier(**params)
    assert again.get_params(deep=False) == params
    assert clone(net).get_params(deep=False).keys() == params.keys()
    assert again.module__hidden == 3


@pytest.mark.parametrize("name", ["module", "weight_net", "module__inner"])
def test_clones_have_modules_of_their_own(name):
    given = nn.Linear(4, 3)
    net = quick(**{name: given}).set_params(lr=0.3)
    again = clone(net)
    copied = again.get_params(deep=False)[name]
    assert copied is not given
    assert torch.equal(copied.weight, given.weight)
    assert again.lr == 0.3
    assert again.get_params(deep=False).keys() == net.get_params(deep=False).keys()
    assert net.get_params(deep=False)[name] is given


def test_clones_keep_what_scikit_learn_was_told():
    with config_context(enable_metadata_routing=True):
        net = quick(nn.Linear(4, 3)).set_fit_request(sample_weight=True)
        assert clone(net)._metadata_request.fit.requests["sample_weight"] is True


def test_a_module_that_cannot_be_copied_is_named():
    tied = nn.Linear(4, 3)
    tied.scale = tied.weight * 2  # a function of another
    words = r"`module__inner` as an instance must be one .*Linear cannot be.* Pass its class"
    with pytest.raises(ValueError, match=words):
        clone(quick(module__inner=tied))


@pytest.mark.parametrize(
    "params",
    [
        {"lr": 0.01},
        {"max_epochs": 2},
        {"batch_size": 7},
        {"meta_lr": 0.5},
        {"weighting": "instance"},
        {"weighting": "uniform"},
        {"meta_every": 2},
        {"lookahead_lr": 0.5},
        {"meta_gradient": "difference"},
        {"module": DropoutNet},
        {"module__hidden": 3},
        {"criterion__weight": torch.tensor([1.0, 2.0, 3.0])},
        {"optimizer": torch.optim.Adam},
        {"optimizer__momentum": 0.0},
        {"weight_net": WeightNet},
        {"weight_net__hidden": 3},
        {"weight_net_optimizer": torch.optim.SGD},
        {"weight_net_optimizer__lr": 0.1},
        {"iterator_meta__batch_size": 3},
        {"iterator_train__shuffle": False},
        {"random_state": 3},
        {"device": "cpu"},
        {"train_split": ValidSplit(3)},
        {"classes": [0, 1, 2]},
        {"warm_start": False},
        {"verbose": 0},
        {"callbacks": [("stop", EarlyStopping("train_loss"))]},
        {"callbacks__lr_schedule": None},
    ],
    ids=lambda p: next(iter(p)),
)
def test_set_params_on_a_fitted_estimator(params, capsys):
    """The next fit is that of a new estimator with these parameters."""
    net = quick(batch_size=16).fit(*DATA)
    net.set_params(**params)
    assert net.get_params(deep=False)[next(iter(params))] is next(iter(params.values()))
    expected = quick(**{"batch_size": 16, **params}).fit(*DATA)
    assert np.array_equal(weights(clone(net).fit(*DATA)), weights(expected))
    assert np.array_equal(weights(net.fit(*DATA)), weights(expected))
    assert capsys.readouterr().out == ""


def test_set_params_leaves_a_fitted_estimator_usable():
    net = quick().fit(*DATA)
    expected = net.predict_proba(X)
    net.set_params(module__hidden=3, weight_net__hidden=3, optimizer=torch.optim.Adam)
    net.set_params(criterion=nn.NLLLoss, weight_net_optimizer=torch.optim.SGD)
    assert np.array_equal(net.predict_proba(X), expected)


def test_unknown_names_are_refused_in_words():
    net = quick().fit(*DATA)
    for name, said in {
        "mta_lr": "Invalid parameter 'mta_lr'",
        "moduel__hidden": "Invalid parameter 'moduel'",
        "optimiser__momentum": "Invalid parameter 'optimiser'",
    }.items():
        with pytest.raises(ValueError, match=said) as caught:
            net.set_params(**{name: 1})
        assert "open an issue" not in str(caught.value)


def test_set_params_of_nothing():
    net = quick()
    assert net.set_params() is net


# --- the optimizer --------------------------------------------------------------------------------


def test_learning_rate_set_between_calls_of_partial_fit():
    net = quick(lr=0.1).partial_fit(X, Y, **META)
    net.set_params(lr=1e-30, optimizer__weight_decay=0.0, optimizer__momentum=0.0)
    before = weights(net)[:67]
    net.partial_fit(X, Y, **META)
    assert np.array_equal(weights(net)[:67], before)
    assert net.optimizer_.param_groups[0]["lr"] == 1e-30


@pytest.mark.parametrize(
    "params", [{"optimizer__momentum": 0.5}, {"weight_net_optimizer__lr": 0.01}], ids=str
)
def test_other_settings_leave_the_base_rate(params):
    net = quick(max_epochs=3, lr=0.1).fit(*DATA)
    net.set_params(**params).partial_fit(X, Y, **META)
    assert net.history[-1, "event_lr"] == pytest.approx(0.1)
    net.set_params(lr=0.02).partial_fit(X, Y, **META)
    assert net.history[-1, "event_lr"] == pytest.approx(0.02)


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


# --- callbacks ------------------------------------------------------------------------------------


class CountsEpochs(Callback):
    def initialize(self):
        self.epochs_ = 0
        return self

    def on_epoch_end(self, net, **kwargs):
        self.epochs_ += 1


def test_callbacks_of_a_fitted_net_can_be_set_and_taken_away():
    net = quick().fit(*DATA)
    counts = CountsEpochs()
    net.set_params(callbacks=[("counts", counts)], callbacks__lr_schedule=None)
    net.partial_fit(X, Y, **META)
    assert counts.epochs_ == 1
    assert {"counts", "lr_schedule"} & {name for name, _ in net.callbacks_} == {"counts"}
    net.set_params(callbacks__counts=None).partial_fit(X, Y, **META)
    assert counts.epochs_ == 1
    assert "counts" not in dict(clone(net).fit(*DATA).callbacks_)


@pytest.mark.parametrize("fitted", [False, True])
def test_settings_of_no_callback_are_refused(fitted):
    net = quick().fit(*DATA) if fitted else quick()
    with pytest.raises(
        ValueError,
        match=r"`callbacks__\.\.\.` must name a callback; got callbacks__lr_shedule; the callbacks "
        r"are \['epoch_timer', 'lr_schedule'",
    ):
        net.set_params(callbacks__lr_shedule=None).fit(*DATA)
    if fitted:  # nothing was set
        net.partial_fit(X, Y, **META)
        assert "callbacks__lr_shedule" not in net.get_params()


def test_switches_that_change_nothing_are_taken():
    schedule = [("mine", LRScheduler("StepLR", step_size=1))]
    net = quick("auto", callbacks=schedule, callbacks__lr_schedule=None, dataset__length=None)
    names = dict(net.fit(*DATA).callbacks_)
    assert "mine" in names
    assert names.get("lr_schedule") is None
