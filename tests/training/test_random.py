"""The private stretch of random numbers."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from cases import CASES, batch, seeded
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
