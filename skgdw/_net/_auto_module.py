"""The network behind ``module="auto"``, sized by the data."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from skgdw._validation import check_arguments
from skgdw.modules import MLP, ResNet32, SmallResNet, Standardize

# Pixels a side up to which the small residual net is used.
_SMALL = 16


def make_auto_module(X: Any, n_classes: int, **kwargs: Any) -> nn.Module:
    """Return a network for rows like X, standardising its inputs as X needs it.

    Parameters
    ----------
    X : ndarray of shape (n, d) or (n, channels, height, width)
        Training rows.
    n_classes : int
    **kwargs
        Further arguments of the network.
    """
    if X.ndim == 2:
        check_arguments("module", MLP, kwargs, {"n_features", "n_classes"})
        return MLP(X.shape[1], n_classes, **kwargs).fit_scaling(X)
    if X.ndim != 4:
        hint = "Give images a channel axis: X[:, None]. " if X.ndim == 3 else ""
        raise ValueError(
            '`module="auto"` takes tables (n, d) and images (n, channels, height, width); got X '
            f"of shape {X.shape}. {hint}For other data pass a torch module that returns logits."
        )
    network = SmallResNet if max(X.shape[2:]) <= _SMALL else ResNet32
    check_arguments("module", network, kwargs, {"n_classes", "in_channels"})
    return network(n_classes, in_channels=X.shape[1], **kwargs).fit_scaling(X)


@torch.no_grad()
def fit_input_scaling(module: nn.Module, X: Any, some_rows: Any) -> None:
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
    if not layers or not isinstance(X, np.ndarray):
        return
    first: list[Standardize] = []

    def look(layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        if isinstance(layer, Standardize) and torch.equal(inputs[0], some_rows):
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
