"""Equal `random_state` gives equal fits, in whatever way rows are given and read."""

import random
from functools import partial

import numpy as np
import pytest
import torch
from skorch.dataset import ValidSplit
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
    default_collate,
)

from classifier_cases import DropoutNet, Net, Rows, blobs, global_random_states, quick, weights
from skgdw.weighting import Weighting

X, Y, X_META, Y_META = blobs()
X, X_META = X.astype(np.float32), X_META.astype(np.float32)


def weighted():
    return WeightedRandomSampler(torch.ones(48), 48)


def own_loader(dataset, batch_size, shuffle, **options):
    return DataLoader(dataset, batch_size=batch_size, shuffle=shuffle)


def noise(shape):
    """Draw from all three global generators."""
    return random.random() + np.random.rand() + torch.rand(shape)  # noqa: NPY002


def noisy_collate(pairs):
    rows, codes = default_collate(pairs)
    return rows + 0.1 * noise(rows.shape), codes


class Noisy(Rows):
    """Changes its rows at random as it hands them out."""

    def __getitem__(self, i):
        return torch.tensor(self.rows[i]) + 0.1 * noise(4), int(self.codes[i])


OPTIONS = {
    "plain": dict,
    "weighted": lambda: {"iterator_train__sampler": weighted()},
    "random": lambda: {"iterator_train__sampler": RandomSampler(range(48), replacement=True)},
    "subset": lambda: {"iterator_train__sampler": SubsetRandomSampler(range(40))},
    "batches": lambda: {"iterator_train__batch_sampler": BatchSampler(weighted(), 8, False)},
    "partial": lambda: {"iterator_train": partial(DataLoader, sampler=weighted())},
    "meta": lambda: {"iterator_meta__sampler": WeightedRandomSampler(torch.ones(12), 12)},
    "no short batch": lambda: {"iterator_train__drop_last": True},
    "own loader": lambda: {"iterator_train": own_loader},
    "collate": lambda: {"iterator_train__collate_fn": noisy_collate},
    "split": lambda: {"train_split": ValidSplit(0.25)},
    "uneven split": lambda: {"train_split": ValidSplit(0.25, stratified=False), "keep_best": True},
    "fine-tuned": lambda: {"fine_tune": True},
    "dropout": lambda: {"module": DropoutNet},
}


def fit(options, make, start, weighting):
    torch.manual_seed(start)
    np.random.seed(start)  # noqa: NPY002 (what must not matter)
    random.seed(start)
    before = global_random_states()
    given = {"module": Net, "max_epochs": 2, "batch_size": 8, "weighting": weighting, **options}
    net = quick(**given).fit(make(X, Y), Y, make(X_META, Y_META), Y_META)
    assert global_random_states() == before
    return net


def check(options, make, weighting="class"):
    first, second = (fit(options(), make, start, weighting) for start in range(2))
    assert np.array_equal(weights(first), weights(second))
    assert first.history[:, "train_loss"] == second.history[:, "train_loss"]
    other = fit({**options(), "random_state": 1}, make, 0, weighting)
    assert not np.array_equal(weights(first), weights(other))


def as_array(rows, labels):
    return rows


@pytest.mark.parametrize("weighting", ["class", "uniform"])
@pytest.mark.parametrize("options", OPTIONS)
def test_arrays(options, weighting):
    check(OPTIONS[options], as_array, weighting)


@pytest.mark.parametrize("options", [o for o in OPTIONS if o not in ("own loader", "dropout")])
def test_datasets_that_draw(options):
    check(OPTIONS[options], Noisy)


@pytest.mark.parametrize(
    ("options", "make"), [("plain", as_array), ("collate", as_array), ("weighted", Noisy)]
)
def test_workers(options, make):
    workers = {"iterator_train__num_workers": 1, "batch_size": 16}
    first, second = (
        fit({**OPTIONS[options](), **workers}, make, start, "class") for start in range(2)
    )
    assert np.array_equal(weights(first), weights(second))


def test_class_pairs_and_validation_rows():
    def scores(start):
        torch.manual_seed(start)
        net = quick(Net, weighting="class_pair", max_epochs=3, batch_size=8, classes=[0, 1, 2])
        net.fit(Noisy(X, Y), None, Noisy(X_META, Y_META), X_val=Noisy(X[:20] + 1, Y[:20]))
        return weights(net).tolist(), net.history[:, "valid_loss"]

    assert scores(0) == scores(1)


def test_a_generator_of_the_users_goes_on_as_it_would():
    def loss(seed):
        generator = torch.Generator().manual_seed(seed)
        sampler = WeightedRandomSampler(torch.ones(48), 48, generator=generator)
        return fit({"iterator_train__sampler": sampler}, as_array, 0, "class").history[
            :, "train_loss"
        ]

    assert loss(0) == loss(0)
    assert loss(0) != loss(1)


class Drawing(Weighting):
    """Draws wherever it is asked or told something."""

    warm_up = 0.5

    def __init__(self):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.ones(()))

    def start(self, n_rows, n_classes):
        self.register_buffer("memory", torch.rand(n_rows))

    def forward(self, evidence):
        kept = 1.0 if evidence.rows is None else self.memory[evidence.rows]
        return (self.gain * kept * torch.rand(len(evidence.y))).unsqueeze(1)

    def on_warm_up_end(self, survey):
        assert len([*survey.training_rows()]) > 0
        self.memory += torch.rand(len(self.memory))

    on_epoch_end = on_warm_up_end


def test_a_weighting_draws_from_the_fits_own_numbers():
    check(dict, as_array, Drawing)
