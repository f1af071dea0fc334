"""Callbacks that watch what is not recorded; common ones are in tests/field/test_texts.py."""

import pytest
from skorch.callbacks import Callback, EarlyStopping, EpochScoring
from skorch.dataset import ValidSplit

from classifier_cases import blobs, quick

DATA = blobs()
X, Y, *_ = DATA


class Records(Callback):
    """Records figures of its own, under a name that skorch knows."""

    def on_epoch_end(self, net, **kwargs):
        net.history.record("valid_loss", 1.0 / len(net.history))


def test_a_callback_of_the_users_may_record_what_is_watched():
    stop = EarlyStopping(patience=9)
    net = quick(max_epochs=3, callbacks=[("records", Records()), ("stop", stop)]).fit(*DATA)
    assert len(net.history) == 3


def test_what_validation_rows_would_have_recorded_is_refused_before_an_epoch():
    scores = EpochScoring("accuracy", name="own")
    callbacks = [("scores", scores), ("stop", EarlyStopping("own"))]
    net = quick(callbacks=callbacks)
    with pytest.raises(ValueError, match=r"\['train_loss'\]; got EarlyStopping\(monitor='own'\)"):
        net.fit(*DATA)
    assert not hasattr(net, "module_")
    net.set_params(train_split=ValidSplit(3)).fit(*DATA)
    assert "own" in net.history[-1]


class Fails(Callback):
    def __init__(self, error):
        self.error = error

    def on_epoch_end(self, net, **kwargs):
        raise self.error


@pytest.mark.parametrize("split", [None, ValidSplit(3)])
@pytest.mark.parametrize("error", [KeyError("own"), ValueError("valid_loss"), OSError("disk")])
def test_other_errors_are_handed_on(error, split):
    net = quick(callbacks=[("fails", Fails(error))], train_split=split)
    with pytest.raises(type(error), match=error.args[0]) as raised:
        net.fit(*DATA)
    assert raised.value is error
