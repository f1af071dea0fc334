"""The iterable of a dataset's batches: with a DataLoader where its options are wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from skgdw._feed._dataset import Batch, RowDataset
from skgdw._feed._orders import ListBatches, RowBatches, make_passes

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

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        # A DataLoader draws a seed for its workers first: the orders are to be the same.
        torch.empty((), dtype=torch.int64).random_(generator=self.generator)
        batches = iter(self.batches)
        row_bytes = max(self.dataset.n_bytes() // max(len(self.dataset), 1), 1)
        fitting = _BYTES_AT_ONCE // (row_bytes * self.batches.batch_size)
        at_once = min(max(fitting, 1), _BATCHES_AT_ONCE)
        while some := list(islice(batches, at_once)):
            yield from self.dataset[torch.cat(some)].split([len(rows) for rows in some])


class _Samples(Dataset):
    """The rows of a dataset one by one, for a collate function of the user's."""

    def __init__(self, dataset: RowDataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Batch:
        return self.dataset[index]


def _is_data_loader(iterator: Any) -> bool:
    return isinstance(iterator, type) and issubclass(iterator, DataLoader)


def _as_is(batch: Any) -> Any:
    return batch


def _place(dataset: RowDataset, device: torch.device) -> RowDataset:
    """Return the dataset on the device if it leaves enough room there."""
    if device.type != "cuda":
        return dataset
    free, _ = torch.cuda.mem_get_info(device)
    return dataset.to(device) if dataset.n_bytes() <= _SHARE_OF_DEVICE * free else dataset


def make_loader(
    iterator: Callable[..., Any],
    dataset: Any,
    *,
    batch_size: int,
    shuffle: bool,
    generator: torch.Generator,
    balance: Tensor | None = None,
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
    """
    if isinstance(iterator, partial) and _is_data_loader(iterator.func) and not iterator.args:
        kwargs = {**iterator.keywords, **kwargs}
        iterator = iterator.func
    if not _is_data_loader(iterator):
        return iterator(dataset, batch_size=batch_size, shuffle=shuffle, **kwargs)
    own = isinstance(dataset, RowDataset)
    if own and iterator is DataLoader and all(value is None for value in kwargs.values()):
        placed = _place(dataset, device)
        passes = make_passes(len(placed), shuffle=shuffle, generator=generator, balance=balance)
        batches = RowBatches(passes, batch_size, endless=endless, device=placed.y.device)
        return RowLoader(placed, batches, generator)
    loader: Any = iterator
    # The generator also feeds the loader's base seed, which else comes from the global state.
    kwargs.setdefault("generator", generator)
    if isinstance(dataset, RowDataset):
        if kwargs.get("collate_fn") is None:
            kwargs["collate_fn"] = _as_is
        else:
            dataset = _Samples(dataset)
    if isinstance(dataset, IterableDataset):
        return loader(dataset, batch_size=batch_size, **kwargs)
    if kwargs.get("batch_sampler") is not None:
        return loader(dataset, **kwargs)
    if kwargs.get("sampler") is not None:
        return loader(dataset, batch_size=batch_size, **kwargs)
    if kwargs.get("drop_last") and not endless:  # where there is no short batch to drop
        return loader(dataset, batch_size=batch_size, shuffle=shuffle, **kwargs)
    kwargs.pop("drop_last", None)
    passes = make_passes(
        len(dataset), shuffle=shuffle, generator=kwargs["generator"], balance=balance
    )
    batches = RowBatches(passes, batch_size, endless=endless)
    return loader(dataset, batch_sampler=batches if own else ListBatches(batches), **kwargs)
