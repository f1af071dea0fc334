"""Index batches along the orders of rows, and the place one has reached in them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NotRequired, TypedDict

import torch
from torch import Tensor
from torch.utils.data import Sampler

from skgdw._feed._orders import Passes

_CPU = torch.device("cpu")


class CursorState(TypedDict):
    """The place of a `Cursor`, in what ``torch.save`` keeps and a weights-only load reads.

    Attributes
    ----------
    n : int
        Rows of a pass.
    position : int
        Rows of the present pass that were handed out.
    generator : Tensor
        State of the generator before the present pass was drawn; absent for rows in order.
    """

    n: int
    position: int
    generator: NotRequired[Tensor]


class Cursor(Iterator[Tensor]):
    """Goes along the batches of a `RowBatches`, and can be saved and resumed.

    A pass is decided by the generator's state at its start: that state and the position in the
    pass are all there is to keep. So it is without end too: a batch over the border takes the
    whole rest of a pass, and what it leaves is an end piece of the next.

    Nothing is drawn before the first batch is asked for: a DataLoader asks for the iterator of
    its sampler first, and draws the base seed of its workers from the same generator after that.

    Parameters
    ----------
    batches : RowBatches
    """

    def __init__(self, batches: RowBatches) -> None:
        self.batches = batches
        self._start: CursorState | None = None
        self._order: Tensor | None = None
        self._state: Tensor | None = None
        self._position = 0
        self._n_given = 0
        # Loaders ask for batches before they hand them out: the last places are kept.
        self._places: deque[tuple[Tensor | None, int]] = deque(maxlen=batches.n_ahead + 1)

    def __next__(self) -> Tensor:
        order = self._order
        if order is None:
            order = self._open()
        batches, start = self.batches, self._position
        n, stop = batches.n, start + batches.batch_size
        if batches.endless:
            if stop <= n:
                rows = order[start:stop]
            else:
                rest, order = order[start:], self._draw()
                stop -= n
                rows = torch.cat([rest, order[:stop]]) if len(rest) else order[:stop]
        elif start < n:
            # A single row left over joins this batch: batch statistics of one row do not exist.
            stop = n if n - stop <= batches.least_rest else stop
            rows = order[start:stop]
        else:
            raise StopIteration
        self._position = stop
        self._n_given += 1
        self._places.append((self._state, stop))
        return rows

    def _open(self) -> Tensor:
        """Draw the pass to begin with, and go to the place to begin at."""
        self.batches.start = None
        if self._start is not None:
            self._position = self._start["position"]
            if self.batches.passes.generator is not None:
                self.batches.passes.generator.set_state(self._start["generator"].cpu())
        order = self._draw()
        self._places.append((self._state, self._position))
        return order

    def _draw(self) -> Tensor:
        passes = self.batches.passes
        if passes.generator is not None:
            self._state = passes.generator.get_state()
        self._order = order = passes().to(self.batches.device)
        return order

    def state_dict(self, n_given: int | None = None) -> CursorState:
        """Return the place after the last batch.

        Parameters
        ----------
        n_given : int, optional
            Return the place after so many batches instead, at most ``n_ahead`` back: where a
            loader asks for batches early, those count that it has handed out.

        Returns
        -------
        CursorState
            Plain data, for `load_state_dict`.
        """
        if self._order is not None:
            behind = 0 if n_given is None else self._n_given - n_given
            generator, position = self._places[-1 - behind]
        elif self._start is not None:
            return self._start
        else:
            now = self.batches.passes.generator
            generator, position = None if now is None else now.get_state(), 0
        state: CursorState = {"n": self.batches.n, "position": position}
        if generator is not None:
            state["generator"] = generator
        return state

    def load_state_dict(self, state: CursorState) -> None:
        """Go on at the place of `state`.

        Raises
        ------
        ValueError
            If it is the place in an order of another kind.
        """
        is_drawn = self.batches.passes.generator is not None
        if state["n"] != self.batches.n or ("generator" in state) != is_drawn:
            kinds = {True: "shuffled", False: "in order"}
            raise ValueError(
                "A saved place must belong to the order that is resumed, "
                f"{self.batches.n} rows {kinds[is_drawn]}; got that of {state['n']} rows "
                f"{kinds['generator' in state]}. Resume with the rows and the options of the "
                "loader that were saved."
            )
        self._start, self._order, self._n_given = state, None, 0
        self._places.clear()


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

    Attributes
    ----------
    cursor : Cursor or None
        The one begun last.
    start : CursorState or None
        Where the next one begins. It stands until a batch is asked for: a DataLoader with workers
        asks for two iterators of its sampler and uses the second.
    n_ahead : int
        How many batches a loader may ask for before it hands out the first of them.
    """

    def __init__(
        self,
        passes: Passes,
        batch_size: int,
        *,
        endless: bool = False,
        device: torch.device = _CPU,
    ) -> None:
        self.passes = passes
        self.n = len(passes)
        self.batch_size = max(min(batch_size, self.n), 1)
        # So many rows are no batch of their own.
        self.least_rest = int(self.batch_size > 1)
        self.endless = endless
        self.device = device
        self.n_ahead = 0
        self.cursor: Cursor | None = None
        self.start: CursorState | None = None

    def __len__(self) -> int:
        full, rest = divmod(self.n, self.batch_size)
        return full + (rest > self.least_rest)

    def __iter__(self) -> Cursor:
        self.cursor = Cursor(self)
        if self.start is not None:
            self.cursor.load_state_dict(self.start)
        return self.cursor

    def resume(self, state: CursorState) -> None:
        """Have the next iteration begin at the place of `state`."""
        Cursor(self).load_state_dict(state)  # which refuses a wrong one, here and not later
        self.start = state


class ListBatches(Sampler[list[int]]):
    """Index batches as lists, for datasets that are not ours."""

    def __init__(self, batches: RowBatches) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        return map(Tensor.tolist, iter(self.batches))
