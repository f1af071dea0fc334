"""What was built: optimizer, module, weighting net, and what they return."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sized
from functools import cache
from typing import Any, TypeVar

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from skgdw._tensors import deep_copy
from skgdw._warn import warn
from skgdw.exceptions import CriterionError, ModuleOutputError, ProbabilityOutputWarning

_Module = TypeVar("_Module", bound=nn.Module)


def copied(module: _Module, name: str = "module") -> _Module:
    """Return a deep copy of an instance, that of the parameter `name`."""
    try:
        return deep_copy(module)
    except Exception as error:  # of many kinds, by what it holds
        if isinstance(error, MemoryError):
            raise
        raise ValueError(
            f"`{name}` as an instance must be one that can be copied, so that it is not trained "
            f"itself; {type(module).__name__} cannot be: {error} Pass its class, or a function "
            "that builds it; for weight_norm and pruning there are "
            "torch.nn.utils.parametrizations."
        ) from error


def check_optimizer(name: str, optimizer: Optimizer, *, is_weighted: bool) -> None:
    """Refuse optimizers that take sparse gradients only, or ask for losses of weighted steps.

    Parameters
    ----------
    name : str
        Of the parameter that it comes from.
    optimizer : Optimizer
    is_weighted : bool
        Whether rows are weighted: plain training has a loss that can be asked for again.

    Raises
    ------
    ValueError
    """
    if is_weighted and asks_for_closure(optimizer):
        raise ValueError(
            f"`{name}` must step without a closure where rows are weighted, because a weighted "
            f"step is no function of the parameters alone; got {type(optimizer).__name__}, whose "
            "`step` asks for one. Use SGD, Adam or another first-order optimizer, or train "
            'plainly, weighting="uniform".'
        )
    if isinstance(optimizer, torch.optim.SparseAdam):
        raise ValueError(
            f"`{name}` must take ordinary gradients, which those of sparse embeddings are made "
            "into; got SparseAdam. Use Adam."
        )


def check_closure(optimizer: Optimizer, *, has_sample_weight: bool) -> None:
    """Refuse optimizers that compare losses, which count rows alike, where gradients do not.

    Raises
    ------
    ValueError
    """
    if has_sample_weight and asks_for_closure(optimizer):
        raise ValueError(
            "`optimizer` must step without a closure where rows have a `sample_weight`, which "
            f"weighs gradients and no losses; got {type(optimizer).__name__}, whose `step` asks "
            "for one. Use SGD, Adam or another first-order optimizer, or give no weights."
        )


def asks_for_closure(optimizer: Optimizer) -> bool:
    """Tell whether an optimizer's step calls for losses and gradients itself."""
    return _asks(type(optimizer))  # type: ignore[arg-type]


@cache
def _asks(kind: type[Optimizer]) -> bool:
    closure = inspect.signature(kind.step).parameters.get("closure")
    return closure is not None and closure.default is closure.empty


def check_weights(weights: object, n: int, weight_net: nn.Module) -> None:
    """Check what the weighting net returned for n losses."""
    shape = tuple(getattr(weights, "shape", ()))
    if shape != (n,):
        raise ValueError(
            f"`weight_net` must map losses (n,) to weights (n,); {type(weight_net).__name__} "
            f"returned shape {shape} for {n} losses. Squeeze its output."
        )


def check_codes(y: Tensor) -> None:
    """Refuse a batch whose labels are no class codes, where rows are weighted."""
    if y.ndim != 1 or y.dtype is not torch.int64:
        raise TypeError(
            "Batches must have one class code a row, int64, where rows are weighted; got labels of "
            f"{str(y.dtype).removeprefix('torch.')} and shape {tuple(y.shape)}, as a collate "
            "function that mixes labels makes them. Leave labels as they are, or take "
            'weighting="uniform".'
        )


def check_inputs_kept(is_kept: bool, name: str) -> None:
    """Refuse a module that changes its inputs: the passes of a step share them."""
    if not is_kept:
        raise ValueError(
            f"`module` must leave its inputs as they are where rows are weighted; {name} changes "
            "them in place, and a step passes the same rows several times. Write X = X * 2, say, "
            "in place of X.mul_(2), or begin with X = X.clone()."
        )


def check_batch_statistics(module: nn.Module, n_train: int, n_meta: int | None) -> None:
    """Refuse batches of one row where the module normalises by batch statistics."""
    found = {"training": n_train, "meta": n_meta}
    single = [name for name, n in found.items() if n == 1]
    norms = (nn.modules.batchnorm._BatchNorm,)
    if single and any(isinstance(layer, norms) and layer.training for layer in module.modules()):
        raise ValueError(
            f"Batches must hold at least two rows where the module has BatchNorm layers; the "
            f"{' and '.join(single)} batches hold one: batch statistics of one row do not exist. "
            "Raise the batch size, give more meta rows, or use another normalisation."
        )


