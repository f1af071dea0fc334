"""Fine-tuning on a few trusted rows: the rate that is chosen, and the stage that follows."""

import copy
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from sklearn.model_selection import StratifiedKFold
from skorch.callbacks import Callback, Checkpoint, EarlyStopping, LRScheduler
from skorch.dataset import ValidSplit
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau
from torch.utils.data import DataLoader, Dataset

from cases import seeded
from classifier_cases import Net, blobs, quick
from properties import untouched
from resume_cases import differences, outcome
from skgdw import GDWClassifier
from skgdw._feed._dataset import RowDataset
from skgdw._feed._feed import Feed, Loading
from skgdw._feed._layout import Layout
from skgdw._intake._hold_out import Rows
from skgdw._training._fine_tune import BATCH_ROWS, FOLDS, SHARES, FineTuner
from skgdw._training._plan import FINE_TUNING_EPOCHS
from skgdw._training._precision import Precision
from skgdw._training._random import RandomStream
from skgdw._training._survey import Survey
from skgdw._training.step._stateless import Stateless
from skgdw.callbacks import Resume
from skgdw.weighting._row_loss import make_row_loss

CPU, FULL = torch.device("cpu"), Precision()


def dataset(X, y=None):
    if isinstance(X, Dataset):
        return X
    if isinstance(X, dict):
        return RowDataset({k: torch.as_tensor(v) for k, v in X.items()}, torch.as_tensor(y))
    return RowDataset(torch.as_tensor(X, dtype=torch.float32), torch.as_tensor(y))


def feed():
    loading = Loading(DataLoader, 8)
    return Feed(dataset, loading, loading, Layout("cpu"), balance_meta=True, meta_seed=0)


def cross_entropy(output, y, X):
    return nn.functional.cross_entropy(output, y)


def tuner_of(module, optimizer, *, loss=cross_entropy, precision=FULL):
    survey = Survey(
        Stateless(module, precision),
        feed(),
        None,
        None,
        make_row_loss(nn.CrossEntropyLoss(), 3),
        RandomStream(0, CPU),
    )
    return FineTuner(module, optimizer, loss, feed(), survey, nn.Module.train)


def trusted(n=40, *, noise=1.5, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    X = 2.0 * np.eye(4)[y] + noise * rng.normal(size=(n, 4))
    return Rows(X.astype(np.float32), y, np.arange(n))


def network(seed=0):
    return seeded(lambda: nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)), seed).train()


def trained_by_hand(module, rows, rate, seed, *, momentum=0.9, weight_decay=5e-4):
    """Write SGD out: velocity, decay, a constant rate."""
    module = copy.deepcopy(module)
    velocity = {}
    loader = feed().shuffled(rows, BATCH_ROWS, seed)
    for _ in range(FINE_TUNING_EPOCHS if rate else 0):
        for X, y in loader:
            module.zero_grad()
            nn.functional.cross_entropy(module(X), y).backward()
            with torch.no_grad():
                for name, p in module.named_parameters():
                    grad = p.grad + weight_decay * p
                    velocity[name] = momentum * velocity.get(name, 0.0) + grad
                    p -= rate * velocity[name]
    return module


@pytest.mark.parametrize("seed", range(4))
def test_the_rate_is_chosen_by_cross_validation(seed):
    rows, module = trusted(seed=seed), network(seed)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.2, momentum=0.9, weight_decay=5e-4)
    # A schedule is at its end, where the rate is another than it was.
    optimizer.param_groups[0].update(lr=0.7, initial_lr=0.2)
    # Memory of the training before is not taken over.
    module(torch.ones(1, 4)).sum().backward()
    optimizer.step()
    module.zero_grad()
    tuner = tuner_of(module, optimizer)
    with untouched(module):
        chosen = tuner.choose_share(rows, seed=seed)
    assert optimizer.param_groups[0]["lr"] == 0.7
    scores = np.zeros(len(SHARES))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    for fitted, held_out in folds.split(rows.X, rows.y):
        part = Rows(rows.X[fitted], rows.y[fitted], rows.rows[fitted])
        for k, share in enumerate(SHARES):
            tuned = trained_by_hand(module, part, share * 0.2, seed).eval()
            found = tuned(torch.from_numpy(rows.X[held_out])).argmax(dim=1).numpy()
            scores[k] += (found == rows.y[held_out]).mean()
    best = max(scores.round(9))
    firsts = (s for s, at in zip(SHARES, scores.round(9), strict=True) if at == best)
    assert chosen == next(firsts)
    assert len(set(scores.round(9))) > 1


