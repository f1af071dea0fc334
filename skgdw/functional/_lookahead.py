"""How the meta loss changes with each class-level weight, three ways.

Notation: z (n, c) training logits at theta, D (n, c) their loss gradient, W (n, c) weights,
eta the look-ahead rate, J the Jacobian of z by theta. The look-ahead is one plain gradient step

    theta'(W) = theta - (eta / n) J^T (W * D)

and what is wanted is G = d meta_loss(theta'(W)) / d W. With g = d meta_loss / d theta at theta',

    G = -(eta / n) D * (J g):

one directional derivative of the training logits along g: by forward mode, by a difference, or back
through the look-ahead's own backward.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from skgdw.functional._directional import (
    LogitsOf,
    Params,
    directional_derivative,
    forward_derivative,
)

LossOf = Callable[[Params], Tensor]
Rate = float | Tensor | Mapping[str, float | Tensor]
Rates = float | Tensor | list[float | Tensor]

METHODS = ("forward", "difference", "unrolled")
"""Names of the ways to compute the weight gradient."""


class WeightGradient(NamedTuple):
    """The gradient by the weights, and the meta loss that it belongs to.

    Attributes
    ----------
    weight_grad : Tensor of shape (n, c)
        G = d meta_loss / d weight.
    meta_loss : Tensor of shape ()
        Loss of the meta batch at the look-ahead parameters.
    """

    weight_grad: Tensor
    meta_loss: Tensor


def _rates_of(params: Params, lookahead_lr: Rate) -> Rates:
    """Return the rate that all parameters share, or the list of their own."""
    if not isinstance(lookahead_lr, Mapping):
        return lookahead_lr
    rates = [lookahead_lr[name] for name in params]
    if len({rate if isinstance(rate, float) else id(rate) for rate in rates}) == 1:
        return rates[0]
    return rates


def _row_cotangent(weight: Tensor, logit_grad: Tensor) -> Tensor:
    return weight * logit_grad / logit_grad.shape[0]


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
    gradients = _gradients(
        params, logits, _row_cotangent(weight, logit_grad), create_graph=create_graph
    )
    rates = _rates_of(params, lookahead_lr)
    if not create_graph:
        return _ahead(params, gradients, rates)
    moved = zip(params.items(), _scaled(gradients, rates), strict=True)
    return {name: value - move for (name, value), move in moved}


def _gradients(
    params: Params, logits: Tensor, cotangent: Tensor, *, create_graph: bool
) -> tuple[Tensor, ...]:
    """Go back through the logits, whose graph is kept."""
    return torch.autograd.grad(
        logits,
        list(params.values()),
        grad_outputs=cotangent,
        retain_graph=True,
        create_graph=create_graph,
        materialize_grads=True,
    )


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


def _meta_gradient(meta_loss: LossOf, ahead: Params) -> tuple[Tensor, dict[str, Tensor]]:
    for value in ahead.values():
        value.requires_grad_()
    loss = meta_loss(ahead)
    gradients = torch.autograd.grad(loss, list(ahead.values()), materialize_grads=True)
    return loss.detach(), dict(zip(ahead, gradients, strict=True))


def weight_gradient(
    train_logits: LogitsOf,
    meta_loss: LossOf,
    params: Params,
    weight: Tensor,
    logit_grad: Tensor,
    *,
    lookahead_lr: Rate,
    method: str = "forward",
    logits: Tensor | None = None,
    wide_logits: LogitsOf | None = None,
    is_tried: bool = False,
) -> WeightGradient:
    r"""Return how the meta loss after a look-ahead step changes with each weight.

    .. math:: G = \frac{\partial L_\text{meta}(\theta'(W))}{\partial W}
        = -\frac{\eta}{n} D \odot (J g), \qquad g = \nabla L_\text{meta}(\theta')

    Parameters
    ----------
    train_logits : callable
        Maps a mapping of parameters to the training logits of shape (n, c). A pure function:
        calling it twice gives the same value and changes nothing.
    meta_loss : callable
        Maps a mapping of parameters to the mean loss of the meta batch, a scalar.
    params : mapping of str to Tensor
        The parameters theta; they require a gradient and are not changed.
    weight : Tensor of shape (n, c)
        First-stage weights W.
    logit_grad : Tensor of shape (n, c)
        Logit gradient D of the training batch, see `logit_gradient`.
    lookahead_lr : float, Tensor or mapping of str to float or Tensor
        Rate eta of the look-ahead, > 0; a mapping gives each parameter its own.
    method : {"forward", "difference", "unrolled"}, default="forward"
        Directional derivative by forward mode, by a difference, or by the double backward of the
        definition.
    logits : Tensor of shape (n, c), optional
        ``train_logits(params)`` with its graph, where the caller has it already. The look-ahead
        goes back through it, "forward" along it where it can, and "difference" starts from its
        values.
    wide_logits : callable, optional
        `train_logits` for float64 parameters, see `directional_derivative`.
    is_tried : bool, default=False
        Whether the method has worked on this module before, so that "unrolled" need not look for
        functions that cannot be differentiated twice.

    Returns
    -------
    WeightGradient
        G of shape (n, c), and the meta loss at theta'.

    Raises
    ------
    ValueError
        If `method` is unknown.
    RuntimeError, NotImplementedError
        If torch cannot differentiate the module that way.

    Notes
    -----
    Cost beside the training forward: one backward (the look-ahead), a forward and a backward
    of the meta batch, and one forward-mode pass ("forward": two forwards' work along the graph of
    `logits`, else three), one forward or two in double precision ("difference"), or one backward
    through the look-ahead's backward ("unrolled").

    References
    ----------
    Chen et al., NeurIPS 2021: the bi-level optimisation, there by double backward.

    Examples
    --------
    >>> import torch
    >>> from skgdw.functional import logit_gradient, weight_gradient
    >>> y, params = torch.tensor([0]), {"z": torch.zeros(1, 2, requires_grad=True)}
    >>> weight_grad, meta_loss = weight_gradient(
    ...     lambda p: 1 * p["z"],
    ...     lambda p: torch.nn.functional.cross_entropy(p["z"], y),
    ...     params,
    ...     torch.ones(1, 2),
    ...     logit_gradient(params["z"].detach(), y),
    ...     lookahead_lr=0.1,
    ... )
    >>> weight_grad
    tensor([[-0.0238, -0.0238]])
    """
    if method not in METHODS:
        raise ValueError(f"`method` must be one of {list(METHODS)}; got {method!r}.")
    graph = train_logits(params) if logits is None else logits
    is_unrolled = method == "unrolled"
    cotangent = _row_cotangent(weight, logit_grad).detach().requires_grad_(is_unrolled)
    gradients = _gradients(params, graph, cotangent, create_graph=is_unrolled)
    rates = _rates_of(params, lookahead_lr)
    loss, tangent = _meta_gradient(meta_loss, _ahead(params, gradients, rates))
    if isinstance(rates, list):
        # Each parameter's own rate goes into the direction; a common one is a factor of the result.
        tangent = dict(zip(tangent, _scaled(list(tangent.values()), rates), strict=True))
        rates = 1.0
    if is_unrolled:
        if not is_tried:
            _check_twice_differentiable(gradients)
        derivative = _through_backward(gradients, cotangent, tangent)
    elif method == "forward":
        derivative = forward_derivative(train_logits, params, tangent, logits)
    else:
        derivative = directional_derivative(
            train_logits, params, tangent, method=method, logits=logits, wide_logits=wide_logits
        )
    return WeightGradient(derivative * logit_grad * (-rates / logit_grad.shape[0]), loss)


def _through_backward(gradients: Sequence[Tensor], cotangent: Tensor, tangent: Params) -> Tensor:
    """Return J u as the derivative of u (J^T v) by v: a backward's own backward."""
    pairs = zip(gradients, tangent.values(), strict=True)
    depending = [(gradient, along) for gradient, along in pairs if gradient.requires_grad]
    if not depending:
        return torch.zeros_like(cotangent)
    outputs, directions = zip(*depending, strict=True)
    (derivative,) = torch.autograd.grad(outputs, cotangent, directions, materialize_grads=True)
    return derivative


def _check_twice_differentiable(gradients: Sequence[Tensor]) -> None:
    """Find functions whose backward cannot be differentiated.

    torch raises for them only on the way to a tensor that they lead to, and theirs leads nowhere:
    asked for the gradient by the weights, it would leave out their share in silence.
    """
    ready = [gradient.grad_fn for gradient in gradients]
    seen = set()
    while ready:
        node = ready.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.name().endswith("Error"):  # what torch puts in their place
            raise RuntimeError("a function of the module is marked once_differentiable")
        ready.extend(following for following, _ in node.next_functions)
