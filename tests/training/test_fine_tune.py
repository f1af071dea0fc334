"""Fine-tuning on a few trusted rows: the rate that is chosen, and the stage that follows."""

import copy

import numpy as np
import pytest
import torch
from sklearn.model_selection import StratifiedKFold
from skorch.callbacks import Callback
from torch import nn
from torch.utils.data import DataLoader

from cases import seeded
from classifier_cases import Net, blobs, quick
from properties import untouched
from skgdw._feed._dataset import RowDataset
from skgdw._feed._feed import Feed, Loading
from skgdw._feed._layout import Layout
from skgdw._intake._hold_out import Rows
from skgdw._training._fine_tune import BATCH_ROWS, FOLDS, SHARES, FineTuner
from skgdw._training._plan import FINE_TUNING_EPOCHS
from skgdw._training._random import RandomStream
from skgdw._training._survey import Survey
from skgdw._training.step._stateless import Stateless
from skgdw.weighting._row_loss import make_row_loss

CPU = torch.device("cpu")


def dataset(X, y):
    return RowDataset(torch.as_tensor(X, dtype=torch.float32), torch.as_tensor(y))


def feed():
    loading = Loading(DataLoader, 8)
    return Feed(dataset, loading, loading, Layout("cpu"), balance_meta=True, meta_seed=0)


def tuner_of(module, optimizer):
    survey = Survey(
        Stateless(module),
        feed(),
        None,
        None,
        make_row_loss(nn.CrossEntropyLoss(), 3),
        RandomStream(0, CPU),
    )
    return FineTuner(module, optimizer, nn.CrossEntropyLoss(), feed(), survey)


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
    optimizer = torch.optim.SGD(module.parameters(), lr=0.7, momentum=0.9, weight_decay=5e-4)
    # Memory of the training before is not taken over.
    module(torch.ones(1, 4)).sum().backward()
    optimizer.step()
    module.zero_grad()
    tuner = tuner_of(module, optimizer)
    with untouched(module):
        chosen = tuner.choose_rate(rows, base_rate=0.2, seed=seed)
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
    assert chosen == next(firsts) * 0.2
    assert len(set(scores.round(9))) > 1


def test_of_equal_rates_the_smallest_is_chosen():
    """All rates do equally well where the network is right already: none is best."""
    rows = trusted(30, noise=0.1)
    module = nn.Linear(4, 3)
    with torch.no_grad():
        module.weight.copy_(10 * torch.eye(3, 4))
        module.bias.zero_()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    assert tuner_of(module, optimizer).choose_rate(rows, 0.1, seed=0) == 0.0


def test_a_class_with_one_row_cannot_be_compared_on():
    rows = trusted(30)
    rows = Rows(rows.X[:5], np.array([0, 0, 1, 1, 2]), rows.rows[:5])
    module = network()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    assert tuner_of(module, optimizer).choose_rate(rows, 0.1, seed=0) == 0.0


# The stage.


class Watch(Callback):
    """Keeps rates and batches of each step, and the module at the end of each epoch."""

    def __init__(self):
        self.rates, self.batches, self.states = [], [], []

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        if training:
            self.rates.append(net.optimizer_.param_groups[0]["lr"])
            self.batches.append(tuple(part.clone() for part in batch))

    def on_epoch_end(self, net, **kwargs):
        self.states.append(copy.deepcopy(net.module_.state_dict()))


def noisy():
    data = blobs(n_meta=30)
    return data._replace(y=np.where(np.arange(48) % 5 < 3, (data.y + 1) % 3, data.y))


def fine_tuned(monkeypatch=None, rate=None, **options):
    watch = Watch()
    if rate is not None:
        monkeypatch.setattr(FineTuner, "choose_rate", lambda tuner, rows, base, seed: rate)
    options = {"max_epochs": 3, "batch_size": 16, "lr": 0.2, **options}
    net = quick(Net, fine_tune=True, callbacks=[("watch", watch)], **options).fit(*noisy())
    return net, watch


@pytest.mark.parametrize("weighting", ["class", "uniform"])
def test_the_stage_is_plain_training_on_the_meta_rows_from_the_best_epoch(monkeypatch, weighting):
    net, watch = fine_tuned(monkeypatch, 0.05, weighting=weighting)
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
    net, watch = fine_tuned(monkeypatch, 0.05)
    assert watch.rates[9:] == [0.05] * FINE_TUNING_EPOCHS
    (group,) = net.optimizer_.param_groups
    assert group["initial_lr"] == 0.2
    net.set_params(fine_tune=False, callbacks=None, warm_start=True)
    again = Watch()
    net.callbacks_.append(("again", again))
    data = noisy()
    net.partial_fit(data.X, data.y, X_meta=data.X_meta, y_meta=data.y_meta)
    assert set(again.rates) == {0.2}


def test_a_rate_of_zero_leaves_the_network_as_it_was(monkeypatch):
    net, watch = fine_tuned(monkeypatch, 0.0)
    best = int(np.argmax([record["keep_best_score"] for record in net.history[:3]]))
    for key, value in net.module_.state_dict().items():
        assert torch.equal(value, watch.states[best][key])


def test_the_ledger_hears_of_the_training_rows_alone(monkeypatch):
    net, _ = fine_tuned(monkeypatch, 0.05)
    assert net.row_ledger_["times_seen"].tolist() == [3] * 48
    assert np.isfinite(net.row_weights_).all()


def test_a_fit_chooses_its_rate_among_the_shares():
    net, watch = fine_tuned()
    (rate,) = set(watch.rates[9:])
    assert rate in [share * 0.2 for share in SHARES]
    again, _ = fine_tuned()
    for key, value in net.module_.state_dict().items():
        assert torch.equal(value, again.module_.state_dict()[key])