def test_of_equal_rates_the_smallest_is_chosen():
    """All rates do equally well where the network is right already: none is best."""
    rows = trusted(30, noise=0.1)
    module = nn.Linear(4, 3)
    with torch.no_grad():
        module.weight.copy_(10 * torch.eye(3, 4))
        module.bias.zero_()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    assert tuner_of(module, optimizer).choose_share(rows, seed=0) == 0.0


def test_a_class_with_one_row_cannot_be_compared_on():
    rows = trusted(30)
    rows = Rows(rows.X[:5], np.array([0, 0, 1, 1, 2]), rows.rows[:5])
    module = network()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    assert tuner_of(module, optimizer).choose_share(rows, seed=0) == 0.0


def test_groups_have_a_share_of_rates_of_their_own():
    module = network()
    groups = [{"params": module[0].parameters(), "lr": 0.0}, {"params": module[2].parameters()}]
    optimizer = torch.optim.SGD(groups, lr=0.4, momentum=0.9, weight_decay=5e-4)
    tuned = tuner_of(module, optimizer)._tuned(0.25, trusted(), seed=3)
    for key, value in tuned[0].state_dict().items():
        assert torch.equal(value, module[0].state_dict()[key])
    frozen = copy.deepcopy(module)
    frozen[0].requires_grad_(False)
    optimizer = torch.optim.SGD(frozen[2].parameters(), lr=0.4, momentum=0.9, weight_decay=5e-4)
    expected = tuner_of(frozen, optimizer)._tuned(0.25, trusted(), seed=3)
    for key, value in tuned[2].state_dict().items():
        torch.testing.assert_close(value, expected[2].state_dict()[key])
    assert [group["lr"] for group in optimizer.param_groups] == [0.4]


