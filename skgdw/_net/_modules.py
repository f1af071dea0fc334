"""Modules out of what stands for them: a class, an instance or another callable."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping

from torch import nn


def make_module(
    name: str,
    factory: object,
    kwargs: Mapping[str, object],
    build: Callable[[object, Mapping[str, object]], object],
) -> nn.Module:
    """Build a module.

    Parameters
    ----------
    name : str
        Of the classifier's parameter that holds `factory`.
    factory : nn.Module or callable
    kwargs : dict of str to object
        Its arguments.
    build : callable
        Takes `factory` and `kwargs`.

    Returns
    -------
    nn.Module
        The instance itself where one is given, without arguments.

    Raises
    ------
    TypeError
        If arguments are missing, or what comes out is no module.
    """
    is_instance = isinstance(factory, nn.Module)
    is_ours = getattr(build, "__module__", "").startswith(("skorch", "skgdw"))
    is_told = is_ours and not (is_instance and not kwargs)  # a user's may add some
    if missing := _missing(factory, kwargs) if is_told else []:
        what = getattr(factory, "__name__", type(factory).__name__)
        hint = "" if isinstance(factory, type) or is_instance else " A function of a batch is none."
        raise TypeError(
            f"`{name}` must be built with all arguments that it needs; got {what} without "
            f"{', '.join(f'`{each}`' for each in missing)}. "
            f"Pass {', '.join(f'{name}__{each}=...' for each in missing)}.{hint}"
        )
    module = build(factory, kwargs)
    if not isinstance(module, nn.Module):
        raise TypeError(
            f"`{name}` must be a torch module, its class, or a callable that returns a new one; "
            f"got {factory!r}, which returns {module!r}. Pass a class."
        )
    return module


def _missing(factory: object, kwargs: Mapping[str, object]) -> list[str]:
    kind = type(factory) if isinstance(factory, nn.Module) else factory
    if inspect.isbuiltin(kind):  # torch.relu and the like: without a signature
        return ["input"]
    try:
        # As it is called: a wrapper may take more than what it wraps.
        signature = inspect.signature(kind, follow_wrapped=False)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return []
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [
        each.name
        for each in signature.parameters.values()
        if each.default is each.empty and each.kind in named and each.name not in kwargs
    ]
