"""Row numbers, kept through Datasets and collate functions of the user's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import index as as_index
from typing import Any, NamedTuple

import torch
from numpy import ndarray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset, default_collate, default_convert

from skgdw._feed._dataset import Batch, RowDataset, Together, explain_places
from skgdw._feed._places import Collated

_DEFAULTS = (default_collate, default_convert)


def rows_of(dataset: Dataset[Any], X: object, rows: ndarray) -> Tensor | None:
    """Return where the rows of a training dataset stand in what ``fit`` was given.

    Parameters
    ----------
    dataset : Dataset
        Made of `X`, or `X` itself, or a part of that: a Subset, or a Subset of one.
    X : ndarray, mapping or Dataset
        The training rows.
    rows : ndarray of shape (len(X),)
        Where they stand.

    Returns
    -------
    Tensor of shape (len(dataset),) or None
        None for a dataset that was made in another way: nobody knows its rows then.
    """
    if dataset is not X and isinstance(dataset, Subset):
        whole = rows_of(dataset.dataset, X, rows)
        return None if whole is None else whole[torch.as_tensor(dataset.indices)]
    if dataset is not X and (isinstance(X, Dataset) or len(dataset) != len(rows)):  # type: ignore[arg-type]
        return None
    return torch.as_tensor(rows)


class Fetched(NamedTuple):
    """Samples on their way to the collate function, and where they stand."""

    samples: Any
    rows: Tensor | None


class Numbered(Dataset[Any]):
    """A Dataset of the user's whose batches know their rows.

    Only batches do: to everyone else it is the user's Dataset, with its items and attributes, which
    may be set as well, and its class where ``isinstance`` asks: loaders, samplers and workers look
    at the dataset that they are given.

    Parameters
    ----------
    dataset : Dataset
    rows : Tensor of shape (n,)
        Where its items stand in what ``fit`` was given.
    """

    # Names that hide none of the user's.
    numbered_dataset: Dataset[Any]
    numbered_rows: Tensor

    def __init__(self, dataset: Dataset[Any], rows: Tensor) -> None:
        vars(self).update(numbered_dataset=dataset, numbered_rows=rows)

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return type(self.numbered_dataset)

    def __reduce__(self) -> tuple[type, tuple[Dataset[Any], Tensor]]:
        # What copying and pickling do else would take the class above for the one to make.
        return Numbered, (self.numbered_dataset, self.numbered_rows)

    def __len__(self) -> int:
        return len(self.numbered_dataset)  # type: ignore[arg-type]

    def __getitem__(self, index: Any) -> Any:
        return self.numbered_dataset[index]

    def __getitems__(self, indices: Sequence[int]) -> Fetched:
        dataset = self.numbered_dataset
        fetch = getattr(dataset, "__getitems__", None)
        try:
            samples = fetch(indices) if fetch else [dataset[index] for index in indices]
        except IndexError as error:
            explain_places(indices, len(self), error)
            raise
        # One that leaves samples out does not say which; a pair of arrays is a batch already.
        is_batch = not isinstance(samples, list) or any(
            isinstance(each, Tensor | ndarray) for each in samples[:1]
        )
        is_whole = is_batch or len(samples) == len(indices)
        return Fetched(samples, self._numbers(indices) if is_whole else None)

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):  # protocols that are not ours to have
            raise AttributeError(name)
        return getattr(self.numbered_dataset, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self.numbered_dataset, name, value)

    def _numbers(self, indices: Sequence[int]) -> Tensor | None:
        try:  # a sampler may give keys, or pairs with more than an index
            return self.numbered_rows[[as_index(index) for index in indices]]
        except (TypeError, IndexError):
            return None


class NumberedCollate:
    """A collate function of the user's; what it makes of samples is told their rows.

    Parameters
    ----------
    function : callable
        From a list of samples to a batch. It sees plain samples. A pair that it returns becomes
        a `Batch`, anything else is left as it is.
    """

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def __call__(self, fetched: object) -> object:
        """Collate samples of a `RowDataset` or of a `Numbered`; others get no numbers."""
        trusted = None
        if isinstance(fetched, Together):
            samples, rows, trusted = [*fetched], fetched.batch.rows, fetched.batch.trusted
        elif isinstance(fetched, Fetched):
            samples, rows = fetched
        else:
            return self.function(fetched)
        if self.function in _DEFAULTS:
            batch = self.function(samples)
            return Batch(batch, None, rows, trusted) if _is_pair(batch) else batch
        collated = Collated(self.function, samples)
        if not _is_pair(collated.batch):
            return collated.batch  # skorch says what is wrong with it
        places = None if rows is None else collated.places()
        if rows is None or places is None:
            return Batch(collated.batch, None)
        trusted = None if trusted is None else trusted[places]
        return Batch(collated.batch, None, rows[places], trusted)


def _is_pair(batch: object) -> bool:
    return isinstance(batch, tuple | list) and len(batch) == 2


def as_is(fetched: Together) -> Batch:
    """Return the batch: whole rows of tensors need no collating."""
    return fetched.batch


def keep_numbers(loader: DataLoader[Any]) -> None:
    """Have a loader's batches know their rows, where its dataset is ours or `Numbered`.

    The function is taken from the finished loader: a subclass may have brought its own.
    """
    dataset, function = loader.dataset, loader.collate_fn
    if isinstance(dataset, RowDataset) and function in _DEFAULTS:
        loader.collate_fn = as_is
    elif isinstance(dataset, RowDataset | Numbered):
        loader.collate_fn = NumberedCollate(function)
