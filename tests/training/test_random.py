"""The private stretch of random numbers."""
# ruff: noqa: NPY002 (numpy's global generator is what is held here)

import random
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from cases import CASES, batch, seeded
from classifier_cases import blobs, quick, weights
from properties import untouched
from skgdw._training._random import NullStream, RandomStream
from skgdw._training.step._plain_step import PlainStep
from skgdw.weighting._row_loss import make_row_loss

CPU = torch.device("cpu")


def drawn_from(seed, *sizes):
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(size, generator=generator) for size in sizes]


def test_stream_draws_the_numbers_of_its_seed_and_goes_on():
    stream = RandomStream(5, CPU)
    with stream.active():
        first = torch.rand(3)
    torch.rand(100)  # what happens outside does not matter
    with stream.active():
        second = torch.rand(4)
    expected = drawn_from(5, 3, 4)
    assert torch.equal(first, expected[0])
    assert torch.equal(second, expected[1])


def test_global_state_is_untouched():
    with untouched():
        stream = RandomStream(5, CPU)
        with stream.active():
            torch.rand(3)
            with stream.replay(stream.rng_state()):
                torch.rand(7)


def test_global_state_comes_back_after_an_error():
    stream = RandomStream(5, CPU)

    def fail():
        with stream.active():
            torch.rand(3)
            with stream.replay(stream.rng_state()):
                torch.rand(2)
                raise ZeroDivisionError

    with untouched(), pytest.raises(ZeroDivisionError):
        fail()
    with stream.active():
        assert torch.equal(torch.rand(4), drawn_from(5, 3, 4)[1])


def test_replay_draws_the_same_again_and_returns():
    stream = RandomStream(5, CPU)
    with stream.active():
        mark = stream.rng_state()
        first = torch.rand(3)
        for _ in range(2):
            with stream.replay(mark):
                assert torch.equal(torch.rand(3), first)
        second = torch.rand(4)
    assert torch.equal(second, drawn_from(5, 3, 4)[1])


def test_undone_draws_leave_no_trace():
    stream = RandomStream(5, CPU)
    with stream.active():
        torch.rand(3)
    with untouched():
        for _ in range(2):
            with stream.undone():
                assert torch.equal(torch.rand(4), drawn_from(5, 3, 4)[1])
    with stream.active():
        assert torch.equal(torch.rand(4), drawn_from(5, 3, 4)[1])


def test_a_still_stream_is_no_stream():
    stream = NullStream()
    with stream.active(), stream.replay(stream.rng_state()):
        first = torch.rand(3)
    assert torch.equal(first, drawn_from(0, 3)[0])  # the global numbers, as every test starts them
    assert stream.rng_state() == []


def test_streams_nest():
    outer, inner = RandomStream(1, CPU), RandomStream(2, CPU)
    with outer.active():
        before = torch.rand(3)
        with inner.active():
            within = torch.rand(5)
        after = torch.rand(4)
    assert torch.equal(torch.cat([before, after]), torch.cat(drawn_from(1, 3, 4)))
    assert torch.equal(within, drawn_from(2, 5)[0])


def test_a_saved_state_goes_on_where_it_was():
    stream, other = RandomStream(0, CPU), RandomStream(1, CPU)
    drawn_in(stream, 5)
    other.load_state_dict(stream.state_dict())
    assert torch.equal(drawn_in(other, 3), drawn_in(stream, 3))


def test_of_a_state_of_two_devices_the_part_of_the_cpu_is_taken():
    stream, other = RandomStream(0, CPU), RandomStream(1, CPU)
    (cpu,) = stream.state_dict()
    other.load_state_dict([cpu, torch.zeros(16, dtype=torch.uint8)])
    assert torch.equal(drawn_in(other, 3), drawn_in(stream, 3))
    other.load_state_dict([])  # nothing known: it goes on as it would have
    assert torch.equal(drawn_in(other, 3), drawn_in(stream, 3))


