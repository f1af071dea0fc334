"""Methods of a subclass that training goes by, or would go around."""

import numpy as np
import pytest
import torch
from torch import nn

from classifier_cases import Net, blobs, quick, weights
from skgdw import GDWClassifier
from skgdw._net._overrides import overridden

DATA = blobs()


def made(kind, **params):
    return kind(Net, **{"max_epochs": 1, "verbose": 0, "random_state": 0, **params})


class TwoModules(GDWClassifier):
    def initialize_module(self):
        super().initialize_module()
        self.head_ = nn.Linear(3, 3)
        return self

    def infer(self, x, **kwargs):
        return self.head_(super().infer(x, **kwargs))


class Widens(GDWClassifier):
    """Returns other logits than the module, and more of them."""

    def infer(self, x, **kwargs):
        return super().infer(x, **kwargs).repeat(1, 3)


class Moves(GDWClassifier):
    def infer(self, x, **kwargs):
        return super().infer(x[:, :2].repeat(1, 2) if x.shape[1] == 4 else x, **kwargs)


class Casts(GDWClassifier):
    def infer(self, x, **kwargs):
        return super().infer(x.contiguous(), **kwargs)


class Penalised(GDWClassifier):
    def get_loss(self, *args, **kwargs):
        return super().get_loss(*args, **kwargs) + self.module_.layers[0].weight.abs().sum()


class Passes(GDWClassifier):
    def get_loss(self, y_pred, y_true, *args, **kwargs):
        return super().get_loss(y_pred, y_true, *args, **kwargs)


class Single(GDWClassifier):
    def train_step_single(self, batch, **kwargs):
        return super().train_step_single(batch, **kwargs)


@pytest.mark.parametrize("weighting", ["class_pair", "class", "uniform"])
@pytest.mark.parametrize("kind", [TwoModules, Moves, Widens])
def test_an_infer_that_does_more_than_to_call_the_module_is_refused(kind, weighting):
    words = r"`infer` must return what the module returns.*the module's `forward`, other modules"
    with pytest.raises(ValueError, match=words):
        made(kind, weighting=weighting).fit(*DATA)


@pytest.mark.parametrize("weighting", ["class_pair", "class"])
def test_a_loss_that_would_be_gone_around_is_refused(weighting):
    words = r"`get_loss` must return the criterion's loss.* [\d.]+ for the first rows; got [\d.]+. "
    with pytest.raises(ValueError, match=words):
        made(Penalised, weighting=weighting).fit(*DATA)
    net = made(Penalised, weighting="uniform").fit(*DATA)
    assert not np.array_equal(weights(net), weights(quick(weighting="uniform").fit(*DATA)))


@pytest.mark.parametrize("kind", [Casts, Passes])
@pytest.mark.parametrize("weighting", ["class", "uniform"])
def test_what_changes_nothing_may_be_overridden(kind, weighting):
    net = made(kind, weighting=weighting).fit(*DATA)
    assert np.array_equal(weights(net), weights(quick(weighting=weighting).fit(*DATA)))


def test_a_step_that_is_never_called_is_refused():
    with pytest.raises(TypeError, match=r"`train_step_single` must be left.*Single.*`train_step`"):
        made(Single).fit(*DATA)


def test_methods_of_the_user_are_told_from_ours():
    assert overridden(quick(), "infer", "get_loss", "train_step") == set()
    assert overridden(made(TwoModules), "infer", "get_loss") == {"infer"}
    net = quick()
    net.infer = lambda x, **kwargs: torch.zeros(len(x), 3)
    assert overridden(net, "infer") == {"infer"}


class Flattens(GDWClassifier):
    def infer(self, x, **kwargs):
        return super().infer(x.flatten(1), **kwargs)


def test_rows_that_only_infer_makes_fit_are_refused():
    X, y, X_meta, y_meta = DATA
    with pytest.raises(ValueError, match=r"`infer` must return what the module returns"):
        made(Flattens).fit(X.reshape(-1, 2, 2), y, X_meta.reshape(-1, 2, 2), y_meta)


class Large(Net):
    def forward(self, X):
        return 40 * super().forward(X)


@pytest.mark.parametrize("precision", ["bf16", "float32"])
def test_rounding_of_short_numbers_is_no_difference(precision):
    net = Casts(Large, max_epochs=1, verbose=0, random_state=0, weighting="class")
    net.set_params(precision=precision).fit(*DATA)


class Records(GDWClassifier):
    def get_loss(self, y_pred, y_true, *args, training=False, **kwargs):
        loss = super().get_loss(y_pred, y_true, *args, training=training, **kwargs)
        if training:
            self.history.record_batch("mine", float(loss))
        return loss


def test_a_loss_that_records_may_be_asked_before_there_is_an_epoch():
    assert len(made(Records, weighting="class").fit(*DATA).history) == 1