def check_steps(n_batches: int, loader: object, name: str) -> None:
    """Refuse an epoch without a batch: nothing would be learnt, or scored, and nothing said.

    Parameters
    ----------
    n_batches : int
        Of the epoch that has just ended.
    loader : iterable
        What gave them.
    name : str
        The parameter that it came from.

    Raises
    ------
    ValueError
        If there was none.
    """
    if n_batches:
        return
    loader = getattr(loader, "loader", loader)  # ours goes round the one that it is given
    rows, size = getattr(loader, "dataset", None), getattr(loader, "batch_size", None)
    counted = f" from {len(rows)} rows" if isinstance(rows, Sized) else ""
    counted += "" if size is None else f" in batches of {size}"
    remedy = "Pass a loader or sampler that can be gone through again and again"
    if getattr(loader, "drop_last", False):
        counted += " with drop_last=True"
        remedy = f"Lower `batch_size`, or leave out `{name}__drop_last`"
    raise ValueError(f"`{name}` must give a batch in every epoch; got none{counted}. {remedy}.")


def check_free(module: nn.Module, learnable: Iterable[Tensor]) -> None:
    """Refuse to train where there is nothing to be trained.

    Parameters
    ----------
    module : nn.Module
    learnable : iterable of Tensor
        What the optimizer is to train: the parameters of the module and of the criterion.

    Raises
    ------
    ValueError
        If there is none, or all are frozen.
    """
    parameters = list(learnable)
    if any(parameter.requires_grad for parameter in parameters):
        return
    found = f"with all {len(parameters)} of them frozen" if parameters else "without any"
    raise ValueError(
        f"`module` must have parameters to train; got {type(module).__name__} {found}. Leave those "
        "of its last layers free, requires_grad=True, or give it a layer that learns."
    )


def check_criterion_frozen(criterion: nn.Module) -> None:
    """Refuse a criterion that learns: weighted gradients come of the logits, and pass it by."""
    names = [name for name, one in criterion.named_parameters() if one.requires_grad]
    if names:
        raise CriterionError(
            f"`criterion` must have nothing to train where rows are weighted; got the parameters "
            f"{names} of {type(criterion).__name__}, which no gradient would reach. Move them into "
            'the module, freeze them, or train plainly, weighting="uniform".'
        )


def check_logits_dtype(logits: Tensor, weighting: nn.Module, module: str) -> None:
    """Refuse logits that are wider than the weighting, which is as wide as the module."""
    own = next((one.dtype for one in weighting.parameters()), logits.dtype)
    if logits.dtype != own:
        raise ModuleOutputError(
            f"`module` must return logits as wide as its parameters, {own}; {module} returned "
            f"{logits.dtype}. Leave out the conversion in `forward`, or convert the whole module."
        )


def check_gradient(logits: Tensor, module: nn.Module) -> None:
    """Refuse logits, of a pass that keeps what gradients need, that come of no parameter."""
    if not logits.requires_grad:
        raise ValueError(
            "`module` must return logits that its parameters can be trained by; what "
            f"{type(module).__name__} returns has no gradient. Take `torch.no_grad` and `detach` "
            "out of `forward`."
        )


def check_auto_module(module: str, *, is_fitting: bool) -> None:
    """Check a module given as a string."""
    if module != "auto":
        raise ValueError(
            f'`module` must be "auto", a torch module or its class; got the string {module!r}.'
        )
    if not is_fitting:
        raise ValueError(
            '`module="auto"` is sized by the data, so it cannot be initialized before `fit`. Call '
            "`fit`, or give the network, for instance module=MLP, module__n_features=4, "
            "module__n_classes=3."
        )


def check_logits(logits: object, module: nn.Module, classes: NDArray[Any], *, warns: bool) -> None:
    """Check what the module returned for some rows."""
    name, n_classes = type(module).__name__, len(classes)
    if not isinstance(logits, Tensor) or logits.ndim != 2 or logits.shape[1] != n_classes:
        found, remedy = type(logits).__name__, "Return them alone, or first in a tuple or list"
        if isinstance(logits, Tensor):
            found, remedy = f"{tuple(logits.shape)}", f"Set its output width to {n_classes}"
        raise ModuleOutputError(
            f"`module` must return logits of shape (n, {n_classes}), one column for each of the "
            f"classes {classes[:10].tolist()}; {name} returned {found}. {remedy}."
        )
    if (
        warns
        and n_classes > 1
        and bool((logits >= 0).all() & ((logits.sum(dim=1) - 1).abs() < 1e-4).all())
    ):
        warn(
            f"`module` must return logits, before any softmax; the outputs of {name} are positive "
            "and sum to one over each row. Remove its last softmax.",
            ProbabilityOutputWarning,
        )
