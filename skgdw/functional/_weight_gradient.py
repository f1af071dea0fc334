"""How the meta loss changes with what is sent back for each row, three ways.

With P (n, c) the pull and W (n, c) class-level weights, P = W * D, the look-ahead of `_lookahead`
leads to theta'(P), and what is wanted is d meta_loss(theta'(P)) / d P, or by W:

    -(eta / n) J g        and        G = -(eta / n) D * (J g):

one directional derivative of the training logits along g: by forward mode, by a difference, or back
through the look-ahead's own backward.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from skgdw.functional._directional import LogitsOf, Params, directional_derivative
from skgdw.functional._lookahead import LossOf, MetaGradient, Rate, meta_gradient

METHODS = ("forward", "recorded", "difference", "unrolled")
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


@dataclass(frozen=True, eq=False)
class PullGradient:
    """How the meta loss changes with what is sent back for a batch, in two views.

    Attributes
    ----------
    derivative : Tensor of shape (n, c)
        Derivative of the training logits along the direction of the meta gradient, J u.
    scale : float or Tensor of shape ()
        Its factor, -(eta / n).
    logit_grad : Tensor of shape (n, c)
        Logit gradient D of the training batch.
    """

    derivative: Tensor
    scale: float | Tensor
    logit_grad: Tensor

    @cached_property
    def by_pull(self) -> Tensor:
        """The gradient by the pull P, of shape (n, c): -(eta / n) J u."""
        return self.derivative * self.scale

    @cached_property
    def by_weight(self) -> Tensor:
        """The gradient by the class-level weights, G = -(eta / n) D * (J u), of shape (n, c)."""
        return self.derivative * self.logit_grad * self.scale


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
    method : {"forward", "recorded", "difference", "unrolled"}, default="forward"
        Directional derivative by forward mode, with dual numbers or along the graph of `logits`; by
        a difference; or by the double backward of the definition.
    logits : Tensor of shape (n, c), optional
        ``train_logits(params)`` with its graph, where the caller has it already. The look-ahead
        goes back through it, "recorded" along it, and "difference" starts from its values.
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
    of the meta batch, and one forward-mode pass ("forward": three forwards' work; "recorded": two),
    one forward or two in double precision ("difference"), or one backward
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
    meta = meta_gradient(
        meta_loss,
        params,
        graph,
        weight * logit_grad,
        lookahead_lr=lookahead_lr,
        create_graph=method == "unrolled",
    )
    if method == "unrolled":
        derivative = unrolled_derivative(meta, is_tried=is_tried)
    else:
        derivative = directional_derivative(
            train_logits,
            params,
            meta.direction,
            method=method,
            logits=graph if method == "recorded" else logits,
            wide_logits=wide_logits,
        )
    gradient = PullGradient(derivative, meta.scale, logit_grad)
    return WeightGradient(gradient.by_weight, meta.meta_loss)


def unrolled_derivative(meta: MetaGradient, *, is_tried: bool = False) -> Tensor:
    """Return J u back through the look-ahead's own backward.

    Parameters
    ----------
    meta : MetaGradient
        Computed with ``create_graph=True``.
    is_tried : bool, default=False
        Whether this has worked on the module before, see `weight_gradient`.

    Returns
    -------
    Tensor of shape (n, c)
        The derivative of the training logits along ``meta.direction``.
    """
    if not is_tried:
        _check_twice_differentiable(meta.look_ahead.gradients)
    return _through_backward(meta.look_ahead.gradients, meta.look_ahead.cotangent, meta.direction)


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

    Raises
    ------
    RuntimeError
        If there is one; its name is told.
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
