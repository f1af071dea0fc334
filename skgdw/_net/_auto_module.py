"""The network behind ``module="auto"``, sized by the data."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from skgdw._rows import RowContainer
from skgdw._validation import check_arguments, warn_of_channels_last
from skgdw.modules import MLP, ResNet32, SmallResNet, Standardize
from skgdw.modules._standardize import SelfScaling

# Pixels a side up to which the small residual net is used.
_SMALL = 16


def shape_of_rows(X: RowContainer) -> tuple[int, ...]:
    """Return the shape of a row, for which there must be a network.

    Parameters
    ----------
    X : ndarray of shape (n, d) or (n, channels, height, width)
        Training rows.

    Returns
    -------
    tuple of int
        (d,) or (channels, height, width).

    Raises
    ------
    ValueError
        If there is no network for such rows.
    """
    shape = getattr(X, "shape", None)
    if shape is None or len(shape) not in (2, 4):
        found = type(X).__name__ if shape is None else f"shape {tuple(shape)}"
        hint = "Give images a channel axis: X[:, None]. " if shape and len(shape) == 3 else ""
        raise ValueError(
            '`module="auto"` takes tables (n, d) and images (n, channels, height, width); got X '
            f"of {found}. {hint}For other data pass a torch module that returns logits."
        )
    warn_of_channels_last(tuple(shape))
    return tuple(shape[1:])


def make_auto_module(
    row_shape: tuple[int, ...], n_classes: int, /, **kwargs: object
) -> SelfScaling:
    """Return a network for rows of this shape; its input scaling is still to be fitted.

    Parameters
    ----------
    row_shape : tuple of int
        (d,) or (channels, height, width), see `shape_of_rows`.
    n_classes : int
    **kwargs
        Further arguments of the network: those that the data set are refused by name.

    Returns
    -------
    SelfScaling
        An MLP for tables, a residual network for images.
    """
    network: type[SelfScaling] = MLP
    sizes = {"n_features": row_shape[0], "n_classes": n_classes}
    if len(row_shape) > 1:
        network = SmallResNet if max(row_shape[1:]) <= _SMALL else ResNet32
        sizes = {"in_channels": row_shape[0], "n_classes": n_classes}
    check_arguments("module", network, kwargs, set(sizes))
    make: Callable[..., SelfScaling] = network
    return make(**sizes, **kwargs)


def row_shape_for(module: nn.Module) -> tuple[int, ...]:
    """Return a shape of rows for which `make_auto_module` builds such a network.

    For classifiers whose file does not tell: versions up to 0.1 kept no shape.

    Returns
    -------
    tuple of int
        (d,) or (channels, height, width); for images one of the shapes that will do.
    """
    module = getattr(module, "_orig_mod", module)  # what torch.compile wraps
    n_features = next(m for m in module.modules() if isinstance(m, Standardize)).n_features
    if isinstance(module, MLP):
        return (n_features,)
    side = _SMALL if isinstance(module, SmallResNet) else 2 * _SMALL
    return (n_features, side, side)
