"""Random numbers for what draws from global generators as rows are read: the same for a seed."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from skgdw._feed._loader import RowLoader
from skgdw._rows import GLOBAL_STATES

_END = object()


@contextmanager
def seeded(*key: int) -> Iterator[None]:
    """Have Python's, numpy's and torch's global numbers follow from a key inside the block.

    Samplers without a generator, Datasets, collate functions and splits draw from them. Afterwards
    they are the caller's again, as they were.
    """
    with GLOBAL_STATES:
        before = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
        first, second, third = np.random.SeedSequence(key).generate_state(3).tolist()
        random.seed(first)
        np.random.seed(second)  # noqa: NPY002 (the global one is what is drawn from)
        torch.default_generator.manual_seed(third)
        try:
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])  # noqa: NPY002
            torch.set_rng_state(before[2])


class Draws:
    """Stretches of global random numbers, one for each time that rows are read.

    Parameters
    ----------
    *key : int
        What their numbers follow from, beside the count.
    """

    def __init__(self, *key: int) -> None:
        self.key, self.count = key, 0

    @contextmanager
    def next(self) -> Iterator[None]:
        """Draw from the next stretch inside the block."""
        self.count += 1
        with seeded(*self.key, self.count):
            yield


class Drawn:
    """A loader that gives the same batches each time, whatever the global generators are at.

    Parameters
    ----------
    loader : iterable
    *key : int
        As of `Draws`.
    """

    def __init__(self, loader: Iterable[Any], *key: int) -> None:
        self.loader, self.key = loader, key

    def __iter__(self) -> Iterator[Any]:
        draws = Draws(*self.key)
        with draws.next():
            batches = iter(self.loader)
        while True:
            with draws.next():
                batch = next(batches, _END)
            if batch is _END:
                return
            yield batch


def drawn(loader: Iterable[Any], *key: int) -> Iterable[Any]:
    """Return a loader whose batches follow from a key; our own draw from no global generator."""
    return loader if isinstance(loader, RowLoader) else Drawn(loader, *key)
