"""What a module learns of its inputs by a first look: shapes of lazy layers, input scaling."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from skgdw._feed._layout import Inputs
from skgdw.modules import Standardize


@torch.no_grad()
def fill_lazy_parts(module: nn.Module, some_rows: Inputs) -> None:
    """Let lazy layers take their shapes, and draw their parameters, before anything counts them.

    The pass is in evaluation mode, in which the module is left where there are such layers.

    Parameters
    ----------
    module : nn.Module
    some_rows : Tensor of shape (m, ...), or mapping of them
        On the module's device.
    """
    if any(is_lazy(tensor) for tensor in (*module.parameters(), *module.buffers())):
        module.eval()
        if isinstance(some_rows, Mapping):
            module(**some_rows)
        else:
            module(some_rows)


@torch.no_grad()
def fit_input_scaling(module: nn.Module, X: object, some_rows: Inputs) -> None:
    """Fit the input scaling of our networks, alone or inside a user's module.

    Only layers that the rows reach unchanged are input layers; one that is fitted already (a
    pretrained instance) keeps its scaling. The module is left in evaluation mode.

    Parameters
    ----------
    module : nn.Module
    X : ndarray of shape (n, ...)
        Training rows; other containers are left to their owner.
    some_rows : Tensor of shape (m, ...)
        A few of them, on the module's device.
    """
    layers = [m for m in module.modules() if isinstance(m, Standardize) and not m.is_fitted]
    if not layers or not isinstance(X, np.ndarray) or not isinstance(some_rows, Tensor):
        return
    rows = some_rows
    first: list[Standardize] = []

    def look(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(layer, Standardize) and torch.equal(inputs[0], rows):
            first.append(layer)

    handles = [layer.register_forward_pre_hook(look) for layer in layers]
    try:
        module.eval()
        module(some_rows)
    finally:
        for handle in handles:
            handle.remove()
    for layer in first:
        layer.fit_scaling(X)
