"""All batches of one training run but those of its epochs: meta rows, trials, surveys."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from skgdw._feed._dataset import Batch, RowDataset
from skgdw._feed._draws import drawn
from skgdw._feed._layout import Inputs, Layout
from skgdw._feed._loader import make_loader
from skgdw._feed._numbers import rows_of
from skgdw._feed._rounds import Rounds
from skgdw._intake._hold_out import Rows
from skgdw._rows import take_rows

# A DataLoader class, or what stands for one.
Iterator_: TypeAlias = Callable[..., Iterable[Any]]

# Rows a pass without training takes at once.
_SURVEY_ROWS = 1024

# Who reads rows, so that no two draw the same global random numbers.
TRAIN, _META, _FIRST, _SURVEY, VALID, SPLIT = range(6)


@dataclass(frozen=True)
class Loading:
    """How the rows of one part are loaded.

    Attributes
    ----------
    iterator : callable
        A DataLoader class, or what stands for one.
    batch_size : int
        -1 for all rows.
    options : mapping of str to object
        Further arguments of the iterator.
    """

    iterator: Iterator_
    batch_size: int
    options: Mapping[str, object] = field(default_factory=dict)

    @property
    def rows_at_once(self) -> int:
        """Rows a batch; -1 stands for all of them."""
        return sys.maxsize if self.batch_size == -1 else int(self.batch_size)


@dataclass(frozen=True)
class Feed:
    """Batches of rows, placed where the module takes them.

    Parameters
    ----------
    dataset : callable
        Makes a torch Dataset of rows and class codes.
    train, meta : Loading
    layout : Layout
    balance_meta : bool
        Whether shuffled meta batches draw every class equally often.
    meta_seed : int
        Of the order of the meta rows, and of what is drawn as rows are read.
    """

    dataset: Callable[[Any, Any], Dataset[Any]]
    train: Loading
    meta: Loading
    layout: Layout
    balance_meta: bool
    meta_seed: int

    def meta_batches(self, meta: Rows) -> Rounds:
        """Return batches of meta rows without end, not placed yet."""
        size = min(self.meta.rows_at_once, len(meta.rows))
        options: dict[str, Any] = {
            "shuffle": True,
            "generator": torch.Generator().manual_seed(self.meta_seed),
            **self.meta.options,
            "batch_size": size,
        }
        dataset = self.dataset(meta.X, meta.y)
        loader = make_loader(
            self.meta.iterator,
            dataset,
            balance=torch.as_tensor(meta.y) if self._balances(dataset, meta) else None,
            endless=True,
            device=torch.device(self.layout.device or "cpu"),
            **options,
        )
        return Rounds(loader, key=(self.meta_seed, _META))

    def _balances(self, dataset: Dataset[Any], meta: Rows) -> bool:
        if not self.balance_meta or meta.y is None:
            return False
        # A class of the user's may make more or fewer items than rows: whose codes, nobody knows.
        return isinstance(dataset, IterableDataset) or len(dataset) == len(meta.y)  # type: ignore[arg-type]

    def first_training_rows(self, train: Rows, n: int) -> Batch:
        """Return the first n training rows as a batch, not placed yet."""
        return self._first(train, n, self.train)

    def first_meta_rows(self, meta: Rows, n: int) -> Batch:
        """Return the first n meta rows as a batch, not placed yet."""
        return self._first(meta, n, self.meta)

    def _first(self, rows: Rows, n: int, loading: Loading) -> Batch:
        dataset = self._of_first(rows, n)
        if dataset is None:
            loader = self._loaded(self.dataset(rows.X, rows.y), n, loading, shuffle=False, seed=0)
        elif loading.options.get("collate_fn") is None:
            return dataset[torch.arange(len(dataset))]
        else:
            loader = self._loaded(dataset, n, loading, shuffle=False, seed=0)
        return Batch(*next(iter(drawn(loader, self.meta_seed, _FIRST))))

    def _of_first(self, rows: Rows, n: int) -> RowDataset | None:
        """Return our own kind of dataset of the first n rows; None where it is the user's."""
        if isinstance(rows.X, Dataset):  # which may be read from its start, but not be sliced
            return None
        places = np.arange(min(n, len(rows.rows)))
        y = None if rows.y is None else rows.y[places]
        # Large X would be converted for a few rows. That the dataset is ours shows once it is made;
        # a class of the user's may be at a loss with few rows, and is then given all of them.
        with suppress(Exception):
            dataset = self.dataset(take_rows(rows.X, places), y)
            if isinstance(dataset, RowDataset):
                return dataset
        return None

    def batches(self, rows: Rows) -> Iterator[tuple[Inputs, Tensor, Tensor | None]]:
        """Yield rows in their order: inputs, class codes, places in what ``fit`` was given."""
        dataset = self.dataset(rows.X, rows.y)
        numbers = rows_of(dataset, rows.X, rows.rows)
        loader = self._loaded(
            dataset, _SURVEY_ROWS, self.train, shuffle=False, seed=0, rows=numbers
        )
        for batch in drawn(loader, self.meta_seed, _SURVEY):
            X, y = self.layout(batch)
            places = getattr(batch, "rows", None)
            yield X, y, None if places is None else places.to(y.device)

    def shuffled(self, rows: Rows, batch_size: int, seed: int) -> Iterable[Sequence[Any]]:
        """Return a loader of rows in a new order each time it is gone through."""
        dataset = self.dataset(rows.X, rows.y)
        return self._loaded(dataset, batch_size, self.train, shuffle=True, seed=seed)

    def _loaded(
        self,
        dataset: Dataset[Any],
        n: int,
        loading: Loading,
        *,
        shuffle: bool,
        seed: int,
        rows: Tensor | None = None,
    ) -> Iterable[Sequence[Any]]:
        loader: Iterable[Sequence[Any]] = make_loader(
            DataLoader,
            dataset,
            batch_size=n,
            shuffle=shuffle,
            generator=torch.Generator().manual_seed(seed),
            collate_fn=loading.options.get("collate_fn"),
            rows=rows,
        )
        return loader
