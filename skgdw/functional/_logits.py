"""The gradient of the loss by the logits, and the constraint that keeps its rows balanced."""

from __future__ import annotations

import torch
from torch import Tensor

PROBABILITY_CAP = 0.999
"""Largest class probability that enters a logit gradient, so that its target entry is at
most ``PROBABILITY_CAP - 1`` and can be divided by."""


def logit_gradient(logits: Tensor, y: Tensor, *, cap: float = PROBABILITY_CAP) -> Tensor:
    r"""Return the gradient of each row's cross-entropy by its logits.

    .. math:: D_{ij} = \min(\operatorname{softmax}(z_i)_j, \text{cap}) - [j = y_i]

    Parameters
    ----------
    logits : Tensor of shape (n, c)
        Network outputs before the softmax, floating point.
    y : Tensor of shape (n,)
        Target class of each row, int64 in ``0 .. c - 1``.
    cap : float, default=0.999
        Upper bound of the probabilities, in (0, 1]. At 1 the gradient is exact and its rows
        sum to zero; below 1 the target entry is at most ``cap - 1``, and a row in which a
        probability was capped may miss zero by ``1 - cap``.

    Returns
    -------
    Tensor of shape (n, c)
        The logit gradient D, in the dtype of `logits`.

    References
    ----------
    Chen et al., "Generalized Data Weighting via Class-Level Gradient Manipulation",
    NeurIPS 2021: the class-level gradients of the cross-entropy.

    Examples
    --------
    >>> import torch
    >>> from skgdw.functional import logit_gradient
    >>> logit_gradient(torch.zeros(1, 4), torch.tensor([2]))
    tensor([[ 0.2500,  0.2500, -0.7500,  0.2500]])
    """
    probability = torch.softmax(logits, dim=1).clamp(max=cap)
    target = y.unsqueeze(1)
    return probability.scatter_add(1, target, logits.new_full(target.shape, -1.0))


def zero_mean(weight: Tensor, logit_grad: Tensor, y: Tensor) -> Tensor:
    r"""Recompute the target entry of each row of weights so that the weighted gradient balances.

    .. math:: W_{i y_i} = \frac{\sum_{j \ne y_i} W_{ij} D_{ij}}{-D_{i y_i}}

    A row of a logit gradient sums to zero: what one class gains the others lose. Weighting its
    entries freely breaks this and makes training unstable; with this target entry every row of
    ``weight * logit_grad`` sums to zero again.

    Parameters
    ----------
    weight : Tensor of shape (n, c)
        Class-level weights; the target entries are ignored.
    logit_grad : Tensor of shape (n, c)
        Logit gradient D, negative at the target.
    y : Tensor of shape (n,)
        Target class of each row, int64 in ``0 .. c - 1``.

    Returns
    -------
    Tensor of shape (n, c)
        The weights with new target entries. A row whose target gradient is exactly zero has
        nothing to balance and keeps its weights.

    References
    ----------
    Chen et al., NeurIPS 2021: the zero-mean constraint on class-level weights.

    Examples
    --------
    >>> import torch
    >>> from skgdw.functional import logit_gradient, zero_mean
    >>> y = torch.tensor([2])
    >>> logit_grad = logit_gradient(torch.zeros(1, 4), y)
    >>> weight = zero_mean(torch.tensor([[1.0, 0.5, 9.0, 0.0]]), logit_grad, y)
    >>> weight
    tensor([[1.0000, 0.5000, 0.5000, 0.0000]])
    >>> (weight * logit_grad).sum(dim=1)
    tensor([0.])
    """
    target = y.unsqueeze(1)
    # The sum leaves the target out rather than subtracting it: no cancellation.
    others = (weight * logit_grad).scatter(1, target, 0.0).sum(dim=1, keepdim=True)
    target_grad = logit_grad.gather(1, target)
    still = target_grad == 0
    # Divided by one rather than by zero: derivatives stay finite too.
    balanced = others / -target_grad.masked_fill(still, -1.0)
    return weight.scatter(1, target, torch.where(still, weight.gather(1, target), balanced))


# What rows of a logit gradient in single precision may miss zero by, by rounding; a capped
# probability makes them miss it by up to a thousandth.
_ROUNDING = 1e-5


def close_rows(pull: Tensor, y: Tensor, *, tolerance: float = _ROUNDING) -> Tensor:
    r"""Add to the target entry of each row what the row misses to zero, if more than rounding.

    .. math:: P_{i y_i} \leftarrow P_{i y_i} - \sum_j P_{ij}
        \quad\text{where}\quad \Big|\sum_j P_{ij}\Big| > \text{tolerance}

    Rows of a logit gradient times one weight a row balance by themselves, but where a probability
    was capped. They stay as they are, to the last bit.

    Parameters
    ----------
    pull : Tensor of shape (n, c)
        What is to be sent back through the logits.
    y : Tensor of shape (n,)
        Target class of each row, int64 in ``0 .. c - 1``.
    tolerance : float, default=1e-5
        Sums of rows up to this size are left, >= 0.

    Returns
    -------
    Tensor of shape (n, c)
        The rows, balanced.

    Examples
    --------
    >>> import torch
    >>> from skgdw.functional import close_rows
    >>> close_rows(torch.tensor([[0.5, -0.3]]), torch.tensor([1]))
    tensor([[ 0.5000, -0.5000]])
    """
    missing = torch.nn.functional.hardshrink(pull.sum(dim=1, keepdim=True), tolerance)
    return pull.scatter_add(1, y.unsqueeze(1), -missing)
