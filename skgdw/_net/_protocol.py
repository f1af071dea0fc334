"""What this room relies on in a net of skorch's, which ships no types, and what comes in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from skorch.history import History
from torch import nn

Device: TypeAlias = str | torch.device | None


class SkorchNet(Protocol):
    """A skorch net by the names of it that are used here.

    Attributes
    ----------
    _modules, _criteria, _optimizers : list of str
        Names of the parts that are built, each an attribute of that name with an underscore.
    cuda_dependent_attributes_ : list of str
        How the names of attributes begin that may live on a GPU.
    """

    _modules: list[str]
    _criteria: list[str]
    _optimizers: list[str]
    _random: np.random.RandomState
    _row_shape: tuple[int, ...]
    _row_names: tuple[str, ...] | None
    _row_columns: Mapping[str, tuple[Any, ...]]
    _row_shapes: Mapping[str, tuple[int, ...]]
    cuda_dependent_attributes_: list[str]
    module: str | nn.Module | Callable[..., nn.Module]
    device: Device
    initialized_: bool
    history_: History

    def initialize(self) -> SkorchNet:
        """Build the parts."""

    def get_params(self, deep: bool = True) -> dict[str, object]:
        """Return the parameters."""

    def _check_device(self, requested_device: Device, map_device: torch.device) -> Device: ...