class Two(nn.Module):
    """Takes named inputs, returns two things and the format it computes in."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, a, b):
        logits = self.layer(a + b)
        return logits, logits.new_tensor(2.0), logits.dtype


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_the_loss_is_that_of_training(dtype):
    """It hears the whole output, and the inputs."""
    rows, seen = trusted(), []
    named = rows._replace(X={"a": rows.X, "b": np.zeros_like(rows.X)})

    def loss(output, y, X):
        logits, factor, found = output
        assert X.keys() == {"a", "b"}
        assert logits.dtype == torch.float32
        seen.append(found)
        return factor * nn.functional.cross_entropy(logits, y)

    module = seeded(Two, 0)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.2)
    precision = Precision("cpu", dtype)
    tuner = tuner_of(module, optimizer, loss=loss, precision=precision)
    tuned = tuner._tuned(0.1, named, seed=0)
    assert set(seen) == {dtype or torch.float32}
    assert len(seen) == 2 * FINE_TUNING_EPOCHS
    if dtype is None:  # twice the loss is twice the rate
        expected = trained_by_hand(module.layer, rows, 2 * 0.02, 0, momentum=0, weight_decay=0)
        torch.testing.assert_close(tuned.layer.weight, expected.weight)
    assert tuner.choose_share(named, seed=0) in SHARES


class Windows(Dataset):
    """Means of five rows after another: fewer than there are rows."""

    def __init__(self, X, y=None):
        self.X, self.y = torch.as_tensor(X), y

    def __len__(self):
        return len(self.X) - 4

    def __getitem__(self, index):
        return self.X[index : index + 5].mean(dim=0), int(self.y[index])


def test_folds_are_of_items_where_a_dataset_has_fewer_than_rows():
    rows, module = trusted(), network()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.2)
    tuner = tuner_of(module, optimizer)
    windows = Windows(rows.X, rows.y)
    items = [windows[index] for index in range(len(windows))]
    X, y = torch.stack([x for x, _ in items]).numpy(), np.array([y for _, y in items])
    expected = tuner.choose_share(Rows(X, y, np.arange(len(y))), seed=0)
    made = lambda X, y=None: X if isinstance(X, Dataset) else Windows(X, y)  # noqa: E731
    of_windows = replace(tuner.feed, dataset=made)
    survey = Survey(
        tuner.survey.stateless, of_windows, None, None, tuner.survey._row_loss, RandomStream(0, CPU)
    )
    found = replace(tuner, feed=of_windows, survey=survey).choose_share(rows, seed=0)
    assert found == expected
    assert found > 0


# The stage.


class Watch(Callback):
    """Keeps rates and batches of each step, and the module at the end of each epoch."""

    def __init__(self):
        self.rates, self.batches, self.states, self.scored = [], [], [], []

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        if training:
            self.rates.append(net.optimizer_.param_groups[0]["lr"])
            self.batches.append(tuple(part.clone() for part in batch))
        else:
            self.scored.append(batch[0].numpy())

    def on_epoch_end(self, net, **kwargs):
        self.states.append(copy.deepcopy(net.module_.state_dict()))


def noisy():
    data = blobs(n_meta=30)
    return data._replace(y=np.where(np.arange(48) % 5 < 3, (data.y + 1) % 3, data.y))


def fine_tuned(monkeypatch=None, share=None, *, module=Net, callbacks=(), valid=None, **options):
    watch = Watch()
    if share is not None:
        monkeypatch.setattr(FineTuner, "choose_share", lambda tuner, rows, seed: share)
    options = {"max_epochs": 3, "batch_size": 16, "lr": 0.2, **options}
    callbacks = [("watch", watch), *callbacks]
    net = quick(module, fine_tune=True, callbacks=callbacks, **options)
    return net.fit(*noisy(), **(valid or {})), watch


@pytest.mark.parametrize("weighting", ["class", "uniform"])
def test_the_stage_is_plain_training_on_the_meta_rows_from_the_best_epoch(monkeypatch, weighting):
    net, watch = fine_tuned(monkeypatch, 0.25, weighting=weighting)
    name = "plain" if weighting == "uniform" else "weighted"
    assert net.history[:, "stage"] == [name] * 3 + ["fine_tune"] * FINE_TUNING_EPOCHS
    best = int(np.argmax([record["keep_best_score"] for record in net.history[:3]]))
    module = Net()
    module.load_state_dict(watch.states[best])
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    tuning = [b for b, rate in zip(watch.batches, watch.rates, strict=True)][9:]
    assert len(tuning) == FINE_TUNING_EPOCHS
    for X, y in tuning:
        assert len(y) == 30  # all meta rows are one batch
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(X), y).backward()
        optimizer.step()
    for key, value in net.module_.state_dict().items():
        torch.testing.assert_close(value, module.state_dict()[key], rtol=1e-4, atol=1e-6)


def test_the_rate_is_constant_and_the_base_rate_comes_back(monkeypatch):
    net, watch = fine_tuned(monkeypatch, 0.25)
    assert watch.rates[9:] == [0.05] * FINE_TUNING_EPOCHS
    (group,) = net.optimizer_.param_groups
    assert group["initial_lr"] == 0.2
    net.set_params(fine_tune=False, callbacks=None, warm_start=True)
    again = Watch()
    net.callbacks_.append(("again", again))
    data = noisy()
    net.partial_fit(data.X, data.y, X_meta=data.X_meta, y_meta=data.y_meta)
    assert set(again.rates) == {0.2}


def test_a_share_of_zero_leaves_the_network_as_it_was(monkeypatch):
    net, watch = fine_tuned(monkeypatch, 0.0)
    best = int(np.argmax([record["keep_best_score"] for record in net.history[:3]]))
    for key, value in net.module_.state_dict().items():
        assert torch.equal(value, watch.states[best][key])


def test_the_ledger_hears_of_the_training_rows_alone(monkeypatch):
    net, _ = fine_tuned(monkeypatch, 0.25)
    assert net.row_ledger_["times_seen"].tolist() == [3] * 48
    assert np.isfinite(net.row_weights_).all()


def test_a_fit_chooses_its_rate_among_the_shares():
    net, watch = fine_tuned()
    (rate,) = set(watch.rates[9:])
    assert rate in [share * 0.2 for share in SHARES]
    again, _ = fine_tuned()
    for key, value in net.module_.state_dict().items():
        assert torch.equal(value, again.module_.state_dict()[key])


SCHEDULES = {
    "of epochs": lambda: LRScheduler(LambdaLR, lr_lambda=lambda epoch: 0.9**epoch),
    "of batches": lambda: LRScheduler(
        LambdaLR, lr_lambda=lambda step: 0.9**step, step_every="batch", event_name="rate"
    ),
    "plateau": lambda: LRScheduler(
        ReduceLROnPlateau, monitor="train_loss", patience=0, threshold=9
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_of_the_users_are_silent(monkeypatch, name):
    schedule = SCHEDULES[name]()
    net, watch = fine_tuned(monkeypatch, 0.25, callbacks=[("mine", schedule)])
    assert watch.rates[9:] == [0.05] * FINE_TUNING_EPOCHS
    assert len(set(watch.rates[:9])) > 1
    if name == "of batches":
        recorded = [batch["rate"] for epoch in net.history[3:] for batch in epoch["batches"]]
    else:
        recorded = [epoch["event_lr"] for epoch in net.history[3:]]
    assert recorded == [0.05] * FINE_TUNING_EPOCHS
    # Afterwards all is as it was before the stage.
    scheduler = dict(net.callbacks_)["mine"].lr_scheduler_
    assert type(scheduler) is schedule.policy
    (group,) = net.optimizer_.param_groups
    if name == "plateau":
        assert group["lr"] < 0.2
        assert "initial_lr" not in group
    else:
        last = 9 if name == "of batches" else 3
        assert group["lr"] == pytest.approx(0.2 * 0.9**last)
        assert group["initial_lr"] == 0.2
        assert scheduler.last_epoch == last


def test_without_a_schedule_no_base_rate_stays_behind(monkeypatch):
    net, watch = fine_tuned(monkeypatch, 0.25, callbacks__lr_schedule=None)
    assert watch.rates == [0.2] * 9 + [0.05] * FINE_TUNING_EPOCHS
    (group,) = net.optimizer_.param_groups
    assert group["lr"] == 0.2
    assert "initial_lr" not in group


@pytest.mark.parametrize("schedule", [{}, {"callbacks__lr_schedule": None}])
def test_frozen_groups_stay_frozen(monkeypatch, schedule):
    frozen = {"optimizer__param_groups": [("*.0.weight", {"lr": 0.0})]}
    _, watch = fine_tuned(monkeypatch, 0.25, **frozen, **schedule)
    (first, *_, last), key = watch.states, "layers.0.weight"
    assert torch.equal(first[key], last[key])
    assert not torch.equal(first["layers.2.weight"], last["layers.2.weight"])
    assert len(watch.rates) == 9 + FINE_TUNING_EPOCHS


class Squared(GDWClassifier):
    """Takes the squares of the criterion, which no other part of it knows of."""

    heard: ClassVar[list] = []

    def get_loss(self, y_pred, y_true, X=None, training=False):
        self.heard.append(len(y_true))
        return super().get_loss(y_pred, y_true, X=X, training=training) ** 2


def test_a_loss_of_the_users_chooses_too():
    Squared.heard.clear()
    net = Squared(
        Net, weighting="uniform", fine_tune=True, max_epochs=1, verbose=0, random_state=0
    ).fit(*noisy())
    folds = Squared.heard.count(24)  # five folds of 30 rows
    assert folds == FOLDS * (len(SHARES) - 1) * FINE_TUNING_EPOCHS
    assert len(net.history) in (1, 1 + FINE_TUNING_EPOCHS)


class Probabilities(Net):
    def forward(self, X):
        return super().forward(X).softmax(dim=1)


def test_probabilities_are_trained_on_as_such():
    """Their negative logarithm is the loss, as in the stage: the two networks are one."""
    found = []
    for module, criterion in ((Net, nn.CrossEntropyLoss), (Probabilities, nn.NLLLoss)):
        _, watch = fine_tuned(module=module, criterion=criterion, weighting="uniform")
        found.append(watch.rates[9:])
    assert found[0] == found[1]
    assert found[0]


# What monitors a validation score.


def watchers(dirname):
    return [
        ("stop", EarlyStopping(patience=99)),
        ("save", Checkpoint(dirname=dirname)),
        ("plateau", LRScheduler(ReduceLROnPlateau, monitor="valid_loss")),
    ]


def test_what_was_held_out_is_scored_in_the_stage_as_well(monkeypatch, tmp_path):
    # A split that draws from the global source: asked again, it holds out other rows.
    options = {"train_split": ValidSplit(0.25), "callbacks": watchers(tmp_path)}
    net, watch = fine_tuned(monkeypatch, 0.25, **options)
    assert all("valid_loss" in epoch for epoch in net.history)
    assert len(watch.scored) == 3 + FINE_TUNING_EPOCHS
    assert all(np.array_equal(X, watch.scored[0]) for X in watch.scored)
    assert watch.scored[0].shape == (12, 4)


def test_validation_rows_are_scored_in_the_stage_as_well(monkeypatch, tmp_path):
    data = noisy()
    valid = {"X_val": data.X_meta + 0.5, "y_val": data.y_meta}
    net, watch = fine_tuned(monkeypatch, 0.25, valid=valid, callbacks=watchers(tmp_path))
    assert all("valid_loss" in epoch for epoch in net.history)
    for X in watch.scored:
        np.testing.assert_allclose(X, valid["X_val"], rtol=1e-6)


class CutOff(Callback):
    """Ends a fit as a machine would that goes down."""

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 8:
            raise OSError("down")


def test_a_stage_that_was_cut_off_goes_on_with_what_was_held_out(monkeypatch, tmp_path):
    def fit(place, *more):
        callbacks = [
            ("stop", EarlyStopping(patience=4, threshold=10, threshold_mode="abs")),
            ("mine", SCHEDULES["of epochs"]()),
            *more,
            ("resume", Resume(tmp_path / place)),
        ]
        options = {"train_split": ValidSplit(3), "max_epochs": 5, "callbacks": callbacks}
        return fine_tuned(monkeypatch, 0.25, **options)

    whole, _ = fit("whole")
    assert len(whole.history) == 10
    with pytest.raises(OSError, match="down"):
        fit("cut", ("cut", CutOff()))
    resumed, watch = fit("cut")
    assert watch.rates == [0.05] * 3
    assert differences(outcome(whole), outcome(resumed)) == []


def test_patience_begins_anew_with_the_stage(monkeypatch):
    stop = EarlyStopping("train_loss", patience=4, threshold=10, threshold_mode="abs")
    net, _ = fine_tuned(monkeypatch, 0.25, callbacks=[("stop", stop)], max_epochs=9)
    stages = net.history[:, "stage"]
    # The first epoch is the best one so far.
    assert (stages.count("weighted"), stages.count("fine_tune")) == (5, 5)


class Short(nn.Linear):
    """Returns logits of 16 bits."""

    def forward(self, X):
        return super().forward(X).bfloat16()


def test_short_logits_meet_class_weights():
    criterion = nn.CrossEntropyLoss(torch.ones(3))
    module = seeded(lambda: Short(4, 3))
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    tuner = tuner_of(module, optimizer, loss=lambda output, y, X: criterion(output, y))
    assert tuner.choose_share(trusted(12), 0) in SHARES
