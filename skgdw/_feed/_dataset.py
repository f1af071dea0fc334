"""Rows that are handed out as whole batches, by index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any, TypeAlias, cast

import torch
from numpy import ndarray
from skorch.dataset import Dataset as SkorchDataset
from torch import Tensor
from torch.utils.data._utils.pin_memory import pin_memory

from skgdw._feed._layout import Inputs
from skgdw._rows import n_rows, take_rows

Indices: TypeAlias = Tensor | ndarray | Sequence[int]


class Batch(tuple):
    """The pair (X, y) that skorch and its callbacks expect, knowing its rows.

    Parameters
    ----------
    X : Inputs, or what a collate function of the user's makes of it
    y : Tensor of shape (n,)
    rows : Tensor of shape (n,), optional
    trusted : Tensor of shape (n,), optional

    Attributes
    ----------
    rows : Tensor of shape (n,) or None
        Where the rows stand in the arrays given to ``fit``.
    trusted : Tensor of shape (n,), bool, or None
        Which labels are known to be right.
    """

    rows: Tensor | None
    trusted: Tensor | None

    def __new__(
        cls,
        X: object,
        y: object = None,
        rows: Tensor | None = None,
        trusted: Tensor | None = None,
    ) -> Batch:
        """Make the pair; from an iterable of two as torch does where it rebuilds tuples."""
        X, y = cast("tuple[object, object]", X) if y is None else (X, y)
        batch = super().__new__(cls, (X, y))
        batch.rows = rows
        batch.trusted = trusted
        return batch

    def split(self, sizes: list[int]) -> Iterator[Batch]:
        """Yield the parts of these sizes, as views."""
        X, y = self
        parts: Iterator[Inputs]
        if isinstance(X, Mapping):
            values = zip(*(value.split(sizes) for value in X.values()), strict=True)
            parts = (dict(zip(X, value, strict=True)) for value in values)
        else:
            parts = X.split(sizes)
        rows = repeat(None) if self.rows is None else self.rows.split(sizes)
        trusted = repeat(None) if self.trusted is None else self.trusted.split(sizes)
        return map(Batch, parts, y.split(sizes), rows, trusted)

    def samples(self) -> list[tuple[Inputs, Tensor]]:
        """Return the rows one by one, as a collate function wants them."""
        X, y = self
        if isinstance(X, Mapping):
            columns = zip(*(value.unbind() for value in X.values()), strict=True)
            rows: Any = (dict(zip(X, values, strict=True)) for values in columns)
        else:
            rows = X.unbind()
        return list(zip(rows, y.unbind(), strict=True))

    def pin_memory(self) -> Batch:
        """Return the batch in pinned memory; torch would rebuild a tuple that cannot do this."""
        X, y, rows, trusted = map(pin_memory, (*self, self.rows, self.trusted))
        return Batch((X, y), None, rows, trusted)

    def __getnewargs__(self) -> tuple[tuple[object, ...], None, Tensor | None, Tensor | None]:
        return tuple(self), None, self.rows, self.trusted


class Together(Sequence[Any]):
    """Rows that were read at once: a list of samples for any collate function, a batch for ours.

    Parameters
    ----------
    batch : Batch
    """

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self._samples: list[tuple[Inputs, Tensor]] | None = None

    def __len__(self) -> int:
        return len(self.batch[1])

    def __getitem__(self, index: Any) -> Any:
        if self._samples is None:  # which most batches never need
            self._samples = self.batch.samples()
        return self._samples[index]


def explain_places(indices: Indices, n: int, error: IndexError) -> None:
    """Raise in place of an error where a sampler asks for rows that are not there.

    Parameters
    ----------
    indices : sequence of int, or of keys of the user's
        What it asks for.
    n : int
        Rows there are.
    error : IndexError

    Raises
    ------
    ValueError
        If it asks for rows beyond them.
    """
    try:
        places = torch.as_tensor(indices)
    except (TypeError, ValueError, RuntimeError):  # keys
        return
    outside = places[(places < -n) | (places >= n)]
    if outside.numel():
        raise ValueError(
            "`sampler` and `batch_sampler` must draw places in the rows that their loader is for, "
            f"0 to {n - 1}; got {int(outside.flatten()[0])}. Rows that `meta_mask` marks, that are "
            f"taken out as a meta set or held out by `train_split` are not among these {n}: make "
            "the sampler for the others, or leave rows out by a `sample_weight` of 0."
        ) from error


class RowDataset(SkorchDataset):
    """Tensors whose rows are handed out a batch at a time.

    Parameters
    ----------
    X : Tensor of shape (n, ...), or mapping of str to such tensors
    y : Tensor of shape (n,), optional
        Class codes; zeros where there are none, as in prediction.
    rows : Tensor of shape (n,), optional
        Where the rows stand in the arrays given to ``fit``; default ``0 .. n - 1``.
    trusted : Tensor of shape (n,), bool, optional
        Which labels are known to be right.
    """

    def __init__(
        self,
        X: Inputs,
        y: Tensor | None = None,
        rows: Tensor | None = None,
        trusted: Tensor | None = None,
    ) -> None:
        self.X = X
        self.y = torch.zeros(n_rows(X), dtype=torch.int64) if y is None else y
        self.rows = torch.arange(n_rows(X)) if rows is None else rows
        self.trusted = trusted

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: Tensor | int) -> Batch:
        trusted = None if self.trusted is None else self.trusted[index]
        return Batch(take_rows(self.X, index), self.y[index], self.rows[index], trusted)

    def __getitems__(self, indices: Indices) -> Together:
        try:
            return Together(self[torch.as_tensor(indices)])
        except IndexError as error:
            explain_places(indices, len(self), error)
            raise

    def to(self, device: torch.device) -> RowDataset:
        """Return the dataset with its tensors on that device."""
        X = self.X
        if isinstance(X, Mapping):
            X = {name: value.to(device) for name, value in X.items()}
        else:
            X = X.to(device)
        trusted = None if self.trusted is None else self.trusted.to(device)
        return RowDataset(X, self.y.to(device), self.rows.to(device), trusted)

    def n_bytes(self) -> int:
        """Return what X takes in memory."""
        parts = self.X.values() if isinstance(self.X, Mapping) else [self.X]
        return sum(part.nbytes for part in parts)

    def subset(self, indices: Indices) -> RowDataset:
        """Return the dataset of some of the rows, in the given order."""
        batch = self[torch.as_tensor(indices)]
        return RowDataset(batch[0], batch[1], batch.rows, batch.trusted)
