"""The iterable of a dataset's batches: with a DataLoader where its options are wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from skgdw._feed._cursor import Cursor, ListBatches, RowBatches
from skgdw._feed._dataset import Batch, RowDataset
from skgdw._feed._numbers import Numbered, keep_numbers
from skgdw._feed._orders import make_passes

_CPU = torch.device("cpu")

# What several small batches are gathered into: a call then costs more than its bytes.
_BYTES_AT_ONCE, _BATCHES_AT_ONCE = 2**20, 32

# Share of a device's free memory that training rows may take.
_SHARE_OF_DEVICE = 0.5


class RowLoader:
    """Batches straight from a dataset's tensors: what a DataLoader would give, without its cost.

    Parameters
    ----------
    dataset : RowDataset
    batches : RowBatches
        Indices on the device of the dataset.
    generator : torch.Generator
        Source of their orders.
    """

    def __init__(
        self, dataset: RowDataset, batches: RowBatches, generator: torch.Generator
    ) -> None:
        self.dataset = dataset
        self.batches = batches
        self.generator = generator
        row_bytes = max(dataset.n_bytes() // max(len(dataset), 1), 1)
        fitting = _BYTES_AT_ONCE // (row_bytes * batches.batch_size)
        batches.n_ahead = min(max(fitting, 1), _BATCHES_AT_ONCE)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        # A DataLoader draws a seed for its workers first: the orders are to be the same.
        torch.empty((), dtype=torch.int64).random_(generator=self.generator)
        return self._gathered(iter(self.batches))

    def _gathered(self, cursor: Cursor) -> Iterator[Batch]:
        # The cursor runs ahead of what is handed out by all that is gathered at once.
        while some := list(islice(cursor, self.batches.n_ahead)):
            yield from self.dataset[torch.cat(some)].split([len(rows) for rows in some])


def order_of(loader: object) -> RowBatches | None:
    """Return our own order behind a loader's batches, if they come straight from one."""
    if isinstance(loader, RowLoader):
        return loader.batches
    # A subclass that iterates in a way of its own may give other batches than it asks for.
    if not isinstance(loader, DataLoader) or type(loader).__iter__ is not DataLoader.__iter__:
        return None
    sampler: object = loader.batch_sampler
    batches = sampler.batches if isinstance(sampler, ListBatches) else sampler
    return batches if isinstance(batches, RowBatches) else None


def _is_data_loader(iterator: object) -> bool:
    return isinstance(iterator, type) and issubclass(iterator, DataLoader)


def _place(dataset: RowDataset, device: torch.device) -> RowDataset:
    """Return the dataset on the device if it leaves enough room there."""
    if device.type != "cuda":
        return dataset
    free, _ = torch.cuda.mem_get_info(device)
    return dataset.to(device) if dataset.n_bytes() <= _SHARE_OF_DEVICE * free else dataset


def make_loader(
    iterator: Callable[..., Iterable[Any]],
    dataset: Dataset[Any],
    *,
    batch_size: int,
    shuffle: bool,
    generator: torch.Generator,
    balance: Tensor | None = None,
    rows: Tensor | None = None,
    endless: bool = False,
    device: torch.device = _CPU,
    **kwargs: Any,
) -> Any:
    """Return an iterable of the dataset's batches.

    A `RowDataset` is read a whole batch at a time, and without a DataLoader where none of its
    options is used: it is then placed on `device` once, for many passes. Shuffled passes hold the
    classes equally often where `balance` gives the rows' codes. What the user decides in `kwargs`
    (workers, sampler, collate function, dropping the last batch) is left to the
    DataLoader, and an iterator class that is none gets what skorch would give it.

    Batches of a DataLoader know their rows: a `RowDataset` has the numbers, and for one of another
    kind `rows` gives them, unless it is an IterableDataset.

    Returns
    -------
    iterable
        A `RowLoader`, a DataLoader, or what an iterator of another kind gives.
    """
    if isinstance(iterator, partial) and _is_data_loader(iterator.func) and not iterator.args:
        bound = {k: v for k, v in iterator.keywords.items() if k not in ("batch_size", "shuffle")}
        kwargs = {**bound, **kwargs}
        iterator = iterator.func
    if not _is_data_loader(iterator):
        made = iterator(dataset, batch_size=batch_size, shuffle=shuffle, **kwargs)
        if isinstance(made, DataLoader):  # of a function's
            keep_numbers(made)
        return made
    if isinstance(dataset, RowDataset) and iterator is DataLoader and not _has_values(kwargs):
        placed = _place(dataset, device)
        passes = make_passes(len(placed), shuffle=shuffle, generator=generator, balance=balance)
        batches = RowBatches(passes, batch_size, endless=endless, device=placed.y.device)
        return RowLoader(placed, batches, generator)
    # The generator also feeds the loader's base seed, which else comes from the global state.
    kwargs.setdefault("generator", generator)
    if not _is_ordered_by_user(dataset, kwargs, endless=endless):
        kwargs.pop("drop_last", None)
        passes = make_passes(
            len(dataset),  # type: ignore[arg-type]
            shuffle=shuffle,
            generator=kwargs["generator"],
            balance=balance,
        )
        batches = RowBatches(passes, batch_size, endless=endless)
        own = isinstance(dataset, RowDataset)
        kwargs["batch_sampler"] = batches if own else ListBatches(batches)
    elif kwargs.get("batch_sampler") is None:
        kwargs["batch_size"] = batch_size
        if kwargs.get("sampler") is None and not isinstance(dataset, IterableDataset):
            kwargs["shuffle"] = shuffle
    if rows is not None and not isinstance(dataset, RowDataset | IterableDataset):
        dataset = Numbered(dataset, rows)
    loader: Any = iterator(dataset, **kwargs)
    keep_numbers(loader)
    if (order := order_of(loader)) is not None:
        # Workers are asked for so many batches before the first of them is handed out.
        order.n_ahead = loader.num_workers * (loader.prefetch_factor or 0)
    return loader


def _has_values(kwargs: dict[str, Any]) -> bool:
    return any(value is not None for value in kwargs.values())


def _is_ordered_by_user(dataset: Dataset[Any], kwargs: dict[str, Any], *, endless: bool) -> bool:
    """Tell whether the user decides what makes up a batch."""
    if isinstance(dataset, IterableDataset):
        return True
    if kwargs.get("batch_sampler") is not None or kwargs.get("sampler") is not None:
        return True
    return bool(kwargs.get("drop_last")) and not endless  # endless: no short batch to drop
