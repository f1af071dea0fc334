"""Orders in which rows are gone through, one pass after another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import torch
from torch import Tensor


@dataclass(frozen=True)
class InOrder:
    """Passes over n rows as they stand."""

    n: int
    generator: ClassVar[None] = None

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
        # As many rounds as keep a pass at about n rows, whatever the sizes of the classes.
        rounds = torch.arange(len(codes) // len(counts)).unsqueeze(1)
        # Where, among the rows sorted by class, the rows of each round are found. Round r takes
        # row r of every class; the modulus starts a class that has run out from its front again,
        # so that no row comes twice more often than another of its class.
        self.places = starts + rounds % counts

    def __len__(self) -> int:
        return self.places.numel()

    def __call__(self) -> Tensor:
        """Return the rows of the next pass."""
        rows = torch.randperm(len(self.codes), generator=self.generator)
        # The sort must be stable: within a class the shuffled order then stands, and it tells
        # which rows come, or come once more. The sort alone would always choose the same.
        rows = rows[self.codes[rows].argsort(stable=True)][self.places]
        # The classes of a round are mixed by themselves, never rounds with one another: any
        # stretch of a pass holds the classes equally often, to one row, and so does any batch.
        order = torch.rand(rows.shape, generator=self.generator).argsort(dim=1)
        return rows.gather(1, order).flatten()


def class_counts(codes: Tensor) -> Tensor:
    """Count the rows of each class that has some."""
    counts = torch.bincount(codes)
    return counts[counts > 0]


Passes: TypeAlias = InOrder | Shuffled | Balanced


def make_passes(
    n: int, *, shuffle: bool, generator: torch.Generator, balance: Tensor | None = None
) -> Passes:
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

    Returns
    -------
    Passes
        Endless; their place can be saved.
    """
    if not shuffle:
        return InOrder(n)
    if balance is None or len(class_counts(balance).unique()) == 1:
        return Shuffled(n, generator)
    return Balanced(balance, generator)
