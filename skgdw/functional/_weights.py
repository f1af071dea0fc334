"""The second-stage weights: a normalised, clipped and floored gradient step."""

from __future__ import annotations

import torch
from torch import Tensor


def update_weight(
    weight: Tensor,
    weight_grad: Tensor,
    *,
    meta_lr: float = 0.1,
    clip: float = 0.2,
    floor: float = 1e-6,
) -> Tensor:
    r"""Step the weights against their gradient, scaled to its mean size.

    .. math::
        W' = \max\left(W - \operatorname{clip}\left(\eta_m \frac{G}{\operatorname{mean}|G|},
        \pm \text{clip}\right), \text{floor}\right)

    The mean is over all entries, so `meta_lr` keeps its meaning for any batch size and any
    number of classes. The paper divides by the sum instead: its outer rate is
    ``meta_lr * weight.numel()``.

    Parameters
    ----------
    weight : Tensor of shape (n, c) or (n,)
        Weights to step from.
    weight_grad : Tensor of the same shape
        Gradient G of the meta loss by the weights.
    meta_lr : float, default=0.1
        Step of an entry whose gradient is of mean size, dimensionless, >= 0.
    clip : float, default=0.2
        Largest change of one weight, > 0.
    floor : float, default=1e-6
        Smallest weight, >= 0.

    Returns
    -------
    Tensor of the shape of `weight`
        The new weights. A gradient that is zero everywhere leaves `weight` as it is.

    References
    ----------
    Chen et al., NeurIPS 2021: the second stage of the two-stage weight generation.

    Examples
    --------
    >>> import torch
    >>> from skgdw.functional import update_weight
    >>> weight = torch.full((1, 4), 0.5)
    >>> update_weight(weight, torch.tensor([[1.0, -1.0, 2.0, 0.0]]))
    tensor([[0.4000, 0.6000, 0.3000, 0.5000]])
    """
    scale = weight_grad.abs().mean()
    change = meta_lr * (weight_grad / scale)  # NaN where the scale is zero, and not taken then
    stepped = (weight - change.clamp(-clip, clip)).clamp(min=floor)
    return torch.where(scale == 0, weight, stepped)
