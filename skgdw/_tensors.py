"""What torch leaves to be done: tensors of 16 bits told, modules copied with all they hold."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, is_lazy

_Module = TypeVar("_Module", bound=nn.Module)

_NARROW = (torch.bfloat16, torch.float16)


def is_narrow(tensor: Tensor) -> bool:
    """Tell whether the entries of a tensor are of 16 bits."""
    return tensor.dtype in _NARROW


def deep_copy(module: _Module, memory: dict[int, Any] | None = None) -> _Module:
    """Return a deep copy of a module whose parameters are its own.

    torch copies no buffers of lazy layers that have no shape yet. Of what ``torch.jit`` has
    compiled it copies parameters as functions of those before: gradients of the copy go to them,
    and an optimizer that is copied along steps neither.

    Parameters
    ----------
    module : nn.Module
    memory : dict of int to object, optional
        As ``copy.deepcopy`` takes it: what is copied already, to which this copy is added.

    Returns
    -------
    nn.Module
    """
    memory = {} if memory is None else memory
    if not hasattr(module, "_modules"):  # its constructor has left out torch's: nothing can be told
        return copy.deepcopy(module, memory)
    make: Callable[..., Tensor] = UninitializedBuffer
    lazy = [buffer for buffer in module.buffers() if is_lazy(buffer)]
    memory.update({id(one): make(device=one.device, dtype=one.dtype) for one in lazy})
    if not any(isinstance(part, torch.jit.ScriptModule) for part in module.modules()):
        return copy.deepcopy(module, memory)
    with torch.no_grad():
        found = copy.deepcopy(module, memory)
    for own, theirs in zip(module.parameters(), found.parameters(), strict=True):
        memory[id(own)] = theirs.requires_grad_(own.requires_grad)
    return found
