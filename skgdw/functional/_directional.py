"""The derivative of the training logits along a direction in parameter space."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from skgdw.functional._not_covered import NotCovered

Params = Mapping[str, Tensor]
LogitsOf = Callable[[Params], Tensor]

try:  # a way to save time and no more: its folder can be deleted
    from skgdw.functional._recorded import recorded_derivative
except ModuleNotFoundError:

    def recorded_derivative(logits: Tensor, params: Params, tangent: Params) -> Tensor:
        """Cover nothing."""
        raise NotCovered("anything, as skgdw/functional/_recorded is not there")


@functools.cache
def _load_forward_rules() -> None:
    # At the first dual number of a process torch scripts some of its own rules, and warns of it
    # (since 2.15 where users see it); nobody who fits a classifier can do anything about that.
    with warnings.catch_warnings(), torch.autograd.forward_ad.dual_level():
        warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated")
        torch.autograd.forward_ad.make_dual(torch.zeros(1), torch.zeros(1))


def _forward(train_logits: LogitsOf, params: Params, tangent: Params) -> Tensor:
    _load_forward_rules()
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


_DERIVATIVES = ("forward", "recorded", "difference")


def directional_derivative(
    train_logits: LogitsOf,
    params: Params,
    tangent: Params,
    *,
    method: str = "forward",
    logits: Tensor | None = None,
    wide_logits: LogitsOf | None = None,
) -> Tensor:
    r"""Differentiate the logits along a direction in parameter space: :math:`J u`.

    Parameters
    ----------
    train_logits : callable
        Maps a mapping of parameters to logits of shape (n, c). It must be a pure function.
    params, tangent : mapping of str to Tensor
        The point and the direction u, with the same names and shapes.
    method : {"forward", "recorded", "difference"}, default="forward"
        Forward-mode differentiation by a pass with dual numbers (exact); the same along the graph
        of a pass that was made (exact, and no pass is made, but only for the usual operations of
        multilayer perceptrons and convolutional networks); or a one-sided difference whose step
        follows from the dtype (off by about 1e-7 in float64; in float32 by 0.1 to 0.5 % in small
        networks, and by 0.5 to 9 % in a deep ReLU network: give `wide_logits`).
    logits : Tensor of shape (n, c), optional
        ``train_logits(params)`` where the caller has them. "recorded" needs them, with their graph,
        which is kept. "difference" is saved a pass by them; it needs what a pass without a graph
        gives, to the last bits. "forward" does not look at them.
    wide_logits : callable, optional
        `train_logits` for parameters in float64, which "difference" then takes both its passes
        from.

    Returns
    -------
    Tensor of shape (n, c)
        The directional derivative.

    Raises
    ------
    ValueError
        If `method` is none of the three, or "recorded" has no `logits`.
    NotImplementedError
        If `method` is "recorded" and the graph holds what it does not cover, which the text names;
        or if torch has no forward mode for an operation of the module.

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
    if method == "recorded":
        if logits is None:
            raise ValueError(
                '`logits` must be given where `method` is "recorded"; got None. Give '
                'logits=train_logits(params), with its graph, or choose method="forward".'
            )
        return recorded_derivative(logits, params, tangent)
    if wide_logits is None:
        return _difference(train_logits, params, tangent, logits)
    dtype = next(iter(params.values())).dtype
    return _difference(wide_logits, _in_double(params), _in_double(tangent), None).to(dtype)


def _in_double(values: Params) -> dict[str, Tensor]:
    return {name: value.detach().double() for name, value in values.items()}
