"""The steps before the first weighted one: copies of the network that miss other rows."""

import copy
import logging

import pytest
import torch
from skorch.callbacks import LRScheduler
from skorch.dataset import Dataset as PlainDataset
from torch import nn
from torch.optim.lr_scheduler import LinearLR

from classifier_cases import DropoutNet, blobs, quick
from skgdw.weighting import ClassPairWeighting

DATA = blobs()
N_ROWS = len(DATA[0])


class Hears(ClassPairWeighting):
    """Keeps what the networks are at the end of the warm-up; the one that stays misses `fold`."""

    def __init__(self, weight_net, n_classes=0, meta_lr=0.1, fold=0, n_networks=None):
        super().__init__(weight_net, n_classes, meta_lr, warm_up=0.5)
        self.fold, self.n_networks, self.seen = fold, n_networks, None

    def n_folds(self, n_rows):
        assert n_rows == N_ROWS
        return super().n_folds(n_rows) if self.n_networks is None else self.n_networks

    def warm_up_pull(self, evidence, fold=0):
        sent = super().warm_up_pull(evidence, fold)  # which counts the labels, but for copies
        return super().warm_up_pull(evidence, self.fold) if self.fold and not fold else sent

    def on_warm_up_end(self, survey):
        modules = [each.stateless.module for each in (survey, *survey.copies)]
        self.seen = [copy.deepcopy(module.state_dict()) for module in modules]
        super().on_warm_up_end(survey)


class Normed(nn.Module):
    """Draws random numbers and keeps averages."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3)
        )

    def forward(self, X):
        return self.layers(X)


def fitted(**params):
    schedule = LRScheduler(LinearLR, step_every="batch", start_factor=0.1, total_iters=8)
    module = params.pop("module", Normed)
    made = {"callbacks__lr_schedule": schedule, "max_epochs": 4, "batch_size": 16, **params}
    return quick(module=module, weighting=Hears, optimizer__momentum=0.9, **made).fit(*DATA)


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_copies_are_what_the_network_would_be_with_other_rows_held_out():
    networks = fitted().weighting_.seen
    assert len(networks) == 4
    for fold, network in enumerate(networks):
        alone = fitted(weighting__n_networks=1, weighting__fold=fold).weighting_.seen
        assert len(alone) == 1
        assert equal(network, alone[0])
    assert not equal(networks[1], networks[2])


def test_the_network_is_as_without_copies():
    assert equal(fitted().weighting_.seen[0], fitted(weighting__n_networks=1).weighting_.seen[0])


def test_what_a_weighting_asks_for_is_made():
    assert len(fitted(weighting__n_networks=3).weighting_.seen) == 3


def test_where_rows_have_no_numbers_there_are_no_copies():
    class Rows(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(
                zip(torch.as_tensor(DATA[0]).float(), torch.as_tensor(DATA[1]), strict=True)
            )

        def __len__(self):
            return N_ROWS

    class Known(Hears):
        def n_folds(self, n_rows):
            return 4

    X_meta, y_meta = DATA[2:]
    net = quick(weighting=Known, classes=[0, 1, 2], batch_size=16, iterator_train__shuffle=False)
    net.fit(Rows(), None, PlainDataset(X_meta.astype("float32"), y_meta), None)
    assert len(net.weighting_.seen) == 1


class NoCopy(DropoutNet):
    def __deepcopy__(self, memo):
        raise TypeError("no copies")


def test_a_module_that_cannot_be_copied_is_measured_on_one_fold(caplog):
    with caplog.at_level(logging.INFO, logger="skgdw"):
        net = fitted(module=NoCopy)
    assert len(net.weighting_.seen) == 1
    assert "Noise is measured on one fold: the module cannot be copied (no copies)" in caplog.text


class Counting(torch.optim.SGD):
    """Has something of its own, which torch does not copy."""

    def __init__(self, params, lr):
        super().__init__(params, lr)
        self.count = 0

    def step(self, closure=None):
        self.count += 1
        return super().step(closure)


def test_an_optimizer_that_loses_something_as_a_copy_is_left_alone(caplog):
    with caplog.at_level(logging.INFO, logger="skgdw"):
        net = quick(weighting=Hears, optimizer=Counting, batch_size=16).fit(*DATA)
    assert len(net.weighting_.seen) == 1
    assert net.optimizer_.count == len(net.history[0, "batches"])
    assert "copies of the optimizer lack ['count']" in caplog.text


def test_memory_that_runs_out_is_told():
    class Huge(DropoutNet):
        def __deepcopy__(self, memo):
            raise MemoryError

    with pytest.raises(MemoryError):
        fitted(module=Huge)
