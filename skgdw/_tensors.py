"""Tensors of 16 bits told: few functions of torch's take them."""

from __future__ import annotations

import torch
from torch import Tensor

_NARROW = (torch.bfloat16, torch.float16)


def is_narrow(tensor: Tensor) -> bool:
    """Tell whether the entries of a tensor are of 16 bits."""
    return tensor.dtype in _NARROW
