"""Validation rows, the best epoch and fine-tuning, as a caller sees them."""

import numpy as np
import pytest
import torch
from sklearn.preprocessing import FunctionTransformer
from skorch.callbacks import Callback, Checkpoint, EarlyStopping
from skorch.dataset import ValidSplit
from torch import nn

from classifier_cases import Net, blobs, quick
from skgdw.model_selection import make_meta_pipeline
from skgdw.weighting import Pull, Weighting

DATA = blobs()
X, Y, X_META, Y_META = DATA
X_VAL, Y_VAL = X_META + 0.01, Y_META
NAMED = DATA.labelled(["ox", "cat", "dog"])
VALID = {"X_val": X_VAL, "y_val": Y_VAL}


class Predictions(Callback):
    """Writes down the accuracy on the validation rows, and the parameters, after each epoch."""

    def on_train_begin(self, net, **kwargs):
        self.accuracy, self.parameters = [], []

    def on_epoch_end(self, net, **kwargs):
        self.accuracy.append((net.predict(X_VAL) == NAMED_VAL).mean())
        self.parameters.append([p.detach().clone() for p in net.module_.parameters()])


NAMED_VAL = np.array(["ox", "cat", "dog"])[Y_VAL]


def seen(net):
    return dict(net.callbacks_)["predictions"]


def watched(**params):
    callbacks = [("predictions", Predictions()), *params.pop("callbacks", [])]
    return quick(**{"max_epochs": 4, "callbacks": callbacks, **params})


def same(module, parameters):
    return all(map(torch.equal, module.parameters(), parameters))


# --- validation rows ------------------------------------------------------------------------------


def test_validation_rows_are_scored_after_each_epoch():
    net = watched().fit(*NAMED, X_val=X_VAL, y_val=NAMED_VAL)
    assert np.allclose(net.history[:, "valid_acc"], seen(net).accuracy)
    with torch.no_grad():
        logits = net.module_.eval()(torch.as_tensor(X_VAL).float())
        codes = torch.as_tensor(np.searchsorted(net.classes_, NAMED_VAL))
        loss = nn.functional.cross_entropy(logits, codes).item()
    assert net.history[-1, "valid_loss"] == pytest.approx(loss, rel=1e-5)


def test_validation_rows_change_no_training():
    plain, scored = quick().fit(*DATA), quick().fit(*DATA, **VALID)
    assert same(scored.module_, plain.module_.parameters())


@pytest.mark.parametrize("weighting", ["class", "uniform"])
def test_early_stopping_and_checkpoints_see_them(weighting, tmp_path):
    stop = EarlyStopping(monitor="valid_loss", patience=1, threshold=10, threshold_mode="abs")
    save = Checkpoint(monitor="valid_acc_best", dirname=tmp_path)
    net = quick(weighting=weighting, max_epochs=9, callbacks=[stop, save]).fit(*DATA, **VALID)
    assert len(net.history) == 2  # no loss falls by ten
    assert (tmp_path / "params.pt").exists()


def test_partial_fit_takes_them_too():
    net = quick().partial_fit(X, Y, [0, 1, 2], X_META, Y_META, **VALID)
    assert len(net.history[:, "valid_acc"]) == net.max_epochs


def test_they_go_through_a_pipeline():
    pipe = make_meta_pipeline(FunctionTransformer(np.negative), quick())
    options = {"X_meta": (X_META,), "y_meta": (Y_META,), "X_val": (X_VAL,), "y_val": (Y_VAL,)}
    pipe.fit(X, Y, **options)
    direct = quick().fit(-X, Y, -X_META, Y_META, X_val=-X_VAL, y_val=Y_VAL)
    assert pipe[-1].history[:, "valid_loss"] == direct.history[:, "valid_loss"]


# --- the best epoch -------------------------------------------------------------------------------


@pytest.mark.parametrize("weighting", ["class", "uniform"])
def test_the_best_epoch_is_kept(weighting):
    # A rate at which some epoch in the middle is the best.
    net = watched(weighting=weighting, keep_best=True, lr=2.0, max_epochs=6)
    net.fit(*NAMED, X_val=X_VAL, y_val=NAMED_VAL)
    scores = net.history[:, "keep_best_score"]
    # Three classes of equal size: accuracy and balanced accuracy are one.
    assert np.allclose(scores, seen(net).accuracy)
    assert same(net.module_, seen(net).parameters[int(np.argmax(scores))])
    assert net.score(X_VAL, NAMED_VAL) == pytest.approx(max(scores))


def test_without_validation_rows_the_meta_rows_are_the_judge():
    net = quick(keep_best=True).fit(*DATA)
    assert net.score(X_META, Y_META) == pytest.approx(max(net.history[:, "keep_best_score"]))


def test_where_nothing_can_be_judged_that_is_said():
    with pytest.raises(ValueError, match=r"`keep_best` must have rows .*got no meta set.*X_val"):
        quick(weighting="uniform", keep_best=True).fit(X, Y)


# --- fine-tuning ----------------------------------------------------------------------------------


def test_fine_tuning_is_a_stage_of_its_own():
    net = quick(weighting="uniform", fine_tune=True, max_epochs=2).fit(*DATA)
    stages = net.history[:, "stage"]
    assert stages[:2] == ["plain", "plain"]
    assert set(stages[2:]) <= {"fine_tune"}
    assert len(stages) in (2, 32)  # a rate of zero trains no further


