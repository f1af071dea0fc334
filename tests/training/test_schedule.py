"""The learning rate over calls of fit and partial_fit."""

import math
import pickle

import pytest
import torch
from skorch.callbacks import Callback, Checkpoint, LoadInitState
from torch.optim.lr_scheduler import StepLR

from cases import batch, seeded, tanh_mlp
from skgdw import GDWClassifier
from skgdw._training._schedule import FitSchedule
from skgdw.callbacks import Resume

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


# A state that is loaded into the optimizer.


def checkpointed(tmp_path, **kwargs):
    """Return a classifier that writes its state after each epoch, and one that begins with it."""
    saves = Checkpoint(monitor=None, dirname=tmp_path)
    first, second = classifier(**kwargs), classifier(**kwargs)
    first.callbacks = [*first.callbacks, saves]
    second.callbacks = [*second.callbacks, LoadInitState(saves)]
    return first, second


@pytest.mark.parametrize("n_epochs", [2, EPOCHS])
def test_the_schedule_begins_anew_after_a_checkpoint(n_epochs, tmp_path):
    first, second = checkpointed(tmp_path)

    class Ends(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) > n_epochs:
                raise KeyboardInterrupt

    first.callbacks.append(Ends())
    first.fit(*data())
    saved = torch.load(tmp_path / "optimizer.pt", weights_only=True)["param_groups"][0]["lr"]
    assert saved == pytest.approx(COSINE[n_epochs] if n_epochs < EPOCHS else 0.0)
    second.fit(*data())
    assert seen_in(second) == pytest.approx(COSINE)
    assert seen_in(second)[0] == 0.1
    assert second.history[n_epochs:, "event_lr"] == seen_in(second)
    assert len(second.history) == n_epochs + EPOCHS  # max_epochs more


def test_it_begins_anew_in_every_group_and_under_every_policy(tmp_path):
    schedule = FitSchedule(StepLR, step_size=2, gamma=0.5)
    groups = [("2.*", {"lr": 0.4})]
    first, second = checkpointed(
        tmp_path, callbacks__lr_schedule=schedule, optimizer__param_groups=groups
    )
    first.fit(*data())
    second.fit(*data())
    assert seen_in(second) == seen_in(first) == pytest.approx([0.4, 0.4, 0.2, 0.2])
    assert second.optimizer_.param_groups[1]["lr"] == pytest.approx(0.025)


def test_all_but_the_rates_comes_with_the_state(tmp_path):
    first, second = checkpointed(tmp_path, optimizer__nesterov=True)
    first.fit(*data())

    class Looks(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if not hasattr(self, "buffers"):
                state = net.optimizer_.state_dict()["state"].values()
                self.buffers = [each["momentum_buffer"].clone() for each in state]

    looks = Looks()
    second.callbacks.append(looks)
    second.fit(*data())
    expected = first.optimizer_.state_dict()["state"]
    assert len(looks.buffers) == len(expected) > 0
    for buffer, state in zip(looks.buffers, expected.values(), strict=True):
        assert torch.equal(buffer, state["momentum_buffer"])


def test_outside_of_a_fit_a_state_brings_its_rates(tmp_path):
    first = classifier().fit(*data())
    first.optimizer_.param_groups[0]["lr"] = 0.07
    first.save_params(f_optimizer=tmp_path / "optimizer.pt")
    second = classifier().fit(*data())
    second.load_params(f_optimizer=tmp_path / "optimizer.pt")
    assert second.optimizer_.param_groups[0]["lr"] == 0.07


def test_a_training_that_was_refused_leaves_nothing_that_cannot_be_pickled(tmp_path):
    clf = classifier().fit(*data())
    clf.set_params(callbacks=[("rates", Rates()), ("resume", Resume(tmp_path))])
    with pytest.raises(ValueError, match="got `partial_fit`"):
        clf.partial_fit(*data())
    again = pickle.loads(pickle.dumps(clf))
    again.set_params(callbacks__resume=None).partial_fit(*data())
    assert seen_in(again) == [0.1] * EPOCHS
