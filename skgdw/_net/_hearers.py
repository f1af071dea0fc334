"""Which callbacks do something at a moment of training."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from skorch.callbacks import Callback

# Moments of single batches, which most callbacks hear nothing of.
_OF_BATCHES = frozenset({"on_batch_begin", "on_grad_computed", "on_batch_end"})


def listens(callback: Callback, method_name: str) -> bool:
    """Tell whether a callback does anything then."""
    kind = type(callback)
    return method_name in vars(callback) or _overrides(kind, method_name)  # type: ignore[arg-type]


@cache
def _overrides(kind: type[Callback], method_name: str) -> bool:
    return getattr(kind, method_name) is not getattr(Callback, method_name, None)


class Hearers:
    """The callbacks that hear of a moment; of batches they are found out once an epoch.

    Looking through all of them three times a batch takes longer than what most of them do.
    """

    def __init__(self) -> None:
        self._of_batches: dict[str, list[Callback]] = {}

    def of(self, callbacks: Iterable[tuple[str, Callback]], method_name: str) -> list[Callback]:
        """Return those of `callbacks` that do something in the method of this name."""
        if method_name not in _OF_BATCHES:
            self._of_batches.clear()
            return _listening(callbacks, method_name)
        if method_name not in self._of_batches:
            self._of_batches[method_name] = _listening(callbacks, method_name)
        return self._of_batches[method_name]


def _listening(callbacks: Iterable[tuple[str, Callback]], method_name: str) -> list[Callback]:
    return [callback for _, callback in callbacks if listens(callback, method_name)]
