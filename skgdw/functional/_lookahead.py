"""How the meta loss changes with each class-level weight, three ways.

Notation: z (n, c) training logits at theta, D (n, c) their loss gradient, W (n, c) weights,
eta the look-ahead rate, J the Jacobian of z by theta. The look-ahead is one plain gradient step

    theta'(W) = theta - (eta / n) J^T (W * D)

and what is wanted is G = d meta_loss(theta'(W)) / d W. With g = d meta_loss / d theta at theta',

    G = -(eta / n) D * (J g):

one directional derivative of the training logits along g replaces double backward.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

Params = Mapping[str, Tensor]
LogitsOf = Callable[[Params], Tensor]
LossOf = Callable[[Params], Tensor]
Rate = float | Tensor | Mapping[str, float | Tensor]


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


def _rates(params: Params, lookahead_lr: Rate) -> dict[str, float | Tensor]:
    if isinstance(lookahead_lr, Mapping):
        return {name: lookahead_lr[name] for name in params}
    return dict.fromkeys(params, lookahead_lr)


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
    rates = _rates(params, lookahead_lr)
    gradients = torch.autograd.grad(
        logits,
        list(params.values()),
        grad_outputs=_row_cotangent(weight, logit_grad),
        retain_graph=True,
        create_graph=create_graph,
        materialize_grads=True,
    )
    if create_graph:
        step = zip(params.items(), gradients, strict=True)
        return {name: value - rates[name] * gradient for (name, value), gradient in step}
    own = [value.detach() for value in params.values()]
    moves = _scaled(gradients, list(rates.values()))
    return dict(zip(params, torch._foreach_sub(own, moves), strict=True))


def _scaled(tensors: Sequence[Tensor], rates: Sequence[float | Tensor]) -> list[Tensor]:
    """Multiply each tensor by its rate, in one call where all rates are plain numbers."""
    numbers = [rate for rate in rates if not isinstance(rate, Tensor)]
    if len(numbers) == len(rates):
        return list(torch._foreach_mul(list(tensors), numbers))
    return [rate * tensor for tensor, rate in zip(tensors, rates, strict=True)]


def _meta_gradient(meta_loss: LossOf, ahead: Params) -> tuple[Tensor, dict[str, Tensor]]:
    leaves = {name: value.detach().requires_grad_() for name, value in ahead.items()}
    loss = meta_loss(leaves)
    gradients = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
    return loss.detach(), dict(zip(leaves, gradients, strict=True))


def _forward(train_logits: LogitsOf, params: Params, tangent: Params) -> Tensor:
    # The dual numbers of torch.autograd rather than torch.func.jvp: buffers that a module
    # updates in place (BatchNorm) are then ordinary tensors.
    with torch.no_grad(), torch.autograd.forward_ad.dual_level():
        dual = {
            name: torch.autograd.forward_ad.make_dual(value.detach(), tangent[name])
            for name, value in params.items()
        }
        derivative: Tensor | None = torch.autograd.forward_ad.unpack_dual(
            train_logits(dual)
        ).tangent
    if derivative is None:
        raise RuntimeError("the logits carry no forward-mode derivative")
    return derivative


# Kinks (ReLU) make the truncation error of any difference grow like its step, so that one to both
# sides gains little: it pays to step as little as rounding allows. Relative to the parameters.
_RELATIVE_STEP = {torch.float64: 1e-8, torch.float32: 1e-5}


def _norm(values: Params) -> Tensor:
    norms = torch._foreach_norm([value.detach() for value in values.values()])
    total: Tensor = torch.linalg.vector_norm(torch.stack(list(norms)))
    return total


def _difference(
    train_logits: LogitsOf, params: Params, tangent: Params, logits: Tensor | None
) -> Tensor:
    size, speed = _norm(params).clamp(min=1.0), _norm(tangent)
    speed = torch.where(speed == 0, torch.ones_like(speed), speed)
    step = _RELATIVE_STEP.get(size.dtype, torch.finfo(size.dtype).eps) * size / speed
    with torch.no_grad():
        start = train_logits(params) if logits is None else logits.detach()
        moves = torch._foreach_mul(list(tangent.values()), step)
        shifted = torch._foreach_add([value.detach() for value in params.values()], moves)
        change: Tensor = (train_logits(dict(zip(params, shifted, strict=True))) - start) / step
    return change


_DERIVATIVES = ("forward", "difference")

METHODS = ("forward", "difference", "unrolled")
"""Names of the ways to compute the weight gradient."""


def directional_derivative(
    train_logits: LogitsOf,
    params: Params,
    tangent: Params,
    *,
    method: str = "forward",
    logits: Tensor | None = None,
) -> Tensor:
    r"""Differentiate the logits along a direction in parameter space: :math:`J u`.

    Parameters
    ----------
    train_logits : callable
        Maps a mapping of parameters to logits of shape (n, c). It must be a pure function.
    params, tangent : mapping of str to Tensor
        The point and the direction u, with the same names and shapes.
    method : {"forward", "difference"}, default="forward"
        Forward-mode differentiation (exact), or a one-sided difference whose step follows from
        the dtype (off by about 1e-7 in float64; in float32 by 0.1 to 0.5 % in small networks, and
        by 0.5 to 9 % in a deep ReLU network).
    logits : Tensor of shape (n, c), optional
        ``train_logits(params)`` where the caller has them, which saves "difference" a pass. They
        must be what a pass without a graph gives, to the last bits.

    Returns
    -------
    Tensor of shape (n, c)
        The directional derivative.

    Raises
    ------
    ValueError
        If `method` is not one of the two.

    Examples
    --------
    >>> import torch
    >>> from skgdw.functional import directional_derivative
    >>> params, tangent = {"a": torch.tensor([[3.0]])}, {"a": torch.tensor([[1.0]])}
    >>> directional_derivative(lambda p: p["a"] ** 2, params, tangent)
    tensor([[6.]])
    """
    if method not in _DERIVATIVES:
        raise ValueError(
            f"`method` must be one of {sorted(_DERIVATIVES)}; got {method!r}. "
            "Double backward has no directional derivative: see `weight_gradient`."
        )
    if method == "forward":
        return _forward(train_logits, params, tangent)
    return _difference(train_logits, params, tangent, logits)


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
        Directional derivative by forward mode or by a difference, or the unrolled double
        backward of the definition.
    logits : Tensor of shape (n, c), optional
        ``train_logits(params)`` with its graph, where the caller has it already. The look-ahead
        goes back through it, and "difference" starts from its values.

    Returns
    -------
    WeightGradient
        G of shape (n, c), and the meta loss at theta'.

    Raises
    ------
    ValueError
        If `method` is unknown.

    Notes
    -----
    Cost beside the training forward: one backward (the look-ahead), a forward and a backward
    of the meta batch, and one forward-mode pass ("forward", three forwards' work), one forward
    ("difference"), or one backward through the look-ahead's backward ("unrolled").

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
    if method == "unrolled":
        return _unrolled(meta_loss, params, graph, weight, logit_grad, lookahead_lr)
    ahead = look_ahead(params, graph, weight, logit_grad, lookahead_lr=lookahead_lr)
    loss, gradients = _meta_gradient(meta_loss, ahead)
    rates = _rates(params, lookahead_lr)
    moves = _scaled(list(gradients.values()), list(rates.values()))
    tangent = dict(zip(gradients, moves, strict=True))
    derivative = directional_derivative(train_logits, params, tangent, method=method, logits=logits)
    return WeightGradient(-_row_cotangent(derivative, logit_grad), loss)


def _unrolled(
    meta_loss: LossOf,
    params: Params,
    logits: Tensor,
    weight: Tensor,
    logit_grad: Tensor,
    lookahead_lr: Rate,
) -> WeightGradient:
    free = weight.detach().requires_grad_()
    ahead = look_ahead(
        params, logits, free, logit_grad, lookahead_lr=lookahead_lr, create_graph=True
    )
    _check_twice_differentiable(ahead)
    loss = meta_loss(ahead)
    (gradient,) = torch.autograd.grad(loss, free, retain_graph=True, materialize_grads=True)
    return WeightGradient(gradient, loss.detach())


def _check_twice_differentiable(ahead: Params) -> None:
    """Find functions whose backward cannot be differentiated.

    torch raises for them only on the way to a tensor that they lead to, and theirs leads nowhere:
    asked for the gradient by the weights, it would leave out their share in silence.
    """
    ready = [value.grad_fn for value in ahead.values()]
    seen = set()
    while ready:
        node = ready.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.name().endswith("Error"):  # what torch puts in their place
            raise RuntimeError("a function of the module is marked once_differentiable")
        ready.extend(following for following, _ in node.next_functions)
