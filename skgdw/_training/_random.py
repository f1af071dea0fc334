"""A private stretch of torch's global random numbers, so that the caller's is left alone."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from skgdw._rows import GLOBAL_STATES

# Modules draw from torch's global generators. Swapping their state in and out is only safe
# when one thread at a time does it.
_LOCK = GLOBAL_STATES


class _Source(Protocol):
    """A global generator, as torch has them."""

    def get_state(self) -> Tensor:
        """Return where it stands."""

    def set_state(self, state: Tensor) -> object:
        """Have it stand there."""

    def manual_seed(self, seed: int) -> object:
        """Begin anew."""


class _OfPython:
    """Python's generator, its state as a tensor, which can be saved."""

    def get_state(self) -> Tensor:
        version, words, gauss = random.getstate()
        return torch.tensor([version, *words, gauss is not None, _bits(gauss or 0.0)])

    def set_state(self, state: Tensor) -> None:
        version, *words, has_gauss, bits = state.tolist()
        random.setstate((version, tuple(words), _number(bits) if has_gauss else None))

    def manual_seed(self, seed: int) -> None:
        random.seed(seed)


class _OfNumpy:
    """Numpy's global generator, likewise."""

    def get_state(self) -> Tensor:
        state: Any = np.random.get_state(legacy=False)  # noqa: NPY002
        if state["bit_generator"] != "MT19937":  # one that the user has set is left alone
            return torch.empty(0, dtype=torch.int64)
        words, place = state["state"]["key"], state["state"]["pos"]
        return torch.tensor([*words.tolist(), place, state["has_gauss"], _bits(state["gauss"])])

    def set_state(self, state: Tensor) -> None:
        if not len(state):
            return
        *words, place, has_gauss, bits = state.tolist()
        key = np.array(words, dtype=np.uint32)
        np.random.set_state(("MT19937", key, place, has_gauss, _number(bits)))  # noqa: NPY002

    def manual_seed(self, seed: int) -> None:
        if len(self.get_state()):
            np.random.seed(seed % 2**32)  # noqa: NPY002


_BESIDE_TORCH: tuple[_Source, ...] = (_OfPython(), _OfNumpy())


def _bits(number: float) -> int:
    found: int = struct.unpack("<q", struct.pack("<d", number))[0]
    return found


def _number(bits: int) -> float:
    found: float = struct.unpack("<d", struct.pack("<q", bits))[0]
    return found


class RandomStream:
    """Random state of its own for code that draws from torch's global generators.

    Inside ``with stream.active():`` the global state is the stream's and goes on where the
    last such block ended; outside it is the caller's, untouched.

    Parameters
    ----------
    seed : int
    device : torch.device
    beside_torch : bool, default=False
        Whether Python's and numpy's global generators are held as well; see `take_in`.
    """

    def __init__(self, seed: int, device: torch.device, *, beside_torch: bool = False) -> None:
        self._seed = seed
        self._generators: list[_Source] = [torch.default_generator]
        if device.type == "cuda":
            index = torch.cuda.current_device() if device.index is None else device.index
            torch.cuda.init()
            self._generators.append(torch.cuda.default_generators[index])
        if beside_torch:
            self._generators[1:1] = _BESIDE_TORCH  # behind the CPU's, which every device has
        self._begin()

    def _begin(self) -> None:
        with _LOCK:
            outer = self._read()
            for generator in self._generators:
                generator.manual_seed(self._seed)
            self._state = self._read()
            self._write(outer)

    def take_in(self, draw: Callable[[], object]) -> None:
        """Hold Python's and numpy's global generators as well, if a call draws from them.

        That takes longer than a step of a small network, so it is done for modules that need it
        alone. Before the first `active`: the stream begins anew.
        """
        with _LOCK:
            before = [source.get_state() for source in _BESIDE_TORCH]
            try:
                draw()
                after = [source.get_state() for source in _BESIDE_TORCH]
            finally:
                # Only what has moved: another thread may be drawing from the others.
                for source, state in zip(_BESIDE_TORCH, before, strict=True):
                    if not torch.equal(source.get_state(), state):
                        source.set_state(state)
        if not all(map(torch.equal, before, after)):
            self._generators[1:1] = _BESIDE_TORCH
            self._begin()

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

    def take_in(self, draw: Callable[[], object]) -> None:
        """Call, and no more."""
        draw()

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
