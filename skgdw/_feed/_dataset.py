"""Rows that are handed out as whole batches, by index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from skorch.dataset import Dataset as SkorchDataset
from torch import Tensor


class Batch(tuple):
    """The pair (X, y) that skorch and its callbacks expect, knowing its rows.

    Attributes
    ----------
    rows : Tensor of shape (n,) or None
        Where the rows stand in the arrays given to ``fit``.
    """

    rows: Tensor | None

    def __new__(cls, X: Any, y: Any = None, rows: Tensor | None = None) -> Batch:
        """Make the pair; from an iterable of two as torch does where it rebuilds tuples."""
        X, y = X if y is None else (X, y)
        batch = super().__new__(cls, (X, y))
        batch.rows = rows
        return batch

    def split(self, sizes: list[int]) -> Iterator[Batch]:
        """Yield the parts of these sizes, as views."""
        X, y = self
        if isinstance(X, Mapping):
            values = zip(*(value.split(sizes) for value in X.values()), strict=True)
            parts: Any = (dict(zip(X, value, strict=True)) for value in values)
        else:
            parts = X.split(sizes)
        rows = [None] * len(sizes) if self.rows is None else self.rows.split(sizes)
        return map(Batch, parts, y.split(sizes), rows)

    def __getnewargs__(self) -> tuple[Any, ...]:
        return (*self, self.rows)


def take(X: Any, rows: Any) -> Any:
    """Take rows of a tensor or of every tensor in a mapping."""
    if isinstance(X, Mapping):
        return {name: value[rows] for name, value in X.items()}
    return X[rows]


def n_rows(X: Any) -> int:
    """Count the rows of a tensor or of a mapping of tensors."""
    return len(next(iter(X.values()))) if isinstance(X, Mapping) else len(X)


class RowDataset(SkorchDataset):
    """Tensors whose rows are handed out a batch at a time.

    Parameters
    ----------
    X : Tensor of shape (n, ...), or mapping of str to such tensors
    y : Tensor of shape (n,), optional
        Class codes; zeros where there are none, as in prediction.
    rows : Tensor of shape (n,), optional
        Where the rows stand in the arrays given to ``fit``; default ``0 .. n - 1``.
    """

    def __init__(self, X: Any, y: Tensor | None = None, rows: Tensor | None = None) -> None:
        self.X = X
        self.y = torch.zeros(n_rows(X), dtype=torch.int64) if y is None else y
        self.rows = torch.arange(n_rows(X)) if rows is None else rows

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: Any) -> Batch:
        return Batch(take(self.X, index), self.y[index], self.rows[index])

    def __getitems__(self, indices: Any) -> Batch:
        return self[torch.as_tensor(indices)]

    def to(self, device: torch.device) -> RowDataset:
        """Return the dataset with its tensors on that device."""
        X = self.X
        if isinstance(X, Mapping):
            X = {name: value.to(device) for name, value in X.items()}
        else:
            X = X.to(device)
        return RowDataset(X, self.y.to(device), self.rows.to(device))

    def n_bytes(self) -> int:
        """Return what X takes in memory."""
        parts = self.X.values() if isinstance(self.X, Mapping) else [self.X]
        return sum(part.nbytes for part in parts)

    def subset(self, indices: Any) -> RowDataset:
        """Return the dataset of some of the rows, in the given order."""
        batch = self[torch.as_tensor(indices)]
        return RowDataset(batch[0], batch[1], batch.rows)
