"""Where a step along weighted gradients would lead, and the meta gradient there.

Notation: z (n, c) training logits at theta, P (n, c) what is sent back through them (a pull, the
class-level weights W times the logit gradient D), eta the look-ahead rate, J the Jacobian of z by
theta. The look-ahead is one plain gradient step

    theta'(P) = theta - (eta / n) J^T P

and the meta gradient g = d meta_loss / d theta at theta'.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from skgdw.functional._directional import Params

LossOf = Callable[[Params], Tensor]
Rate = float | Tensor | Mapping[str, float | Tensor]
Rates = float | Tensor | list[float | Tensor]


class LookAheadPass(NamedTuple):
    """The look-ahead's backward: gradients by the parameters, and the cotangent they came from."""

    gradients: tuple[Tensor, ...]
    cotangent: Tensor


class MetaGradient(NamedTuple):
    """The meta gradient g at the look-ahead parameters, and what belongs to it.

    Attributes
    ----------
    grad : dict of str to Tensor
        g, by parameter name.
    meta_loss : Tensor of shape ()
        Loss of the meta batch at the look-ahead parameters.
    direction : dict of str to Tensor
        The direction u along which the training logits are to be differentiated: g, times each
        parameter's rate where these differ.
    scale : float or Tensor of shape ()
        Factor of the derivative J u in the gradient by the pull, -(eta / n).
    look_ahead : LookAheadPass
        For double backward.
    """

    grad: dict[str, Tensor]
    meta_loss: Tensor
    direction: dict[str, Tensor]
    scale: float | Tensor
    look_ahead: LookAheadPass


def _rates_of(params: Params, lookahead_lr: Rate) -> Rates:
    """Return the rate that all parameters share, or the list of their own."""
    if not isinstance(lookahead_lr, Mapping):
        return lookahead_lr
    rates = [lookahead_lr[name] for name in params]
    if len({rate if isinstance(rate, float) else id(rate) for rate in rates}) == 1:
        return rates[0]
    return rates


def look_ahead(
    params: Params,
    logits: Tensor,
    weight: Tensor,
    logit_grad: Tensor,
    *,
    lookahead_lr: Rate,
    create_graph: bool = False,
) -> dict[str, Tensor]:
    r"""Take the virtual step: where these weights would lead the parameters.

    .. math:: \theta' = \theta - \frac{\eta}{n} \sum_{ij} W_{ij} D_{ij}
        \frac{\partial z_{ij}}{\partial \theta}

    Parameters
    ----------
    params : mapping of str to Tensor
        Parameters theta that require a gradient. They are not changed.
    logits : Tensor of shape (n, c)
        Training logits computed from `params`; their graph is kept for further use.
    weight, logit_grad : Tensor of shape (n, c)
        W and D.
    lookahead_lr : float, Tensor or mapping of str to float or Tensor
        Rate eta, one for all or one for each parameter.
    create_graph : bool, default=False
        Whether the result can be differentiated by `weight`.

    Returns
    -------
    dict of str to Tensor
        The parameters theta'. One that `logits` do not depend on stays where it is.

    Examples
    --------
    >>> import torch
    >>> from skgdw.functional import look_ahead
    >>> params = {"z": torch.zeros(1, 2, requires_grad=True)}
    >>> logit_grad = torch.tensor([[-0.5, 0.5]])
    >>> look_ahead(params, 1 * params["z"], torch.ones(1, 2), logit_grad, lookahead_lr=0.1)["z"]
    tensor([[ 0.0500, -0.0500]])
    """
    cotangent = weight * logit_grad / logit_grad.shape[0]
    gradients = _gradients(params, logits, cotangent, create_graph=create_graph)
    rates = _rates_of(params, lookahead_lr)
    if not create_graph:
        return _ahead(params, gradients, rates)
    moved = zip(params.items(), _scaled(gradients, rates), strict=True)
    return {name: value - move for (name, value), move in moved}


