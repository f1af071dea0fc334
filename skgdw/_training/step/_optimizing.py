"""What is done to optimizers beside their steps."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from skgdw._tensors import deep_copy
from skgdw._validation._built import asks_for_closure


def copied_together(
    module: nn.Module, optimizer: Optimizer, shared: Iterable[Tensor] = ()
) -> tuple[nn.Module, Optimizer]:
    """Return deep copies of a module and of the optimizer that steps it.

    Parameters
    ----------
    module : nn.Module
    optimizer : Optimizer
    shared : iterable of Tensor
        What is not copied.

    Returns
    -------
    tuple of nn.Module and Optimizer
    """
    memory: dict[int, Any] = {id(tensor): tensor for tensor in shared}
    found = deep_copy(module, memory), copy.deepcopy(optimizer, memory)
    # torch copies groups and state alone; of what a schedule puts there nothing is needed.
    for name in vars(optimizer).keys() - vars(found[1]).keys() - {"step", "_opt_called"}:
        setattr(found[1], name, copy.deepcopy(vars(optimizer)[name], memory))
    return found


def take_step(optimizer: Optimizer, backward: Callable[[], Tensor]) -> None:
    """Step by the gradients of a batch; an optimizer that asks for them may do so several times.

    Parameters
    ----------
    optimizer : Optimizer
    backward : callable
        Fills the gradients, and returns the loss.
    """

    def gradients() -> Tensor:
        forget_gradients(optimizer)
        loss = backward()
        make_ready(optimizer)
        return loss

    if asks_for_closure(optimizer):
        optimizer.step(gradients)  # type: ignore[arg-type]
    else:
        gradients()
        optimizer.step()


def forget_gradients(optimizer: Optimizer) -> None:
    """Do what ``zero_grad`` does, sparing its profiler's mark, which costs more than the rest."""
    if type(optimizer).zero_grad is not Optimizer.zero_grad:
        optimizer.zero_grad()
        return
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = None


def make_ready(optimizer: Optimizer) -> None:
    """See to it that an optimizer's step works for the gradients that are there."""
    make_dense(p for group in optimizer.param_groups for p in group["params"])
    unfuse_where_incomplete(optimizer)


def make_dense(parameters: Iterable[Tensor]) -> None:
    """Make sparse gradients of embeddings ordinary ones.

    Our defaults, weight decay and fused steps, take no others, and a meta gradient that is added to
    them is an ordinary one.
    """
    for parameter in parameters:
        if parameter.grad is not None and parameter.grad.layout is not torch.strided:
            parameter.grad = parameter.grad.to_dense()


def unfuse_where_incomplete(optimizer: Optimizer) -> None:
    """Give up SGD's fused step where a parameter joins others whose momentum has begun."""
    if not isinstance(optimizer, SGD):
        return
    for group in optimizer.param_groups:
        if group.get("fused") and group["momentum"]:
            learning = [p for p in group["params"] if p.grad is not None]
            begun = sum("momentum_buffer" in optimizer.state.get(p, ()) for p in learning)
            if 0 < begun < len(learning):  # torch's kernel takes all or none of them
                group["fused"] = False


def add_gradient(parameter: Tensor, grad: Tensor, weight: float) -> None:
    """Add a gradient that did not come by backward, as if it had.

    Hooks on a parameter hold rows of an embedding, or entries that were pruned, where they are.
    """
    for hook in (parameter._backward_hooks or {}).values():
        hooked = hook(grad)
        grad = grad if hooked is None else hooked
    late = getattr(parameter, "_post_accumulate_grad_hooks", None) or {}
    if late:  # which see what is added alone: they have acted on the rest
        before, parameter.grad = parameter.grad, grad * weight
        for hook in late.values():
            hook(parameter)
        added, parameter.grad = parameter.grad, before
        grad, weight = torch.zeros_like(grad) if added is None else added, 1.0
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    parameter.grad.add_(grad, alpha=weight)
