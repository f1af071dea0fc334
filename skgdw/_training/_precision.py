"""The number format of a module's passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

# What autocast computes in; None is the module's own format throughout.
PRECISIONS: dict[str, torch.dtype | None] = {"float32": None, "bf16": torch.bfloat16}


@contextmanager
def without_autocast(device: object) -> Iterator[None]:
    """Turn off autocast of the caller's inside the block: what is narrow is ours to say.

    Parameters
    ----------
    device : device-like or None
        Where the networks are.
    """
    kinds = {"cpu", torch.device("cpu" if device is None else device).type}  # type: ignore[call-overload]
    on = [kind for kind in kinds if torch.is_autocast_enabled(kind)]
    # Inside a block of the caller's no block of ours is the outermost, whose end forgets the
    # narrow copies of parameters: later steps would go on with those of the first.
    keeps_copies = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(keeps_copies and not on)
    for kind in on:
        torch.set_autocast_enabled(kind, False)
    try:
        yield
    finally:
        for kind in on:
            torch.set_autocast_enabled(kind, True)
        torch.set_autocast_cache_enabled(keeps_copies)


@dataclass(frozen=True)
class Precision:
    """Runs passes under autocast; logits come out of them in float32.

    Losses, logit gradients and weights are computed from the logits, so that only the module's own
    passes are short of digits.

    Attributes
    ----------
    device_type : str
    dtype : torch.dtype or None
        What autocast computes in; None for no autocast.
    """

    device_type: str = "cpu"
    dtype: torch.dtype | None = None

    @property
    def eps(self) -> float | None:
        """Relative rounding error of a pass; None where the module's own format tells."""
        return None if self.dtype is None else torch.finfo(self.dtype).eps

    def context(self) -> AbstractContextManager[Any]:
        """Return the context to call the module in."""
        if self.dtype is None:
            return nullcontext()
        return torch.autocast(self.device_type, dtype=self.dtype)

    def widen(self, output: Any) -> Any:
        """Return the module's output in float32, where autocast has narrowed it."""
        if self.dtype is None:
            return output
        if isinstance(output, tuple):
            return tuple(self.widen(part) for part in output)
        is_narrow = isinstance(output, Tensor) and output.dtype == self.dtype
        return output.float() if is_narrow else output

    def wrap(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return `call` in this precision."""
        if self.dtype is None:
            return call

        def narrow(*args: Any) -> Any:
            with self.context():
                output = call(*args)
            return self.widen(output)

        return narrow
