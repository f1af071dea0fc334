"""Keeping the parameters of the best epoch."""

import copy
import math

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score
from skorch.callbacks import Callback
from torch import nn

from classifier_cases import Net, blobs, quick
from skgdw._training._keep_best import BestEpoch, balanced_accuracy
from skgdw.weighting import Evidence


def evidence(predicted, y):
    return Evidence(nn.functional.one_hot(torch.tensor(predicted), 5).float(), torch.tensor(y))


def test_balanced_accuracy_is_the_mean_recall_of_the_classes_that_occur():
    rng = np.random.default_rng(0)
    y, predicted = rng.choice([0, 1, 3, 4], 40), rng.integers(5, size=40)
    expected = by_loop(y, predicted)
    whole = balanced_accuracy([evidence(predicted.tolist(), y.tolist())])
    assert whole == pytest.approx(expected)
    parts = [
        evidence(predicted[at : at + 7].tolist(), y[at : at + 7].tolist()) for at in range(0, 40, 7)
    ]
    assert balanced_accuracy(parts) == pytest.approx(expected)
    assert whole != pytest.approx((y == predicted).mean())


def by_loop(y, predicted):
    recalls = [
        sum(p == label for p, given in zip(predicted, y, strict=True) if given == label)
        / sum(given == label for given in y)
        for label in sorted(set(y.tolist()))
    ]
    return sum(recalls) / len(recalls)


def module_of(value):
    module = nn.BatchNorm1d(1)
    with torch.no_grad():
        module.weight.fill_(value)
        module.running_mean.fill_(10 * value)
    module.register_buffer("seen", torch.tensor(100 * value), persistent=False)
    return module


def test_the_first_of_equal_epochs_stays():
    best, module = BestEpoch(), module_of(0.0)
    assert (best.score, best.epoch, best.state) == (-math.inf, 0, None)
    for epoch, score in enumerate([0.5, 0.7, 0.7, 0.6], start=1):
        module = module_of(float(epoch))
        best.hear(module, score, epoch)
    assert (best.score, best.epoch) == (0.7, 2)
    best.restore(module)
    assert module.weight.item() == 2.0
    assert module.running_mean.item() == 20.0  # buffers too
    assert module.seen.item() == 200.0  # and those that no state dict has


def test_what_is_kept_is_a_copy():
    best, module = BestEpoch(), module_of(1.0)
    best.hear(module, 1.0, 1)
    with torch.no_grad():
        module.weight.fill_(5.0)
    best.restore(module)
    assert module.weight.item() == 1.0


def test_without_an_epoch_nothing_is_restored():
    module = module_of(3.0)
    BestEpoch().restore(module)
    assert module.weight.item() == 3.0


# In a fit.


class States(Callback):
    """Keeps what the module was at the end of each epoch, and what it scores on some rows."""

    def __init__(self, X, y):
        self.X, self.y, self.states, self.scores = X, y, [], []

    def on_epoch_end(self, net, **kwargs):
        self.states.append(copy.deepcopy(net.module_.state_dict()))
        with torch.no_grad():
            found = net.module_(torch.as_tensor(self.X, dtype=torch.float32)).argmax(dim=1)
        self.scores.append(balanced_accuracy_score(self.y, found.numpy()))


def noisy(seed=0):
    data = blobs(seed=seed)
    return data._replace(y=np.where(np.arange(48) % 5 < 2, (data.y + 1) % 3, data.y))


@pytest.mark.parametrize("weighting", ["class", "uniform"])
@pytest.mark.parametrize("seed", range(3))
def test_a_fit_keeps_the_first_of_the_best_epochs(weighting, seed):
    data = noisy(seed)
    states = States(data.X_meta, data.y_meta)
    net = quick(
        Net,
        weighting=weighting,
        max_epochs=12,
        batch_size=6,
        lr=1.0,
        random_state=seed,
        keep_best=True,
        callbacks=[("states", states)],
    ).fit(*data)
    assert net.history[:, "keep_best_score"] == pytest.approx(states.scores)
    best = int(np.argmax(states.scores))
    for name, value in net.module_.state_dict().items():
        assert torch.equal(value, states.states[best][name])
    assert len(set(states.scores)) > 1


def test_the_last_epoch_stays_unless_asked():
    data = noisy()
    states = States(data.X_meta, data.y_meta)
    net = quick(Net, max_epochs=6, lr=1.0, callbacks=[("states", states)]).fit(*data)
    for name, value in net.module_.state_dict().items():
        assert torch.equal(value, states.states[-1][name])
    assert "keep_best_score" not in net.history[0]
