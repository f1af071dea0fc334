"""Where batches are placed: on the device, and in which order of memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import torch
from skorch.dataset import unpack_data
from skorch.utils import to_device
from torch import Tensor

# What a module is called with: rows, or named inputs whose rows belong together.
Inputs: TypeAlias = Tensor | Mapping[str, Tensor]


def channels_last(X: Tensor) -> Tensor:
    """Return images (n, channels, height, width) in the other order of memory."""
    return X.contiguous(memory_format=torch.channels_last)


class Layout:
    """Brings batches to where the module takes them.

    Parameters
    ----------
    device : str, torch.device or None
        None leaves batches where they are.

    Attributes
    ----------
    channels_last : bool
        Whether images are brought into the order of memory that suits convolutions.
    """

    def __init__(self, device: str | torch.device | None) -> None:
        self.device = device
        self.channels_last = False

    def __call__(self, batch: Sequence[object]) -> tuple[Inputs, Tensor]:
        """Return inputs and class codes of a batch, placed."""
        X, y = unpack_data(batch)
        if self.device is not None:
            X = X.to(self.device) if isinstance(X, Tensor) else to_device(X, self.device)
            y = y.to(self.device) if isinstance(y, Tensor) else to_device(y, self.device)
        return channels_last(X) if self.channels_last else X, y
