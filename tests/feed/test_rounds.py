"""Rounds and epochs: what they give, and that they go on where they were saved."""

import io
from itertools import islice

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    SequentialSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from feed_cases import Single, Stream, dataset, loader_of, one_by_one
from properties import untouched
from skgdw._feed._loader import make_loader
from skgdw._feed._rounds import Epochs, Rounds


def through_a_file(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def values(batches):
    return [(X.tolist(), y.tolist()) for X, y in batches]


class Drawing(Single):
    """A Dataset that draws random numbers where it is read."""

    def __getitem__(self, index):
        X, y = super().__getitem__(index)
        return X + torch.rand(2), y


class Backwards:
    """An iterator of the user's that is no DataLoader."""

    def __init__(self, dataset, batch_size, shuffle):
        self.dataset, self.batch_size = dataset, batch_size

    def __iter__(self):
        rows = torch.arange(len(self.dataset)).flip(0)
        return iter([self.dataset[part] for part in rows.split(self.batch_size)])


class Last(DataLoader):
    """A subclass that iterates in a way of its own."""

    def __iter__(self):
        yield from list(islice(super().__iter__(), 3))[::-1]


def drawing(n=9):
    return torch.Generator().manual_seed(n)


def weighted(**options):
    return WeightedRandomSampler([1.0] * 9, 7, **options)


WORKERS = {"num_workers": 2}
STAYING = {"num_workers": 2, "persistent_workers": True}

# What makes a loader: fresh objects for each, as a second process would make them.
EXACT = {
    "ours": lambda: loader_of(dataset(), shuffle=True),
    "ours, endless": lambda: loader_of(dataset(), shuffle=True, endless=True),
    "ours, in order, endless": lambda: loader_of(dataset(), endless=True),
    "ours, endless, workers": lambda: loader_of(dataset(), shuffle=True, endless=True, **WORKERS),
    "ours, workers": lambda: loader_of(dataset(), shuffle=True, **WORKERS),
    "ours, workers that stay": lambda: loader_of(dataset(), shuffle=True, **STAYING),
    "collate, endless": lambda: loader_of(
        dataset(), shuffle=True, endless=True, collate_fn=one_by_one
    ),
    "Dataset, endless": lambda: loader_of(Single(), shuffle=True, endless=True),
    "Dataset, one pass": lambda: loader_of(Single(), shuffle=True),
    "drop_last": lambda: loader_of(dataset(), shuffle=True, drop_last=True),
    "drop_last, workers": lambda: loader_of(Drawing(), shuffle=True, drop_last=True, **WORKERS),
    "drop_last, workers that stay": lambda: loader_of(
        dataset(), shuffle=True, drop_last=True, **STAYING
    ),
    "sampler": lambda: loader_of(dataset(), sampler=weighted(generator=drawing())),
    "sampler in order": lambda: loader_of(dataset(), sampler=SequentialSampler(range(9))),
    "list": lambda: loader_of(Single(), sampler=[8, 1, 1, 0, 5]),
    "batch_sampler": lambda: loader_of(
        Single(), batch_sampler=BatchSampler(RandomSampler(range(9), generator=drawing()), 2, True)
    ),
}

# What cannot be known to go on exactly.
OTHERS = {
    "global generator": lambda: loader_of(dataset(), sampler=weighted()),
    "stream": lambda: loader_of(Stream()),
    "no DataLoader": lambda: loader_of(dataset(), iterator=Backwards),
    "subclass with a way of its own": lambda: loader_of(dataset(), iterator=Last),
    "sampler of the user's": lambda: loader_of(dataset(), sampler=iter([1, 2])),
    "Dataset in workers that stay": lambda: loader_of(Single(), **STAYING),
}


def is_tried(kind, n_taken, n_epochs=1):
    """Starting workers takes its time: few places with them."""
    return "workers" not in kind or (n_taken, n_epochs) in {(0, 1), (1, 1), (3, 1)}


@pytest.mark.parametrize(
    ("kind", "n_taken"), [(k, n) for k in EXACT for n in (0, 1, 2, 3, 5, 7) if is_tried(k, n)]
)
def test_resumed_rounds_give_the_rest(kind, n_taken):
    rounds, fresh = Rounds(EXACT[kind]()), Rounds(EXACT[kind]())
    values(islice(rounds, n_taken))
    state = through_a_file(rounds.state_dict())
    torch.manual_seed(5)  # nothing hangs on the global generator
    fresh.load_state_dict(state)
    assert values(islice(fresh, 8)) == values(islice(rounds, 8))
    assert rounds.is_exact


@pytest.mark.parametrize(
    ("kind", "n_epochs", "n_taken"),
    [
        (kind, n_epochs, n_taken)
        for kind in EXACT
        for n_epochs in range(3)
        for n_taken in range(3)
        if "endless" not in kind and is_tried(kind, n_taken, n_epochs)
    ],
)
def test_resumed_epochs_give_the_rest(kind, n_epochs, n_taken):
    epochs, fresh = Epochs(EXACT[kind]()), Epochs(EXACT[kind]())
    for _ in range(n_epochs):
        values(epochs)
    rest = iter(epochs) if n_taken else iter(())
    values(islice(rest, n_taken))
    fresh.load_state_dict(through_a_file(epochs.state_dict()))
    if n_taken:
        assert values(fresh) == values(rest)
    for _ in range(2):
        assert values(fresh) == values(epochs)


@given(st.data())
def test_rounds_over_our_own_orders(data):
    n, batch_size = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 20))
    options = {
        "shuffle": data.draw(st.booleans()),
        "endless": data.draw(st.booleans()),
        "batch_size": batch_size,
        "balance": data.draw(st.none() | st.just(torch.arange(n) // 7)),
    }
    n_taken = data.draw(st.integers(0, 80))
    rounds = Rounds(loader_of(dataset(n), **options))
    values(islice(rounds, n_taken))
    fresh = Rounds(loader_of(dataset(n), seed=1, **options))
    fresh.load_state_dict(through_a_file(rounds.state_dict()))
    assert values(islice(fresh, 40)) == values(islice(rounds, 40))
    assert rounds.is_exact


def test_states_of_one_place_are_equal():
    """However much was gathered ahead: the place is that of the batch handed out."""
    states = []
    for options in ({}, {"num_workers": 0}, WORKERS):
        rounds = Rounds(loader_of(dataset(), shuffle=True, endless=True, **options))
        values(islice(rounds, 5))
        states.append(rounds.state_dict())
    for state in states:
        assert state["n_rounds"] == 1
        assert (state["cursor"]["n"], state["cursor"]["position"]) == (9, 2)
        assert torch.equal(state["cursor"]["generator"], states[0]["cursor"]["generator"])
    # So a fit with workers can be gone on with without.
    fresh = Rounds(loader_of(dataset(), shuffle=True, endless=True))
    fresh.load_state_dict(states[-1])
    assert values(islice(fresh, 4)) == values(islice(rounds, 4))


def test_numbers_drawn_in_workers_are_drawn_again_with_their_round():
    def drawn(rounds, n):
        return [X.tolist() for X, _ in islice(rounds, n)]

    rounds = Rounds(EXACT["drop_last, workers"]())
    fresh = Rounds(EXACT["drop_last, workers"]())
    drawn(rounds, 3)
    fresh.load_state_dict(rounds.state_dict())
    assert drawn(fresh, 4) == drawn(rounds, 4)
    # In an endless order the rows are right, and the numbers others.
    assert not Rounds(loader_of(Drawing(), endless=True, **WORKERS)).is_exact
    assert Epochs(loader_of(Drawing(), **WORKERS)).is_exact


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("feed", [Rounds, Epochs])
def test_what_is_not_known_is_said(kind, feed):
    assert not feed(OTHERS[kind]()).is_exact


@pytest.mark.parametrize("kind", ["stream", "no DataLoader", "subclass with a way of its own"])
def test_other_loaders_go_on_by_count(kind):
    rounds, fresh = Rounds(OTHERS[kind]()), Rounds(OTHERS[kind]())
    values(islice(rounds, 4))
    fresh.load_state_dict(through_a_file(rounds.state_dict()))
    assert values(islice(fresh, 5)) == values(islice(rounds, 5))


def test_rounds_are_gone_through_again():
    rounds = Rounds([1, 2, 3])
    assert list(islice(rounds, 7)) == [1, 2, 3, 1, 2, 3, 1]
    assert rounds.state_dict() == {"n_rounds": 3, "generators": [], "n_taken": 1}


@pytest.mark.parametrize("loader", [[], iter([1, 2])])
def test_rounds_without_a_batch(loader):
    rounds = Rounds(loader, "iterator_own")
    with pytest.raises(ValueError, match="`iterator_own` must give batches in every round"):
        list(rounds)
    with pytest.raises(ValueError, match="sampler that can be gone through again and again"):
        next(rounds)


def test_rounds_and_epochs_leave_the_global_random_state_alone():
    data = TensorDataset(torch.zeros(9, 2), torch.zeros(9))
    with untouched():
        for options in ({"endless": True, "shuffle": True}, {"drop_last": True, "shuffle": True}):
            rounds, fresh = Rounds(loader_of(data, **options)), Rounds(loader_of(data, **options))
            list(islice(rounds, 4))
            fresh.load_state_dict(rounds.state_dict())
            list(islice(fresh, 4))


def test_epochs_are_those_of_the_loader():
    epochs, loader = (make(loader_of(dataset(), shuffle=True)) for make in (Epochs, list))
    assert len(epochs) == len(loader)
    assert values(epochs) == values(loader)
    assert values(epochs) != values(loader)  # the next pass


def test_an_epoch_that_was_broken_off_is_followed_by_the_next():
    epochs, loader = Epochs(loader_of(dataset(), shuffle=True)), loader_of(dataset(), shuffle=True)
    for either in (epochs, loader):
        next(iter(either))
    assert values(epochs) == values(loader)


@pytest.mark.parametrize(
    ("saved", "resumed", "found"),
    [
        ("ours", "drop_last", "batches in an order of a user's own"),
        ("drop_last", "ours", "ours"),
        ("sampler", "list", "1 generators in place of 2"),
        ("batch_sampler", "sampler", None),
    ],
)
def test_places_in_other_loaders_are_refused(saved, resumed, found):
    rounds = Rounds(EXACT[saved]())
    values(islice(rounds, 4))
    other = Rounds(EXACT[resumed]())
    found = found or "a round of 2 batches, of which 4 were taken"
    with pytest.raises(ValueError, match=f"loader that is resumed; got {found}. Resume with the"):
        other.load_state_dict(rounds.state_dict())


def test_places_in_orders_of_other_rows_are_refused():
    rounds = Rounds(loader_of(dataset(8), shuffle=True))
    next(rounds)
    with pytest.raises(ValueError, match="9 rows shuffled; got that of 8 rows shuffled"):
        Rounds(EXACT["ours"]()).load_state_dict(rounds.state_dict())


def test_place_on_a_generator_of_the_users():
    """Given by `iterator_meta__generator`; a loader draws from it, and it is saved."""
    options = {"batch_size": 4, "shuffle": True, "endless": True}
    one, other = drawing(1), drawing(2)
    rounds = Rounds(make_loader(DataLoader, dataset(), generator=one, **options))
    fresh = Rounds(make_loader(DataLoader, dataset(), generator=other, **options))
    values(islice(rounds, 5))
    fresh.load_state_dict(rounds.state_dict())
    assert values(islice(fresh, 5)) == values(islice(rounds, 5))