def _gradients(
    params: Params, logits: Tensor, cotangent: Tensor, *, create_graph: bool
) -> tuple[Tensor, ...]:
    """Go back through the logits, whose graph is kept."""
    found = torch.autograd.grad(
        logits,
        list(params.values()),
        grad_outputs=cotangent,
        retain_graph=True,
        create_graph=create_graph,
        materialize_grads=True,
    )
    return tuple(map(_dense, found))


def _dense(gradient: Tensor) -> Tensor:
    """Return what an embedding with sparse gradients gives as an ordinary tensor."""
    return gradient if gradient.layout is torch.strided else gradient.to_dense()


def _ahead(params: Params, gradients: Sequence[Tensor], rates: Rates) -> dict[str, Tensor]:
    """Take the step, without a graph."""
    with torch.no_grad():
        own = list(params.values())
        if isinstance(rates, float):
            ahead = torch._foreach_sub(own, list(gradients), alpha=rates)
        else:
            ahead = torch._foreach_sub(own, _scaled(gradients, rates))
    return dict(zip(params, ahead, strict=True))


def _scaled(tensors: Sequence[Tensor], rates: Rates) -> list[Tensor]:
    each = rates if isinstance(rates, list) else [rates] * len(tensors)
    return [rate * tensor for tensor, rate in zip(tensors, each, strict=True)]


def meta_gradient(
    meta_loss: LossOf,
    params: Params,
    logits: Tensor,
    pull: Tensor,
    *,
    lookahead_lr: Rate,
    create_graph: bool = False,
) -> MetaGradient:
    r"""Return the gradient of the meta loss where a look-ahead step along a pull leads.

    .. math:: g = \nabla L_\text{meta}(\theta'), \qquad
        \theta' = \theta - \frac{\eta}{n} J^\top P

    Parameters
    ----------
    meta_loss, params, lookahead_lr
        As in `weight_gradient`.
    logits : Tensor of shape (n, c)
        Training logits with their graph, which is kept.
    pull : Tensor of shape (n, c)
        What is sent back through the logits, P; ``weight * logit_grad`` for class-level weights.
    create_graph : bool, default=False
        Whether the look-ahead can be differentiated by the pull, as "unrolled" needs it.

    Returns
    -------
    MetaGradient
        g, the meta loss, and what the derivative along g starts from.

    Examples
    --------
    >>> import torch
    >>> from skgdw.functional import logit_gradient, meta_gradient
    >>> y, params = torch.tensor([0]), {"z": torch.zeros(1, 2, requires_grad=True)}
    >>> logits = 1 * params["z"]
    >>> meta = meta_gradient(
    ...     lambda p: torch.nn.functional.cross_entropy(p["z"], y),
    ...     params,
    ...     logits,
    ...     logit_gradient(logits.detach(), y),
    ...     lookahead_lr=0.1,
    ... )
    >>> meta.grad["z"]
    tensor([[-0.4750,  0.4750]])
    """
    cotangent = (pull / pull.shape[0]).detach().requires_grad_(create_graph)
    gradients = _gradients(params, logits, cotangent, create_graph=create_graph)
    rates = _rates_of(params, lookahead_lr)
    ahead = _ahead(params, gradients, rates)
    for value in ahead.values():
        value.requires_grad_()
    loss = meta_loss(ahead)
    found = torch.autograd.grad(loss, list(ahead.values()), materialize_grads=True)
    found = tuple(map(_dense, found))
    direction = grad = dict(zip(ahead, found, strict=True))
    rate: float | Tensor
    if isinstance(rates, list):
        # Each parameter's own rate goes into the direction; a common one is a factor of the result.
        direction = dict(zip(grad, _scaled(found, rates), strict=True))
        rate = 1.0
    else:
        rate = rates
    return MetaGradient(
        grad, loss.detach(), direction, -rate / pull.shape[0], LookAheadPass(gradients, cotangent)
    )
