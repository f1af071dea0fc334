"""Which rows make up a batch: orders of row numbers, cut into batches."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor
from torch.utils.data import Sampler

_CPU = torch.device("cpu")


class RowBatches(Sampler[Tensor]):
    """Index batches of one pass over the rows, or of endless passes.

    One pass ends with a short batch, unless that would be a single row: batch statistics of
    one row do not exist, so it joins the batch before. Endless passes run into one another,
    so there is no short batch.

    Parameters
    ----------
    n : int
        Number of rows.
    batch_size : int
        Rows a batch.
    shuffle : bool
        Whether each pass has an order of its own.
    generator : torch.Generator
        Source of the orders.
    endless : bool, default=False
        Whether passes follow one another without end.
    device : torch.device, default=cpu
        Where the indices are wanted.
    """

    def __init__(
        self,
        n: int,
        batch_size: int,
        *,
        shuffle: bool,
        generator: torch.Generator,
        endless: bool = False,
        device: torch.device = _CPU,
    ) -> None:
        self.n = n
        self.batch_size = min(batch_size, n)
        self.shuffle = shuffle
        self.generator = generator
        self.endless = endless
        self.device = device

    def _order(self) -> Tensor:
        if self.shuffle:
            order = torch.randperm(self.n, generator=self.generator)
        else:
            order = torch.arange(self.n)
        return order.to(self.device)

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
