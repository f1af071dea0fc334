"""The learning rate over calls of fit and partial_fit."""

import math

import pytest
import torch
from skorch.callbacks import Callback
from torch.optim.lr_scheduler import StepLR

from cases import batch, seeded, tanh_mlp
from skgdw import GDWClassifier
from skgdw._training._schedule import FitSchedule

EPOCHS = 4
COSINE = [0.1 * (1 + math.cos(math.pi * k / EPOCHS)) / 2 for k in range(EPOCHS)]


class Rates(Callback):
    """Remembers the rate of each batch."""

    def initialize(self):
        self.seen = []
        return self

    def on_batch_begin(self, net, training=False, **kwargs):
        if training:
            self.seen.append(net.optimizer_.param_groups[0]["lr"])


def data():
    X, y = batch((4,), 0, n_rows=12)
    return X.float().numpy(), y.numpy()


def classifier(**kwargs):
    return GDWClassifier(
        seeded(tanh_mlp),
        weighting="uniform",
        max_epochs=EPOCHS,
        batch_size=12,
        lr=0.1,
        verbose=0,
        callbacks=[("rates", Rates())],
        random_state=0,
        **kwargs,
    )


def seen_in(clf):
    return dict(clf.callbacks_)["rates"].seen


@pytest.mark.parametrize("warm_start", [False, True])
def test_every_fit_runs_the_cosine_from_the_start(warm_start):
    clf = classifier(warm_start=warm_start)
    for _ in range(2):
        clf.fit(*data())
        assert seen_in(clf)[-EPOCHS:] == pytest.approx(COSINE)


def test_partial_fit_stays_at_the_base_rate():
    clf = classifier()
    for _ in range(2):
        clf.partial_fit(*data())
    assert seen_in(clf) == [0.1] * (2 * EPOCHS)


def test_partial_fit_after_fit_returns_to_the_base_rate():
    clf = classifier().fit(*data())
    clf.partial_fit(*data())
    assert seen_in(clf) == pytest.approx([*COSINE, *[0.1] * EPOCHS])


def test_another_policy():
    schedule = FitSchedule(StepLR, step_size=2, gamma=0.5)
    clf = classifier(callbacks__lr_schedule=schedule).fit(*data())
    assert seen_in(clf) == pytest.approx([0.1, 0.1, 0.05, 0.05])


def test_groups_keep_their_own_base_rates():
    clf = classifier(optimizer__param_groups=[("2.*", {"lr": 0.4})], warm_start=True)
    for _ in range(2):
        clf.fit(*data())
    first, second = clf.optimizer_.param_groups
    assert {first["initial_lr"], second["initial_lr"]} == {0.4, 0.1}
    assert torch.tensor(clf.history[:, "train_loss"]).isfinite().all()
