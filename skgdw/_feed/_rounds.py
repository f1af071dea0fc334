"""Going through a loader again and again, from a place that can be saved and taken up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NotRequired, TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

from skgdw._feed._cursor import Cursor, CursorState
from skgdw._feed._draws import Draws
from skgdw._feed._loader import RowLoader, order_of
from skgdw._feed._numbers import as_is

_RANDOM_SAMPLERS = (RandomSampler, SubsetRandomSampler, WeightedRandomSampler)

_END = object()


class FeedState(TypedDict):
    """The place in a loader, in what ``torch.save`` keeps and a weights-only load reads.

    Attributes
    ----------
    n_rounds : int
        Rounds that were begun.
    cursor : CursorState
        The place in our own order, in the midst of a round.
    n_taken : int
        Batches taken in the present round, of loaders without an order of ours.
    generators : list of Tensor
        States of the loader's generators at the start of the present round, or between two.
    n_draws : list of int
        How often rows were read, at the start of the round and now, of loaders that may draw from
        global generators.
    """

    n_rounds: int
    cursor: NotRequired[CursorState]
    n_taken: NotRequired[int]
    generators: NotRequired[list[Tensor]]
    n_draws: NotRequired[list[int]]


class _Feed:
    """What `Rounds` and `Epochs` share: the place in a loader.

    Our own orders have a cursor, at which reading goes on. All other loaders are put back to the
    start of their round and skip what was taken.
    """

    # Whether reading may go on within a round of our own order, past the start of its workers.
    _enters_rounds: bool

    def __init__(self, loader: Iterable[Any], key: tuple[int, ...] | None = None) -> None:
        self.loader = loader
        is_own = key is None or isinstance(loader, RowLoader)
        self._draws = None if key is None or is_own else Draws(*key)
        self._draws_at_start = 0
        self._generators = _generators_of(loader)
        self._n_rounds = 0
        self._n_taken = 0
        self._batches: Iterator[Any] | None = None
        self._cursor: Cursor | None = None
        self._start: list[Tensor] = []

    def _begin(self) -> Iterator[Any]:
        self._start = [generator.get_state() for generator in self._generators]
        self._draws_at_start = 0 if self._draws is None else self._draws.count
        self._n_rounds += 1
        self._n_taken = 0
        with self._reading():
            self._batches = batches = iter(self.loader)
        order = order_of(self.loader)
        self._cursor = None if order is None else order.cursor
        return batches

    def _reading(self) -> AbstractContextManager[None]:
        return nullcontext() if self._draws is None else self._draws.next()

    def _next(self, batches: Iterator[Any]) -> Any:
        with self._reading():
            return next(batches, _END)

    def state_dict(self) -> FeedState:
        """Return the place after the last batch, as plain tensors and numbers."""
        state: FeedState = {"n_rounds": self._n_rounds}
        if self._draws is not None:
            state["n_draws"] = [self._draws_at_start, self._draws.count]
        if self._batches is None:
            state["generators"] = [generator.get_state() for generator in self._generators]
        elif self._cursor is not None:
            state["cursor"] = self._cursor.state_dict(self._n_taken)
        else:
            state["generators"], state["n_taken"] = self._start, self._n_taken
        return state

    def load_state_dict(self, state: FeedState) -> None:
        """Go on at the place of `state`; a loader like the one saved, and not used yet, does.

        Batches are skipped here and now: what reading them changes elsewhere, such as torch's
        global random state, is for the caller to put back afterwards.

        Raises
        ------
        ValueError
            If the loader is of another kind than the one saved, or ends before the place.
        """  # noqa: DOC501 (`_other_kind` makes the ValueError)
        order, generators = order_of(self.loader), state.get("generators", [])
        is_within = "cursor" in state or "n_taken" in state
        if is_within and ("cursor" in state) != (order is not None):
            raise _other_kind("batches in an order of a user's own" if order is None else "ours")
        if "generators" in state and len(generators) != len(self._generators):
            raise _other_kind(f"{len(self._generators)} generators in place of {len(generators)}")
        self._n_rounds, self._batches, self._cursor = state["n_rounds"] - is_within, None, None
        if self._n_rounds and getattr(self.loader, "persistent_workers", False):
            # Workers that persist are seeded once, before the first round, and no later round
            # draws a base seed: have it drawn now, before the generators are put back.
            iter(self.loader)
        for generator, saved in zip(self._generators, generators, strict=False):
            generator.set_state(saved.cpu())
        at_start, now = state.get("n_draws", (0, 0))
        if self._draws is not None:
            self._draws.count = at_start if is_within else now
        if not is_within:
            return
        if order is not None:
            order.resume(state["cursor"])
        batches, n_taken = self._begin(), state.get("n_taken", 0)
        for number in range(n_taken):
            if self._next(batches) is _END:
                raise _other_kind(f"a round of {number} batches, of which {n_taken} were taken")
        self._n_taken = n_taken
        if self._draws is not None:
            self._draws.count = now

    @property
    def is_exact(self) -> bool:
        """Whether it is known that a resumed loader gives the very batches it would have given.

        It is not for an iterator class that is no DataLoader, or a subclass that iterates in a
        way of its own; an IterableDataset; a sampler with a state that is in no generator of its
        own or the loader's, such as one that draws from torch's global generator; and for code
        of the user's, Dataset or collate function, that may draw random numbers in workers which
        had read for some time. The order of rows is right in this last case. A generator that
        others draw from besides is not noticed. What a Dataset draws without workers comes from
        global generators, which are the caller's to save.
        """
        loader = self.loader
        if isinstance(loader, RowLoader):
            return True
        if not isinstance(loader, DataLoader) or type(loader).__iter__ is not DataLoader.__iter__:
            return False
        is_ours = order_of(loader) is not None
        by_batch = loader.batch_sampler is not None
        sampler = loader.batch_sampler if by_batch else loader.sampler
        if not is_ours and not _is_known(sampler, is_seeded=self._draws is not None):
            return False
        # Workers start from the base seed, which the generator gives again; what they draw after
        # that is only repeated if they read the same batches again.
        draws = loader.num_workers > 0 and loader.collate_fn is not as_is
        return not (draws and (loader.persistent_workers or (is_ours and self._enters_rounds)))


class Rounds(_Feed, Iterator[Any]):
    """A loader's batches without end: where it ends, it is gone through again.

    Parameters
    ----------
    loader : iterable
        Gives batches in every round. Endless loaders have one round only.
    key : tuple of int, optional
        What global random numbers follow from as rows are read; None leaves them alone.
    name : str, default="iterator_meta"
        The parameter it came from, for the error.
    """

    _enters_rounds = True

    def __init__(
        self,
        loader: Iterable[Any],
        name: str = "iterator_meta",
        key: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__(loader, key)
        self.name = name

    def __next__(self) -> Any:
        batch = _END if self._batches is None else self._next(self._batches)
        if batch is _END:
            batch = self._next(self._begin())
        if batch is _END:
            raise ValueError(
                f"`{self.name}` must give batches in every round; got one without any. Pass a "
                "loader or sampler that can be gone through again and again."
            )
        self._n_taken += 1
        return batch


class Epochs(_Feed):
    """A loader that is gone through once an epoch.

    Between two epochs the state is that of the generators. In the midst of one it holds the place
    as well, and the next iteration after loading gives the rest of that epoch.

    Parameters
    ----------
    loader : iterable
        One pass each time.
    key : tuple of int, optional
        As of `Rounds`.
    """

    _enters_rounds = False  # epochs are saved where they end

    _is_resumed = False

    def __len__(self) -> int:
        return len(self.loader)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Any]:
        is_resumed, self._is_resumed = self._is_resumed, False
        rest = self._batches if is_resumed else None
        batches = self._begin() if rest is None else rest
        while (batch := self._next(batches)) is not _END:
            self._n_taken += 1
            yield batch
        self._batches = self._cursor = None

    def load_state_dict(self, state: FeedState) -> None:
        """Go on at the place of `state`; see `Rounds.load_state_dict`."""
        super().load_state_dict(state)
        self._is_resumed = True


def _other_kind(found: str) -> ValueError:
    return ValueError(
        f"A saved place must belong to the loader that is resumed; got {found}. Resume with the "
        "rows and the options of the loader that were saved."
    )


def _samplers_of(loader: object) -> list[object]:
    outer = [getattr(loader, name, None) for name in ("sampler", "batch_sampler")]
    return [*outer, *(getattr(sampler, "sampler", None) for sampler in outer)]


def _generators_of(loader: object) -> list[torch.Generator]:
    """Return the generators that a loader and its samplers draw from, each once."""
    parts = [loader, *_samplers_of(loader)]
    found = [getattr(part, "generator", None) for part in parts]
    return list({id(one): one for one in found if isinstance(one, torch.Generator)}.values())


def _is_known(sampler: object, *, is_seeded: bool) -> bool:
    """Tell whether all that a sampler is decided by is in its generator or a seed, or fixed."""
    if type(sampler) is BatchSampler:
        return _is_known(sampler.sampler, is_seeded=is_seeded)
    if type(sampler) in _RANDOM_SAMPLERS:
        return is_seeded or getattr(sampler, "generator", None) is not None
    is_fixed = isinstance(sampler, list | tuple | range | Tensor | np.ndarray)
    return type(sampler) is SequentialSampler or is_fixed
