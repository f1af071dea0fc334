"""Names of parameters: which there are, and which one was meant."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from skorch import NeuralNet
from skorch.dataset import Dataset as SkorchDataset

from skgdw.weighting import WEIGHTINGS

# Parts that are built with arguments of the user's, and what they get besides.
_FILLED_IN: dict[str, set[str]] = {
    "module": set(),
    "criterion": set(),
    "weight_net": set(),
    "weighting": set(),
    "optimizer": {"params"},
    "weight_net_optimizer": {"params"},
    "iterator_train": {"dataset"},
    "iterator_valid": {"dataset"},
    "iterator_meta": {"dataset"},
    "dataset": {"X", "y"},
    "compile": {"model"},
}


def argument_faults(net: NeuralNet, parts: Iterable[str] = tuple(_FILLED_IN)) -> list[str]:
    """Say which ``part__name`` are no arguments of their part."""
    return [fault for part in parts if (fault := _fault_of_part(net, part))]


def check_arguments(part: str, factory: object, names: Iterable[str], filled_in: set[str]) -> None:
    """Check that a part takes the arguments `names`.

    Parameters
    ----------
    part : str
        The prefix.
    factory : callable
        What builds the part.
    names : iterable of str
        Without the prefix.
    filled_in : set of str
        Arguments that the user cannot set.

    Raises
    ------
    ValueError
        If there are others; all are named, with what was probably meant.
    """
    if fault := _argument_fault(part, factory, names, filled_in):
        raise ValueError(fault)


def check_names(net: NeuralNet, prefixes: set[str]) -> None:
    """Check the names of the keyword arguments that a net was built with.

    Parameters
    ----------
    net : skorch net
    prefixes : set of str
        What may stand before a double underscore.

    Raises
    ------
    ValueError
        If there are others; all are named, with what was probably meant.
    """
    unknown = [name for name in sorted(net._params_to_validate) if not _is_known(name, prefixes)]
    if unknown:
        found = ", ".join(f"`{name}`{_hint(net, name, prefixes)}" for name in unknown)
        raise ValueError(
            f"Parameters of {type(net).__name__} must be those of its documentation, or start with "
            f"the prefix of a part; got unexpected {found}. A subclass names its own parameters in "
            "`__init__`."
        )


def check_settable(net: NeuralNet, name: str, prefixes: set[str]) -> None:
    """Check that `set_params` knows a name without a prefix, or one inside a parameter."""
    head, nested, _ = name.partition("__")
    if head not in net._get_param_names() or (
        nested and not hasattr(getattr(net, head), "set_params")
    ):
        raise ValueError(
            f"Invalid parameter {head!r}: `set_params` must name parameters of "
            f"{type(net).__name__}, as `get_params` lists them; got "
            f"`{name}`{_hint(net, name, prefixes)}."
        )


def _is_known(name: str, prefixes: set[str]) -> bool:
    head, nested, rest = name.partition("__")
    return head in prefixes and (bool(rest) or not nested)


def _hint(net: NeuralNet, name: str, prefixes: set[str]) -> str:
    """Return what was probably meant, in words."""
    rest = name.partition("__")[2]
    known = {*_parameters(net), *(f"{prefix}__{rest}" for prefix in prefixes if rest)}
    for part in _FILLED_IN:
        known.update(f"{part}__{argument}" for argument in _settable(net, part) or ())
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.7)
    return f" (did you mean `{close[0]}`?)" if close else ""


def _parameters(net: NeuralNet) -> Iterator[str]:
    for cls in type(net).__mro__:
        if constructor := vars(cls).get("__init__"):
            for parameter in inspect.signature(constructor).parameters.values():
                if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                    yield parameter.name


def _factory(net: NeuralNet, part: str) -> Any:
    value = torch.compile if part == "compile" else getattr(net, part)
    if part == "weighting" and isinstance(value, str):
        value = WEIGHTINGS.get(value)
    return type(value) if isinstance(value, torch.nn.Module) else value


def _settable(net: NeuralNet, part: str) -> list[str] | None:
    """Return the arguments that a part takes from the user, None where that cannot be told."""
    found = _arguments(_factory(net, part))
    return None if found is None else [name for name in found if name not in _FILLED_IN[part]]


def _arguments(factory: object) -> list[str] | None:
    try:
        # As it is called: a wrapper may take more than what it wraps.
        signature = inspect.signature(factory, follow_wrapped=False)  # type: ignore[arg-type]
        parameters = signature.parameters.values()
    except (TypeError, ValueError):  # no callable, or one without a signature
        return None
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]


def _fault_of_part(net: NeuralNet, part: str) -> str | None:
    prefix = f"{part}__"
    names = [name.removeprefix(prefix) for name in vars(net) if name.startswith(prefix)]
    if names:
        taken = net.get_params_for(part)  # a subclass may keep some for itself
        names = [name for name in names if name in taken]
    if part == "dataset":
        names = [name for name in names if taken[name] is not None]
    if not names:
        return None
    if part == "dataset" and net.dataset is SkorchDataset:
        given = ", ".join(f"`{prefix}{name}`" for name in sorted(names))
        return (
            f"`dataset__...` must come with a class of your own as `dataset`; got {given} beside "
            "the default, whose place a dataset of whole batches takes. Leave it out."
        )
    filled_in = set(_FILLED_IN[part])
    if part.endswith("optimizer"):
        # skorch takes these out.
        names = [name for name in names if name.partition("__")[0] != "param_groups"]
    return _argument_fault(part, _factory(net, part), names, filled_in)


def _argument_fault(
    part: str, factory: object, names: Iterable[str], filled_in: set[str]
) -> str | None:
    known = _arguments(factory)
    if known is None:
        return None
    known = [name for name in known if name not in filled_in]
    unknown = sorted(set(names) - set(known))
    if not unknown:
        return None
    found = []
    for name in unknown:
        close = difflib.get_close_matches(name, known, n=1)
        found.append(
            f"`{part}__{name}`" + "".join(f" (did you mean `{part}__{each}`?)" for each in close)
        )
    what = getattr(factory, "__name__", type(factory).__name__)
    given = [name for name in unknown if name in filled_in]
    hint = f" {' and '.join(given)} come of the data and of `fit`: leave them out." if given else ""
    return (
        f"`{part}__...` must be arguments of {what}; got {', '.join(found)}. "
        f"Those it takes are {known or 'none'}.{hint}"
    )