def test_who_stops_early_still_fine_tunes(monkeypatch):
    monkeypatch.setattr("skgdw._training._fine_tune.SHARES", (0.1,))
    stop = EarlyStopping(monitor="train_loss", patience=1, threshold=10, threshold_mode="abs")
    net = quick(weighting="uniform", fine_tune=True, max_epochs=9, callbacks=[("stop", stop)])
    stages = net.fit(*DATA).history[:, "stage"]
    assert stages.count("plain") == 2
    assert stages.count("fine_tune") >= 1


def test_an_interrupt_of_the_users_ends_all_stages():
    class Interrupt(Callback):
        def on_batch_begin(self, net, training=None, **kwargs):
            net.module_.forward = interrupted

    def interrupted(X):
        raise KeyboardInterrupt

    net = quick(Net, weighting="uniform", fine_tune=True, callbacks=[Interrupt()]).fit(*DATA)
    assert len(net.history) == 1


def test_batch_statistics_stay_where_no_rate_is_chosen(monkeypatch):
    monkeypatch.setattr("skgdw._training._fine_tune.SHARES", (0.0,))

    class Normed(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3))

        def forward(self, X):
            return self.layers(X)

    tuned = quick(Normed, weighting="uniform", fine_tune=True, max_epochs=2).fit(*DATA)
    kept = quick(Normed, weighting="uniform", keep_best=True, max_epochs=2).fit(*DATA)
    for name, value in kept.module_.state_dict().items():
        assert torch.equal(tuned.module_.state_dict()[name], value), name


def test_a_meta_set_is_taken_out_for_it_with_a_warning():
    with pytest.warns(UserWarning, match="No meta set was given"):
        net = quick(weighting="uniform", fine_tune=True, max_epochs=1).fit(X, Y)
    assert np.isnan(net.row_ledger_["last_loss"]).sum() > 0


def test_a_held_out_part_is_scored_in_every_stage(monkeypatch):
    monkeypatch.setattr("skgdw._training._fine_tune.SHARES", (0.1,))
    net = quick(weighting="uniform", fine_tune=True, train_split=ValidSplit(3), max_epochs=2)
    history = net.fit(*DATA).history
    assert len(history) > 2
    assert all("valid_loss" in row for row in history)


# --- what a weighting is given --------------------------------------------------------------------


class Gated(Weighting):
    """Has a weighting net and parameters of its own, one of which is returned as it is."""

    def __init__(self, weight_net, n_classes):
        super().__init__()
        self.weight_net, self.n_classes = weight_net, n_classes
        self.scale = nn.Parameter(torch.tensor(0.5))

    def forward(self, evidence):
        return self.scale.expand(len(evidence.y), 1)


def test_all_parameters_of_a_weighting_are_stepped():
    net = quick(weighting=Gated, meta_every=2).fit(*DATA)
    stepped = {id(p) for group in net.weight_net_optimizer_.param_groups for p in group["params"]}
    assert stepped == {id(p) for p in net.weighting_.parameters()}
    assert net.weighting_.scale.item() != 0.5
    assert net.weighting_.n_classes == 3


def test_arguments_of_a_weighting_are_checked_by_name():
    with pytest.raises(
        ValueError, match=r"`weighting__meta_rl` \(did you mean `weighting__meta_lr`"
    ):
        quick(weighting__meta_rl=1.0).fit(*DATA)


class Scaled(Weighting):
    """Uses a parameter in what it sends back."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, evidence):
        return torch.ones_like(evidence.losses).unsqueeze(1) * self.scale

    def pull(self, evidence, weight):
        pull = super().pull(evidence, weight)
        return Pull(pull.weight * self.scale, pull.grad * self.scale)


def test_a_pull_may_hang_on_parameters():
    net = quick(weighting=Scaled).fit(*DATA)
    assert np.isfinite(net.row_weights_).all()


def test_weights_that_are_reported_have_a_shape():
    class Short(Scaled):
        def pull(self, evidence, weight):
            return Pull(weight, super().pull(evidence, weight).grad)

    with pytest.raises(ValueError, match=r"Short.pull reports \(8, 1\) for 8 rows and 3 classes"):
        quick(weighting=Short).fit(*DATA)


def test_a_warm_up_needs_a_length():
    class Warming(Scaled):
        warm_up = 0.5

    class Endless:
        def __init__(self, dataset, batch_size, **kwargs):
            self.loader = torch.utils.data.DataLoader(dataset, batch_size=batch_size)

        def __iter__(self):
            return iter(self.loader)

    with pytest.raises(TypeError, match=r"`iterator_train` must have a length .*got Endless"):
        quick(weighting=Warming, iterator_train=Endless).fit(*DATA)


def test_another_loader_within_a_fit_does_not_begin_the_warm_up_again():
    class Warming(Scaled):
        warm_up = 0.3

    class Looks(Callback):
        def on_epoch_end(self, net, dataset_train=None, **kwargs):
            next(iter(net.get_iterator(dataset_train, training=True)))

    net = quick(weighting=Warming, callbacks=[Looks()], max_epochs=3).fit(*DATA)
    assert net.weighting_.is_warm
    assert np.isfinite(net.history[-1, "weight_given"])


def test_the_best_epoch_of_a_module_with_state_of_its_own_is_kept():
    class Stateful(Net):
        def get_extra_state(self):
            return {"a": [1]}

        def set_extra_state(self, state):
            self.state = state

    assert quick(Stateful, keep_best=True).fit(*DATA).module_.state == {"a": [1]}


def test_meta_rows_that_judge_are_warned_of():
    with pytest.warns(UserWarning, match="also stand in X"):
        quick(weighting="uniform", keep_best=True).fit(X, Y, X[:9], Y[:9])
