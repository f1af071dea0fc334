"""Which rows make up a batch: orders of row numbers, cut into batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.utils.data import Sampler

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class InOrder:
    """Passes over n rows as they stand."""

    n: int

    def __len__(self) -> int:
        return self.n

    def __call__(self) -> Tensor:
        """Return the rows of the next pass."""
        return torch.arange(self.n)


@dataclass(frozen=True)
class Shuffled:
    """Passes over n rows, each in an order of its own."""

    n: int
    generator: torch.Generator

    def __len__(self) -> int:
        return self.n

    def __call__(self) -> Tensor:
        """Return the rows of the next pass."""
        return torch.randperm(self.n, generator=self.generator)


class Balanced:
    """Shuffled passes through which every class comes equally often, and evenly spread.

    A pass has about n rows, the same number of each class, in rounds of one row a class. Rows of
    small classes come again, each as often as the others of its class or once more; of large
    classes each pass draws other rows.

    Parameters
    ----------
    codes : Tensor of shape (n,)
        Class codes of the rows.
    generator : torch.Generator
        Source of the orders.
    """

    def __init__(self, codes: Tensor, generator: torch.Generator) -> None:
        self.codes, self.generator = codes, generator
        counts = class_counts(codes)
        starts = counts.cumsum(0) - counts
        rounds = torch.arange(len(codes) // len(counts)).unsqueeze(1)
        # Where, among the rows sorted by class, the rows of each round are found.
        self.places = starts + rounds % counts

    def __len__(self) -> int:
        return self.places.numel()

    def __call__(self) -> Tensor:
        """Return the rows of the next pass."""
        # Within a class the order of this pass tells which rows come, or come once more.
        rows = torch.randperm(len(self.codes), generator=self.generator)
        rows = rows[self.codes[rows].argsort(stable=True)][self.places]
        order = torch.rand(rows.shape, generator=self.generator).argsort(dim=1)
        return rows.gather(1, order).flatten()


def class_counts(codes: Tensor) -> Tensor:
    """Count the rows of each class that has some."""
    counts = torch.bincount(codes)
    return counts[counts > 0]


def make_passes(
    n: int, *, shuffle: bool, generator: torch.Generator, balance: Tensor | None = None
) -> InOrder | Shuffled | Balanced:
    """Return what gives the rows of one pass after another.

    Parameters
    ----------
    n : int
        Number of rows.
    shuffle : bool
        Whether each pass has an order of its own.
    generator : torch.Generator
        Source of the orders.
    balance : Tensor of shape (n,), optional
        Class codes of the rows, where shuffled passes are to hold every class equally often.
    """
    if not shuffle:
        return InOrder(n)
    if balance is None or len(class_counts(balance).unique()) == 1:
        return Shuffled(n, generator)
    return Balanced(balance, generator)


class RowBatches(Sampler[Tensor]):
    """Index batches of one pass over the rows, or of endless passes.

    One pass ends with a short batch, unless that would be a single row: batch statistics of
    one row do not exist, so it joins the batch before. Endless passes run into one another,
    so there is no short batch.

    Parameters
    ----------
    passes : InOrder, Shuffled or Balanced
        Gives the rows of one pass after another.
    batch_size : int
        Rows a batch, at most those of a pass.
    endless : bool, default=False
        Whether passes follow one another without end.
    device : torch.device, default=cpu
        Where the indices are wanted.
    """

    def __init__(
        self,
        passes: InOrder | Shuffled | Balanced,
        batch_size: int,
        *,
        endless: bool = False,
        device: torch.device = _CPU,
    ) -> None:
        self.passes = passes
        self.n = len(passes)
        self.batch_size = min(batch_size, self.n)
        self.endless = endless
        self.device = device

    def _order(self) -> Tensor:
        return self.passes().to(self.device)

    def _cuts(self) -> list[int]:
        cuts = [*range(0, self.n, self.batch_size), self.n]
        if self.batch_size > 1 and len(cuts) > 2 and self.n % self.batch_size == 1:
            del cuts[-2]
        return cuts

    def __len__(self) -> int:
        return len(self._cuts()) - 1

    def __iter__(self) -> Iterator[Tensor]:
        if self.endless:
            yield from self._endless()
        else:
            order, cuts = self._order(), self._cuts()
            for start, stop in pairwise(cuts):
                yield order[start:stop]

    def _endless(self) -> Iterator[Tensor]:
        ready = self._order()
        while True:
            while len(ready) < self.batch_size:
                ready = torch.cat([ready, self._order()])
            yield ready[: self.batch_size]
            ready = ready[self.batch_size :]


class ListBatches(Sampler[list[int]]):
    """Index batches as lists, for datasets that are not ours."""

    def __init__(self, batches: RowBatches) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        return (batch.tolist() for batch in self.batches)
