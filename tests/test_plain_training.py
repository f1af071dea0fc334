"""Plain training takes any criterion, optimizer and labels, and all of a module's outputs."""

import copy

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier
from skorch.dataset import Dataset, ValidSplit
from torch import nn

from classifier_cases import Net, blobs, quick

DATA = blobs()
X, Y, X_META, Y_META = DATA
X32 = X.astype(np.float32)  # Datasets of the user's own go to the module as they are


class Pair(Net):
    """Returns logits and a hidden layer."""

    def forward(self, X):
        logits = super().forward(X)
        return logits, logits.pow(2)


class Auxiliary(nn.CrossEntropyLoss):
    """Looks at both outputs."""

    def forward(self, output, y):
        return super().forward(output[0], y) + 0.1 * output[1].mean()


class Strict(nn.CrossEntropyLoss):
    """Takes batches as they are trained on, and draws random numbers."""

    def forward(self, logits, y):
        assert len(y) <= 16
        return super().forward(logits + 1e-3 * torch.randn(()), y)


class Soft(nn.Module):
    def forward(self, logits, y):
        return nn.functional.cross_entropy(logits, y)


class SoftLabels(Dataset):
    def __getitem__(self, i):
        row, code = super().__getitem__(i)
        return row, torch.eye(3)[code]


class Ignored(Dataset):
    def __getitem__(self, i):
        row, code = super().__getitem__(i)
        return row, torch.as_tensor(-100 if i % 5 == 0 else code)


def plain(module=Net, **params):
    return quick(module, **{"weighting": "uniform", "batch_size": 16, **params})


@pytest.mark.parametrize("train_split", [None, ValidSplit(3)])
def test_a_criterion_sees_all_outputs(train_split):
    net = plain(Pair, criterion=Auxiliary, train_split=train_split).fit(X, Y)
    assert np.isfinite(net.history[-1, "train_loss"])
    assert net.predict(X).shape == Y.shape
    assert isinstance(net.forward(X), tuple)


def test_cross_entropy_takes_the_first_of_several_outputs():
    one, two = plain(Net).fit(X, Y), plain(Pair).fit(X, Y)
    assert one.history[:, "train_loss"] == two.history[:, "train_loss"]


def test_other_criteria_are_not_asked_for_single_rows():
    before = torch.random.get_rng_state()
    net = plain(criterion=Strict).fit(X, Y)
    assert torch.equal(torch.random.get_rng_state(), before)
    ledger = net.row_ledger_
    assert np.isnan(ledger["last_loss"]).all()
    assert np.isnan(ledger["mean_given_probability"]).all()
    assert (ledger["times_seen"] == net.max_epochs).all()


def test_smoothed_labels_have_losses_of_their_own():
    net = plain(criterion__label_smoothing=0.1, max_epochs=1, lr=0.0, batch_size=-1).fit(X, Y)
    assert net.row_ledger_["last_loss"].mean() == pytest.approx(net.history[0, "train_loss"])


def test_labels_that_are_no_codes_train():
    net = plain(criterion=Soft, dataset=SoftLabels).fit(X32, Y)
    assert np.isfinite(net.history[-1, "train_loss"])
    assert (net.row_ledger_["times_seen"] == 0).all()


def test_labels_that_torch_ignores_have_no_probability():
    net = plain(dataset=Ignored).fit(X32, Y)
    unknown = np.isnan(net.row_ledger_["mean_given_probability"])
    assert (unknown == (np.arange(len(Y)) % 5 == 0)).all()


@pytest.mark.parametrize("options", [{}, {"line_search_fn": "strong_wolfe"}])
def test_optimizers_that_ask_for_losses_step_as_under_skorch(options):
    torch.manual_seed(0)
    module, told = Net(), {f"optimizer__{name}": value for name, value in options.items()}
    told |= {"optimizer": torch.optim.LBFGS, "batch_size": 16, "max_epochs": 2, "lr": 0.1}
    theirs = NeuralNetClassifier(
        copy.deepcopy(module), criterion=nn.CrossEntropyLoss, train_split=None, verbose=0, **told
    )
    theirs.fit(X32, Y)
    told |= {"iterator_train__shuffle": False, "callbacks__lr_schedule": None}
    net = plain(module, **told).fit(X32, Y)
    assert net.history[:, "train_loss"] == pytest.approx(theirs.history[:, "train_loss"], abs=0)
    assert np.array_equal(net.forward(X32), theirs.forward(X32))


def test_optimizers_that_ask_for_losses_fine_tune_too():
    told = {"optimizer": torch.optim.LBFGS, "optimizer__max_iter": 4, "lr": 0.5}
    net = plain(fine_tune=True, max_epochs=1, **told).fit(*DATA)
    assert net.score(X, Y) > 0.9
