"""Modules that return more than logits: the first output is taken, everywhere."""

from collections import OrderedDict
from typing import NamedTuple

import numpy as np
import pytest
import torch
from sklearn.model_selection import cross_val_score
from skorch.callbacks import EpochScoring
from skorch.dataset import ValidSplit

from classifier_cases import Net, blobs, quick, weights
from skgdw._validation._outputs import first_output
from skgdw.exceptions import ModuleOutputError

DATA = blobs()
X, Y, X_META, Y_META = DATA


class Outputs(NamedTuple):
    scores: torch.Tensor
    hidden: torch.Tensor | None = None


class ModelOutput(OrderedDict):
    """As transformers return it: a mapping whose entries are attributes."""

    @property
    def logits(self):
        return self["logits"]


class Returns(Net):
    def __init__(self, what):
        super().__init__()
        self.what = what

    def forward(self, X):
        return self.what(super().forward(X))


SEVERAL = {
    "pair": lambda z: (z, 2 * z),
    "none": lambda z: (z, None),
    "alone": lambda z: (z,),
    "list": lambda z: [z, {"hidden": z}],
    "named": Outputs,
}


@pytest.mark.parametrize("weighting", ["class", "uniform"])
@pytest.mark.parametrize("several", SEVERAL.values(), ids=SEVERAL)
def test_all_goes_as_with_the_first_alone(several, weighting):
    scores = EpochScoring("neg_log_loss", name="log_loss", on_train=True)
    options = {
        "weighting": weighting,
        "train_split": ValidSplit(3),
        "callbacks": [scores],
        "max_epochs": 2,
    }
    net, alone = (quick(Returns, module__what=w, **options) for w in (several, lambda z: z))
    for each in (net, alone):
        each.fit(*DATA)
    assert np.array_equal(weights(net), weights(alone))
    assert np.array_equal(net.predict_proba(X), alone.predict_proba(X))
    assert net.score(X, Y) == alone.score(X, Y)
    for name in ("train_loss", "valid_loss", "valid_acc", "log_loss"):
        assert net.history[:, name] == alone.history[:, name]
    # What skorch can hand on comes whole out of `forward`.
    assert torch.equal(first_output(net.forward(X)), alone.forward(X))


def test_they_are_searched_and_cross_validated():
    net = quick(Returns, module__what=SEVERAL["none"], max_epochs=5)
    found = cross_val_score(
        net, X, Y, params={"X_meta": (X_META,), "y_meta": (Y_META,)}, cv=2, error_score="raise"
    )
    assert np.isfinite(found).all()


@pytest.mark.parametrize("weighting", ["class", "uniform"])
def test_logits_under_a_name_are_asked_for_in_words(weighting):
    net = quick(Returns, module__what=lambda z: ModelOutput(logits=z), weighting=weighting)
    words = r"must return its logits alone, or first in .*; got ModelOutput, .*\.logits`"
    with pytest.raises(ModuleOutputError, match=words):
        net.fit(*DATA)


@pytest.mark.parametrize("output", [None, {}, (), []])
def test_what_holds_no_logits_is_handed_on(output):
    assert first_output(output) is output


def drops_rows(samples):
    return torch.utils.data.default_collate([sample for sample in samples if sample[0][0] > 0])


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
def test_predictions_are_one_a_row(method):
    net = quick(iterator_valid__collate_fn=drops_rows).fit(*DATA)
    n_kept = int((X[:, 0] > 0).sum())
    words = (
        f"`iterator_valid` must hand out each row once to predict; got outputs for {n_kept} of 48 "
        "rows. Have its collate function keep all rows"
    )
    with pytest.raises(ValueError, match=words):
        getattr(net, method)(X)
    assert net.set_params(iterator_valid__collate_fn=None).predict(X).shape == (48,)
