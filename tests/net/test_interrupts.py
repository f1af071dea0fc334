"""Who may keep a fit that was cut off; that a search may not is in tests/field/test_traps.py."""

import signal
from types import SimpleNamespace

import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from classifier_cases import blobs
from skgdw._net._interrupts import is_one_of_many, is_stop, pass_on_interrupt

X, Y, *_ = blobs()


def runs(*, has_ended=False, was_stopped=False):
    return SimpleNamespace(has_ended=has_ended, was_stopped=was_stopped)


class Asks(StandardScaler):
    def fit(self, X, y=None):
        self.found_ = is_one_of_many()
        return super().fit(X)


def interrupted(task):
    try:
        task()
    except KeyboardInterrupt as interrupt:
        return interrupt


def test_callbacks_that_stop_early_are_told_from_the_user(monkeypatch):
    def stops():
        raise KeyboardInterrupt

    def cleans_up(task):
        try:
            task()
        finally:
            runs()

    def pressed():
        signal.raise_signal(signal.SIGINT)

    def handler(number, frame):
        raise KeyboardInterrupt("of a handler that is no one's callback")

    assert is_stop(interrupted(stops))
    assert is_stop(interrupted(lambda: cleans_up(stops)))
    assert not is_stop(interrupted(pressed))
    assert not is_stop(interrupted(lambda: cleans_up(pressed)))
    assert not is_stop(KeyboardInterrupt())
    before = signal.signal(signal.SIGINT, handler)
    try:
        assert not is_stop(interrupted(pressed))
        assert is_stop(interrupted(stops))
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_pipeline_fits_one():
    assert not is_one_of_many()
    assert not make_pipeline(FunctionTransformer(), Asks()).fit(X).steps[-1][1].found_


def test_only_what_was_cut_off_is_passed_on(monkeypatch):
    for run in (None, runs()):
        pass_on_interrupt(run)
    monkeypatch.setattr("skgdw._net._interrupts.is_one_of_many", lambda: True)
    for run in (runs(has_ended=True), runs(was_stopped=True)):
        pass_on_interrupt(run)
    for run in (None, runs()):
        with pytest.raises(KeyboardInterrupt):
            pass_on_interrupt(run)
