"""The estimator's own parameters, and what its module returns."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import torch
from numpy.typing import NDArray

from skgdw.exceptions import ModuleOutputError, ProbabilityOutputWarning


def check_parameters(estimator: Any, choices: Mapping[str, tuple[Any, ...]]) -> None:
    """Check the estimator's own parameters, all at once.

    Parameters
    ----------
    estimator : GDWClassifier
    choices : mapping of str to tuple
        Parameter names with their allowed values.
    """
    faults = [
        f"`{name}` must be one of {list(allowed)}; got {getattr(estimator, name)!r}."
        for name, allowed in choices.items()
        if getattr(estimator, name) not in allowed
    ]
    bounds: dict[str, tuple[type, float, bool, str]] = {
        "meta_lr": (Real, 0, True, "a number >= 0"),
        "weight_clip": (Real, 0, False, "a number > 0"),
        "meta_every": (Integral, 1, True, "an integer >= 1"),
        "max_epochs": (Integral, 0, True, "an integer >= 0"),
    }
    if estimator.lookahead_lr is not None:
        bounds["lookahead_lr"] = (Real, 0, False, "a number > 0, or None")
    for name, (kind, low, closed, rule) in bounds.items():
        value = getattr(estimator, name)
        in_kind = isinstance(value, kind) and not isinstance(value, bool)
        if not (in_kind and math.isfinite(value) and (value >= low if closed else value > low)):
            faults.append(f"`{name}` must be {rule}; got {value!r}.")
    if faults:
        raise ValueError(" ".join(faults))


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


def check_logits(logits: Any, module: Any, classes: NDArray[Any]) -> None:
    """Check what the module returned for some rows."""
    name, n_classes = type(module).__name__, len(classes)
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or logits.shape[1] != n_classes:
        found = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise ModuleOutputError(
            f"`module` must return logits of shape (n, {n_classes}), one column for each of the "
            f"classes {classes[:10].tolist()}; {name} returned {found}. Set its output width to "
            f"{n_classes}."
        )
    if n_classes > 1 and bool((logits >= 0).all() & ((logits.sum(dim=1) - 1).abs() < 1e-4).all()):
        warnings.warn(
            f"`module` must return logits, before any softmax; the outputs of {name} are positive "
            "and sum to one over each row. Remove its last softmax.",
            ProbabilityOutputWarning,
            stacklevel=2,
        )
