"""The network behind ``module="auto"``, sized by the data."""

from __future__ import annotations

from typing import Any

from torch import nn

from skgdw._validation import check_arguments
from skgdw.modules import MLP, ResNet32, SmallResNet

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