def drawn_in(stream, n):
    with stream.active():
        return torch.rand(n)


class Slow(nn.Module):
    """Gives other threads time to step in between."""

    def forward(self, X):
        time.sleep(1e-3)
        return X


def untrained(seed):
    module = seeded(CASES["dropout"].make, seed)
    module.insert(2, Slow())
    return module


def train(module, seed):
    """Train a net with dropout for some steps and return its parameters."""
    X, y = batch((4,), seed)
    stream = RandomStream(seed, CPU)
    loss = nn.CrossEntropyLoss()
    step = PlainStep(module, lambda z, y, X: loss(z, y), make_row_loss(loss, 3), stream)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.5)
    for _ in range(20):
        optimizer.zero_grad()
        step(X.float(), y)
        optimizer.step()
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def test_threads_draw_what_they_would_draw_alone():
    seeds = (1, 2)
    alone = [train(untrained(seed), seed) for seed in seeds]
    modules = [untrained(seed) for seed in seeds]
    with untouched(), ThreadPoolExecutor(2) as pool:
        together = list(pool.map(train, modules, seeds))
    assert torch.equal(together[0], alone[0])
    assert torch.equal(together[1], alone[1])


# --- generators beside torch's -------------------------------------------------------------------


def drawn_numbers():
    return [random.random(), random.gauss(0, 1), np.random.rand(), np.random.standard_normal()]


def test_generators_beside_torch_are_held_where_a_call_draws_from_them():
    stream, other = (RandomStream(5, CPU) for _ in range(2))
    with untouched():
        stream.take_in(np.random.rand)
        other.take_in(lambda: None)
        with stream.active():
            first = drawn_numbers()
            start = stream.rng_state()
            second = drawn_numbers()
            with stream.replay(start):
                assert drawn_numbers() == second
        with stream.undone():
            third = drawn_numbers()
        with stream.active():
            assert drawn_numbers() == third
    assert len({*first, *second, *third}) == 12
    assert len(other.state_dict()) == 1
    again = RandomStream(5, CPU, beside_torch=True)
    with again.active():
        assert drawn_numbers() == first
        assert torch.equal(torch.rand(2), drawn_from(5, 2)[0])


def test_their_states_are_saved_as_tensors():
    stream, other = (RandomStream(seed, CPU, beside_torch=True) for seed in (5, 6))
    with stream.active():
        drawn_numbers()[:1]
        random.gauss(0, 1)  # which keeps a second number back
    saved = stream.state_dict()
    assert all(isinstance(state, torch.Tensor) for state in saved)
    with stream.active():
        expected = drawn_numbers()
    other.load_state_dict(saved)
    with other.active():
        assert drawn_numbers() == expected


class Moody(nn.Module):
    """Draws from generators beside torch's, at every training pass and as it is built."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(4, 3), nn.Linear(4, 3)
        self.start = float(np.random.rand())

    def forward(self, X):
        part = self.one(X) + self.start
        if self.training and np.random.rand() + random.random() < 1:
            return part
        return part + self.two(X)


@pytest.mark.parametrize("weighting", ["class_pair", "class", "uniform"])
def test_modules_that_draw_from_them_are_seeded_too(weighting):
    params = {"weighting": weighting, "max_epochs": 3, "batch_size": 12}
    with untouched():
        first = weights(quick(Moody, **params).fit(*blobs()))
    random.seed(1)
    np.random.seed(1)
    assert np.array_equal(first, weights(quick(Moody, **params).fit(*blobs())))


def test_a_bit_generator_that_numpy_was_given_is_left_alone():
    before = np.random.get_bit_generator()
    np.random.set_bit_generator(np.random.PCG64(1))
    try:
        first = quick().fit(*blobs())
        expected = np.random.PCG64(1).random_raw()
        assert np.random.get_bit_generator().random_raw() == expected
    finally:
        np.random.set_bit_generator(before)
    assert np.array_equal(weights(first), weights(quick().fit(*blobs())))
