"""A private stretch of torch's global random numbers, so that the caller's is left alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor

from skgdw._rows import GLOBAL_STATES

# Modules draw from torch's global generators. Swapping their state in and out is only safe
# when one thread at a time does it.
_LOCK = GLOBAL_STATES


class RandomStream:
    """Random state of its own for code that draws from torch's global generators.

    Inside ``with stream.active():`` the global state is the stream's and goes on where the
    last such block ended; outside it is the caller's, untouched.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._generators = [torch.default_generator]
        if device.type == "cuda":
            index = torch.cuda.current_device() if device.index is None else device.index
            torch.cuda.init()
            self._generators.append(torch.cuda.default_generators[index])
        with _LOCK:
            outer = self._read()
            for generator in self._generators:
                generator.manual_seed(seed)
            self._state = self._read()
            self._write(outer)

    def _read(self) -> list[Tensor]:
        return [generator.get_state() for generator in self._generators]

    def _write(self, state: list[Tensor]) -> None:
        for generator, saved in zip(self._generators, state, strict=True):
            generator.set_state(saved)

    def state_dict(self) -> list[Tensor]:
        """Return the states of the generators; outside of `active`."""
        return self._state

    def load_state_dict(self, saved: list[Tensor]) -> None:
        """Go on from saved states; outside of `active`."""
        # Of another device's generator there is no use: the CPU's, the first, is always there.
        known = [state.cpu() for state in saved[: len(self._state)]]
        self._state = known + self._state[len(known) :]

    @contextmanager
    def active(self) -> Iterator[None]:
        """Draw from the stream inside the block."""
        with _LOCK:
            outer = self._read()
            self._write(self._state)
            try:
                yield
            finally:
                self._state = self._read()
                self._write(outer)

    @contextmanager
    def undone(self, start: list[Tensor] | None = None) -> Iterator[None]:
        """Draw from the stream inside the block, and go on afterwards as if nothing was drawn.

        What is drawn are the numbers that come next, or those that came after a `state_dict`.
        """
        with self.active(), self.replay(self._state if start is None else start):
            yield

    def rng_state(self) -> list[Tensor]:
        """Remember the present position; inside `active`."""
        return self._read()

    @contextmanager
    def replay(self, rng_state: list[Tensor]) -> Iterator[None]:
        """Draw the numbers that followed `rng_state` again; inside `active`."""
        present = self._read()
        self._write(rng_state)
        try:
            yield
        finally:
            self._write(present)


class NullStream:
    """Stands in for a `RandomStream` where nothing is drawn, and touches no state."""

    def state_dict(self) -> list[Tensor]:
        """Return an empty state."""
        return []

    def active(self) -> AbstractContextManager[None]:
        """Do nothing."""
        return nullcontext()

    def undone(self, start: list[Tensor] | None = None) -> AbstractContextManager[None]:
        """Do nothing."""
        return nullcontext()

    def rng_state(self) -> list[Tensor]:
        """Return an empty position."""
        return []

    def replay(self, rng_state: list[Tensor]) -> AbstractContextManager[None]:
        """Do nothing."""
        return nullcontext()
