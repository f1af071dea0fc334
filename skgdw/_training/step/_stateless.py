"""Calling a module with other tensors in place of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from operator import is_not
from typing import Any, TypeAlias

from torch import Tensor, nn

from skgdw._feed._layout import Inputs
from skgdw._training._precision import Precision
from skgdw._validation._outputs import first_output, widened

State = Mapping[str, Tensor]
_FULL = Precision()

# What a module returns: logits, alone or first of several things.
Output: TypeAlias = Tensor | tuple[Any, ...] | list[Any]

Slot = tuple[dict[str, Tensor | None], str]


def inputs_in_double(X: Inputs) -> Inputs:
    """Return tensors, alone or by name, with floating-point ones in double precision."""
    return state_in_double(X) if isinstance(X, Mapping) else _in_double(X)


def state_in_double(values: State) -> dict[str, Tensor]:
    """Return tensors by name, those in floating point in double precision."""
    return {name: _in_double(value) for name, value in values.items()}


def _in_double(value: Tensor) -> Tensor:
    return value.double() if value.is_floating_point() else value


class Stateless:
    """A module as a function of its parameters and buffers.

    ``torch.func.functional_call`` walks the whole module at every call, which on small networks
    takes longer than the arithmetic. Here the slots of all tensors are found once, and again where
    they turn out to have changed.

    Parameters
    ----------
    module : nn.Module
    precision : Precision, default=full

    Attributes
    ----------
    parameters : dict of str to Tensor
        The module's own, by name; tied ones once.
    """

    def __init__(self, module: nn.Module, precision: Precision = _FULL) -> None:
        self.module = module
        self.precision = precision
        self._find()

    def _find(self) -> None:
        self.parameters: dict[str, Tensor] = {}
        self._buffers: dict[str, Tensor] = {}
        self._slots: dict[str, list[Slot]] = {}
        self._seen: list[tuple[dict[str, Any], list[Any]]] = []
        first_name: dict[int, str] = {}
        for prefix, owner in self.module.named_modules():
            holders = (owner._parameters, self.parameters), (owner._buffers, self._buffers)
            for tensors, found in holders:
                for key, tensor in tensors.items():
                    if tensor is not None:
                        name = f"{prefix}.{key}" if prefix else key
                        name = first_name.setdefault(id(tensor), name)
                        found[name] = tensor
                        self._slots.setdefault(name, []).append((tensors, key))
            for held in (owner._parameters, owner._buffers, owner._modules):
                self._seen.append((held, list(held.values())))

    def refresh(self) -> None:
        """Find the places anew if the module was given other tensors or parts since."""
        for held, seen in self._seen:
            if len(held) != len(seen) or any(map(is_not, held.values(), seen)):
                self._find()
                return

    def on_copies(self, X: Inputs) -> Tensor:
        """Return the logits of a pass that moves copies of the buffers."""
        return self(self.copy_buffers(), X)

    def copy_buffers(self) -> dict[str, Tensor]:
        """Copy the module's buffers, for a pass that must not move the module's own."""
        return {name: buffer.clone() for name, buffer in self._buffers.items()}

    def wide(self, state: State, X: Inputs) -> Tensor:
        """Return the logits of passes in double precision, see `__call__`."""
        whole = state_in_double({**self.parameters, **self._buffers, **state})
        return self(whole, inputs_in_double(X), precision=_FULL)

    @contextmanager
    def _holding(self, state: State) -> Iterator[None]:
        own = []
        try:
            for name, value in state.items():
                for tensors, key in self._slots[name]:
                    own.append((tensors, key, tensors[key]))
                    tensors[key] = value
            yield
        finally:
            for tensors, key, tensor in reversed(own):
                tensors[key] = tensor

    def __call__(self, state: State, X: Inputs, *, precision: Precision | None = None) -> Tensor:
        """Return the module's logits with parameters and buffers from `state`.

        Parameters
        ----------
        state : mapping of str to Tensor
            Tensors by name; what it lacks stays the module's own.
        X : Tensor, or mapping of str to Tensor for keyword arguments
        precision : Precision, optional
            In place of its own.

        Returns
        -------
        Tensor of shape (n, c)
            The first output, where there are several.
        """
        precision = self.precision if precision is None else precision
        with self._holding(state):
            if precision.dtype is None:  # spared the contexts: on small modules they tell
                output = self.module(**X) if isinstance(X, Mapping) else self.module(X)
                return first_output(widened(output))
            with precision.context():
                output = self.module(**X) if isinstance(X, Mapping) else self.module(X)
        logits: Tensor = precision.widen(first_output(output))
        return logits


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode inside the block; its parts are as before afterwards."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode
