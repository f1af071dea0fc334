"""Buffers that a module keeps out of its state dict, and that training moves all the same."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def unlisted_buffers(module: nn.Module) -> dict[str, Tensor]:
    """Return copies of the buffers that are not persistent, by name."""
    listed = module.state_dict().keys()
    return {name: buffer.clone() for name, buffer in module.named_buffers() if name not in listed}


@torch.no_grad()
def put_buffers(module: nn.Module, saved: Mapping[str, Tensor]) -> None:
    """Give buffers the values that `unlisted_buffers` returned.

    Those that grow with a batch, as masks that are kept for the next one, come back as they were;
    one that the module does not have yet is left to it.
    """
    for name, value in saved.items():
        path, _, key = name.rpartition(".")
        owner = module.get_submodule(path)
        if key not in owner._buffers:
            continue
        own = owner._buffers[key]
        if own is not None and own.shape == value.shape and own.is_contiguous():
            own.copy_(value)
        else:
            device = value.device if own is None else own.device
            owner._buffers[key] = value.to(device, copy=True)
