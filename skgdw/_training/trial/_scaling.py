"""The input scaling of our networks, fitted wherever one stands in a user's module."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from skgdw._feed._layout import Inputs
from skgdw.modules import Standardize


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
