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
    """Give buffers the values that `unlisted_buffers` returned."""
    own = dict(module.named_buffers())
    for name, value in saved.items():
        own[name].copy_(value)
