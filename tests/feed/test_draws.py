"""Global random numbers while rows are read follow from a key, and are the caller's afterwards."""

import random
from functools import partial

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, RandomSampler, WeightedRandomSampler

from classifier_cases import Rows, global_random_states
from feed_cases import dataset, loader_of
from skgdw._feed._draws import Drawn, Draws, drawn, seeded
from skgdw._feed._rounds import Epochs, Rounds


def numbers():
    return random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002


def test_numbers_follow_from_the_key():
    found = {}
    for start in range(2):
        torch.manual_seed(start)
        for key in [(0, 1), (0, 2), (1, 1)]:
            before = global_random_states()
            with seeded(*key):
                found.setdefault(key, []).append(numbers())
            assert global_random_states() == before
    assert all(first == second for first, second in found.values())
    assert len({first for first, _ in found.values()}) == 3


def test_an_error_gives_the_numbers_back():
    def fail():
        with seeded(0):
            raise ValueError(f"own {numbers()}")

    before = global_random_states()
    with pytest.raises(ValueError, match="own"):
        fail()
    assert global_random_states() == before


def test_stretches_differ():
    draws, again = Draws(3), Draws(3)

    def one(of):
        with of.next():
            return numbers()

    assert [one(draws) for _ in range(3)] == [one(again) for _ in range(3)]
    assert len({one(draws) for _ in range(3)}) == 3


class Noisy(Rows):
    """Draws from a global generator as it hands out a row."""

    def __getitem__(self, i):
        return torch.tensor(numbers()), int(self.codes[i])


def noisy(**options):
    return DataLoader(Noisy(np.zeros((7, 2)), np.arange(7)), batch_size=3, **options)


def read(batches):
    return [[part.tolist() for part in batch] for batch in batches]


def test_a_loader_gives_the_same_each_time():
    loader = noisy(sampler=WeightedRandomSampler(torch.ones(7), 7))
    again = Drawn(loader, 5)
    first = read(again)
    assert first == read(again) == read(Drawn(loader, 5))
    assert first != read(Drawn(loader, 6))
    own = loader_of(dataset())
    assert drawn(own, 5) is own
    assert isinstance(drawn(loader, 5), Drawn)


@pytest.mark.parametrize("taken", range(7))
@pytest.mark.parametrize(
    "options", [{}, {"sampler": RandomSampler(range(7))}], ids=["own", "sampler"]
)
def test_a_resumed_place_draws_on(options, taken):
    rounds, fresh = (Rounds(noisy(**options), key=(1, 2)) for _ in range(2))
    read(next(rounds) for _ in range(taken))
    torch.manual_seed(9)
    fresh.load_state_dict(rounds.state_dict())
    assert read(next(fresh) for _ in range(5)) == read(next(rounds) for _ in range(5))
    assert rounds.is_exact


def test_epochs_resume_between_two():
    epochs, fresh = (Epochs(noisy(sampler=RandomSampler(range(7))), (1,)) for _ in range(2))
    first = read(epochs)
    fresh.load_state_dict(epochs.state_dict())
    second = read(epochs)
    assert read(fresh) == second
    assert first != second


def test_our_own_loaders_draw_from_no_global_generator():
    make = partial(loader_of, dataset(), shuffle=True)
    assert "n_draws" not in Epochs(make(), (1,)).state_dict()
