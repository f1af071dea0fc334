"""One fit from its first trial to its last step: what it tells the weighting and the history."""

import math

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from classifier_cases import Net, blobs, quick, weights
from skgdw._training._session import Session
from skgdw.exceptions import ModuleOutputError
from skgdw.weighting import ClassWeighting

DATA = blobs(n=50)
MASK = np.arange(50) % 5 == 0


class Hears:
    """Writes down what a weighting is told during a fit."""

    def __init__(self, monkeypatch):
        self.heard = []
        for name in ("start", "remember", "on_epoch_end"):
            monkeypatch.setattr(ClassWeighting, name, self._listening(name))

    def _listening(self, name):
        def listen(weighting, *args):
            if name == "on_epoch_end":
                (survey,) = args
                args = ([*survey.training_rows()], [*survey.meta_rows()])
            self.heard.append((name, *args))

        return listen

    def of(self, name):
        return [args for heard, *args in self.heard if heard == name]


def test_what_a_weighting_hears(monkeypatch):
    hears = Hears(monkeypatch)
    net = quick(max_epochs=2, batch_size=16).fit(DATA.X, DATA.y, meta_mask=MASK)
    names = [name for name, *_ in hears.heard]
    assert names == ["start", *(["remember"] * 3 + ["on_epoch_end"]) * 2]
    assert hears.of("start") == [[50, 3]]  # rows that were given, classes
    trained = np.flatnonzero(~MASK)
    for epoch in range(2):
        told = hears.of("remember")[3 * epoch : 3 * epoch + 3]
        rows = torch.cat([evidence.rows for evidence, _ in told])
        assert sorted(rows.tolist()) == trained.tolist()
        for evidence, pull in told:
            assert (evidence.y.numpy() == DATA.y[evidence.rows.numpy()]).all()
            assert pull.grad.sum(dim=1).abs().max() < 1e-6
    train, meta = hears.of("on_epoch_end")[-1]
    assert torch.cat([evidence.rows for evidence in train]).tolist() == trained.tolist()
    assert torch.cat([evidence.y for evidence in meta]).tolist() == DATA.y[MASK].tolist()
    X = torch.as_tensor(DATA.X[~MASK], dtype=torch.float32)
    with torch.no_grad():
        expected = net.module_.eval()(X)
    torch.testing.assert_close(torch.cat([e.logits for e in train]), expected)


def test_listening_changes_nothing(monkeypatch):
    expected = quick(max_epochs=2).fit(*DATA)
    Hears(monkeypatch)
    assert np.array_equal(weights(quick(max_epochs=2).fit(*DATA)), weights(expected))


def test_the_history_tells_what_each_step_found_out(monkeypatch):
    results, take = [], Session.take

    def watched(session, batch, history):
        results.append(take(session, batch, history))
        return results[-1]

    monkeypatch.setattr(Session, "take", watched)
    net = quick(max_epochs=1, batch_size=10, meta_every=2).fit(*DATA)
    batches = net.history[0]["batches"]
    assert len(batches) == len(results) == 5
    for k, (batch, result) in enumerate(zip(batches, results, strict=True)):
        y = result.evidence.y
        own = [float(result.weight[i, y[i]]) for i in range(len(y))]
        others = [
            float(result.weight[i, j]) for i in range(len(y)) for j in range(3) if j != int(y[i])
        ]
        assert batch["weight_given"] == pytest.approx(sum(own) / len(own), rel=1e-5)
        assert batch["weight_other"] == pytest.approx(sum(others) / len(others), rel=1e-5)
        assert batch["train_loss"] == pytest.approx(float(result.evidence.losses.mean()), rel=1e-5)
        assert ("meta_loss" in batch) is (k % 2 == 0)
        if k % 2 == 0:
            assert batch["meta_loss"] == pytest.approx(float(result.meta_loss))
    assert math.isfinite(net.history[0, "meta_loss"])


def test_a_module_that_a_callback_evaluated_trains_on():
    class Predicts(Callback):
        def on_batch_begin(self, net, training=False, **kwargs):
            if training:
                net.module_.eval()

    class Watched(Net):
        modes = []  # noqa: RUF012

        def forward(self, X):
            type(self).modes.append((self.training, torch.is_grad_enabled()))
            return super().forward(X)

    quick(Watched, callbacks=[("predicts", Predicts())]).fit(*DATA)
    assert all(training for training, has_graph in Watched.modes if has_graph)


def test_refusals_come_before_the_first_step_and_undo_what_was_built():
    class Narrow(Net):
        def forward(self, X):
            return super().forward(X)[:, :2]

    net = quick(Narrow)
    before = dict(vars(net))
    with pytest.raises(ModuleOutputError):
        net.fit(*DATA)
    assert vars(net).keys() == before.keys()


def test_a_session_is_gone_after_fit():
    net = quick().fit(*DATA)
    with pytest.raises(AttributeError, match="Training runs inside `fit` and `partial_fit`"):
        net._running  # noqa: B018


def test_meta_rows_are_not_taken_for_training_rows(monkeypatch):
    """Places in what fit was given, or none: a memory of rows must not mix them up."""
    hears = Hears(monkeypatch)
    quick(max_epochs=1).fit(DATA.X, DATA.y, meta_mask=MASK)
    _, meta = hears.of("on_epoch_end")[-1]
    for evidence in meta:
        assert evidence.rows is None or set(evidence.rows.tolist()) <= set(np.flatnonzero(MASK))
