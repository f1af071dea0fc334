"""The second-stage weights: a normalised, clipped and floored gradient step."""

from __future__ import annotations

import torch
from torch import Tensor

# Stands in for a gradient of zero in a divisor; its inverse is finite in single precision.
_TINY = 1e-30


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
    still = scale == 0
    # Divided by one rather than by zero: derivatives stay finite too.
    change = meta_lr * (weight_grad / scale.masked_fill(still, 1.0))
    stepped = (weight - change.clamp(-clip, clip)).clamp(min=floor)
    return torch.where(still, weight, stepped)


def keep_gradient_share(weighted_grad: Tensor, logit_grad: Tensor, *, share: float = 0.1) -> Tensor:
    r"""Scale a batch's weighted gradient up where less than a share of it is left.

    .. math::
        P' = P \, \max\left(1, s \frac{\sum |D|}{\sum |P|}\right), \qquad P = W \odot D

    How long a step is belongs to the optimizer. A look-ahead of one step sees that a long step
    harms, and not where it would lead, so that weights learnt from it may shrink together until
    nothing is learnt any more; their proportions are what is wanted.

    Parameters
    ----------
    weighted_grad : Tensor of shape (n, c)
        Weights times logit gradient, P.
    logit_grad : Tensor of shape (n, c)
        Logit gradient D.
    share : float, default=0.1
        Least share s of the gradient's size, in [0, 1]. At 0 nothing is changed.

    Returns
    -------
    Tensor of shape (n, c)
        The gradient; `weighted_grad` to the last bit where its share is large enough. One that is
        zero stays zero.

    Notes
    -----
    Not in the paper. Rows that sum to zero still do.

    Examples
    --------
    >>> import torch
    >>> from skgdw.functional import keep_gradient_share
    >>> logit_grad = torch.tensor([[-0.5, 0.5], [0.25, -0.25]])
    >>> weight = torch.tensor([[0.01, 0.01], [0.04, 0.04]])
    >>> keep_gradient_share(weight * logit_grad, logit_grad)
    tensor([[-0.0250,  0.0250],
            [ 0.0500, -0.0500]])
    """
    kept = torch.linalg.vector_norm(weighted_grad, ord=1).clamp(min=_TINY)
    whole = torch.linalg.vector_norm(logit_grad, ord=1)
    scaled: Tensor = weighted_grad * (share * whole / kept).clamp(min=1)
    return scaled
