"""The estimator's own parameters, and what its module returns."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from skgdw._validation._names import argument_faults
from skgdw._validation._parts import part_faults
from skgdw._warn import warn
from skgdw.exceptions import ModuleOutputError, ProbabilityOutputWarning


def check_parameters(estimator: Any, choices: Mapping[str, Collection[str]]) -> None:
    """Check the estimator's own parameters, all at once.

    Parameters
    ----------
    estimator : GDWClassifier
    choices : mapping of str to collection of str
        Parameter names with their allowed values.
    """
    faults = [
        f"`{name}` must be one of {list(allowed)}; got {getattr(estimator, name)!r}."
        for name, allowed in choices.items()
        if getattr(estimator, name) not in list(allowed)
    ]
    bounds: dict[str, tuple[type, float, bool, str]] = {
        "meta_lr": (Real, 0, True, "a number >= 0"),
        "weight_clip": (Real, 0, False, "a number > 0"),
        "meta_every": (Integral, 1, True, "an integer >= 1"),
        "meta_weight": (Real, 0, True, "a number >= 0"),
        "max_epochs": (Integral, 0, True, "an integer >= 0"),
    }
    if not isinstance(estimator.lr, torch.Tensor):
        bounds["lr"] = (Real, 0, True, "a number >= 0")
    if estimator.lookahead_lr is not None:
        bounds["lookahead_lr"] = (Real, 0, False, "a number > 0, or None")
    for name, (kind, low, closed, rule) in bounds.items():
        value = getattr(estimator, name)
        in_kind = isinstance(value, kind) and not isinstance(value, bool)
        if not (in_kind and math.isfinite(value) and (value >= low if closed else value > low)):
            faults.append(f"`{name}` must be {rule}; got {value!r}.")
    for name in ("balance_meta", "keep_best", "fine_tune"):
        value = getattr(estimator, name)
        if not isinstance(value, bool | np.bool_):
            faults.append(f"`{name}` must be True or False; got {value!r}.")
    share = estimator.min_gradient_share
    if isinstance(share, bool) or not (isinstance(share, Real) and 0 <= float(share) <= 1):
        faults.append(f"`min_gradient_share` must be a number in [0, 1]; got {share!r}.")
    if fault := _device_fault(estimator.device):
        faults.append(fault)
    for name in ("batch_size", *(f"iterator_{part}__batch_size" for part in _ITERATORS)):
        size = getattr(estimator, name, -1)
        if not _is_batch_size(size):
            faults.append(f"`{name}` must be an integer >= 1, or -1 for all rows; got {size!r}.")
    faults += part_faults(estimator)
    faults += argument_faults(estimator)
    if faults:
        raise ValueError(" ".join(faults))


_ITERATORS = ("train", "meta", "valid")


def _is_batch_size(size: Any) -> bool:
    is_integer = isinstance(size, Integral) and not isinstance(size, bool)
    return is_integer and (int(size) >= 1 or int(size) == -1)


def check_device(device: Any) -> None:
    """Check that torch can use a device; None leaves placing things to the caller."""
    if fault := _device_fault(device):
        raise ValueError(fault)


def _device_fault(device: Any) -> str | None:
    if device is None:
        return None
    try:
        if torch.empty(0, device=device).is_meta:
            raise ValueError("it holds no numbers")
    except Exception as error:  # of many types, by device
        why = str(error).split("\n", 1)[0]
        return (
            f'`device` must be one that torch can use here, "auto" or None; got {device!r}: {why}. '
            'Pass device="auto", which takes cuda where there is one, or "cpu".'
        )
    return None


def check_optimizer(optimizer: Any) -> None:
    """Refuse optimizers that run the step themselves."""
    if isinstance(optimizer, torch.optim.LBFGS):
        raise ValueError(
            "`optimizer` must step without a closure, because a weighted step is no function of "
            "the parameters alone; got LBFGS. Use SGD, Adam or another first-order optimizer."
        )


def check_weights(weights: Any, n: int, weight_net: Any) -> None:
    """Check what the weighting net returned for n losses."""
    shape = tuple(getattr(weights, "shape", ()))
    if shape != (n,):
        raise ValueError(
            f"`weight_net` must map losses (n,) to weights (n,); {type(weight_net).__name__} "
            f"returned shape {shape} for {n} losses. Squeeze its output."
        )


def check_batch_statistics(module: torch.nn.Module, n_train: int, n_meta: int | None) -> None:
    """Refuse batches of one row where the module normalises by batch statistics."""
    found = {"training": n_train, "meta": n_meta}
    single = [name for name, n in found.items() if n == 1]
    norms = (torch.nn.modules.batchnorm._BatchNorm,)
    if single and any(isinstance(layer, norms) and layer.training for layer in module.modules()):
        raise ValueError(
            f"Batches must hold at least two rows where the module has BatchNorm layers; the "
            f"{' and '.join(single)} batches hold one: batch statistics of one row do not exist. "
            "Raise the batch size, give more meta rows, or use another normalisation."
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


def check_logits(logits: Any, module: Any, classes: NDArray[Any], *, warns: bool) -> None:
    """Check what the module returned for some rows."""
    name, n_classes = type(module).__name__, len(classes)
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or logits.shape[1] != n_classes:
        found = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise ModuleOutputError(
            f"`module` must return logits of shape (n, {n_classes}), one column for each of the "
            f"classes {classes[:10].tolist()}; {name} returned {found}. Set its output width to "
            f"{n_classes}."
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
