"""Callbacks are told of what they listen to, and only of that."""

import pytest
from skorch.callbacks import Callback, EpochScoring

from classifier_cases import blobs, quick
from skgdw._net._hearers import Hearers, listens

DATA = blobs(n=40, n_meta=15)


class HearsBatches(Callback):
    def __init__(self):
        self.heard = []

    def on_batch_end(self, net, **kwargs):
        self.heard.append(kwargs["training"])


class HearsNothing(Callback):
    pass


def test_who_listens():
    assert listens(HearsBatches(), "on_batch_end")
    assert not listens(HearsBatches(), "on_batch_begin")
    silent = HearsNothing()
    assert not listens(silent, "on_epoch_end")
    silent.on_epoch_end = lambda net, **kwargs: None
    assert listens(silent, "on_epoch_end")


def test_methods_given_between_epochs_are_heard_in_the_next():
    batches, silent = HearsBatches(), HearsNothing()
    callbacks, hearers = [("batches", batches), ("silent", silent)], Hearers()
    assert hearers.of(callbacks, "on_batch_end") == [batches]
    silent.on_batch_end = lambda net, **kwargs: None
    assert hearers.of(callbacks, "on_batch_end") == [batches]
    assert hearers.of(callbacks, "on_epoch_begin") == []
    assert hearers.of(callbacks, "on_batch_end") == [batches, silent]


@pytest.mark.parametrize("weighting", ["class_pair", "uniform"])
def test_a_fit_tells_of_each_batch(weighting):
    batches = HearsBatches()
    quick(weighting=weighting, max_epochs=3, batch_size=10, callbacks=[batches]).fit(*DATA)
    assert batches.heard == [True] * 12


def test_refits_tell_the_callbacks_that_there_are_then():
    first, second = HearsBatches(), HearsBatches()
    net = quick(max_epochs=1, batch_size=20, callbacks=[("one", first)]).fit(*DATA)
    net.set_params(callbacks=[("one", second)]).fit(*DATA)
    assert (len(first.heard), len(second.heard)) == (2, 2)


def test_scores_of_training_rows_see_labels():
    names = DATA.labelled(["ash", "oak", "yew"])
    seen = []

    def score(net, X, y):
        seen.extend(y)
        return 0.0

    scoring = EpochScoring(score, on_train=True, name="seen")
    quick(max_epochs=1, callbacks=[scoring]).fit(*names)
    assert set(seen) == {"ash", "oak", "yew"}
