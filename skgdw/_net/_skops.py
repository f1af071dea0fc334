"""A net as plain parts, for skops: out of them it is built anew, and nothing is unpickled."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from typing import TypeVar, cast

import numpy as np
import torch
from skorch.history import History
from skorch.utils import get_map_location
from torch import Tensor, nn

from skgdw._net._placement import keeps_auto
from skgdw._net._protocol import SkorchNet
from skgdw._net._schedulers import without_schedulers
from skgdw._net._versions import VERSION, own_version, without_gone

# What a state of this kind holds at least.
LAYOUT = frozenset({"params", "fitted"})

# Set while a net is built; `initialize` makes them.
_BUILT = {"callbacks_", "prefixes_", "cuda_dependent_attributes_", "init_context_"}

T = TypeVar("T")


def is_skops_asking() -> bool:
    """Tell whether skops is saving or loading: it asks by the same methods as pickle.

    It promises that nothing is unpickled, so it gets, and may hand in, plain containers alone.

    Returns
    -------
    bool
        Whether a frame of skops is among the callers.
    """
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith("skops.io"):
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


def refuse_pickle() -> None:
    """Refuse bytes to unpickle that stand in a skops file."""
    raise ValueError(
        "A classifier in a skops file must consist of plain parts; got one that hides a pickle, "
        "which could run any code. Do not load this file unless you trust it as you would a pickle."
    )


def plain_state(net: SkorchNet) -> dict[str, object]:
    """Return a net as containers, numbers and arrays, and the types among its parameters."""
    params = without_schedulers(net.get_params(deep=False))
    offending = sorted(k for k, v in params.items() if isinstance(v, (nn.Module, Tensor)))
    if offending:
        raise TypeError(
            "skops stores no torch modules or tensors, so parameters must be classes, numbers and "
            f"the like; got objects for {offending}. Give a class, with its arguments as "
            "`module__...`, or keep the classifier with pickle or `save_params`."
        )
    state: dict[str, object] = {VERSION: own_version(), "params": params, "fitted": None}
    if not net.initialized_:
        return state
    parts = {f"{name}_": getattr(net, f"{name}_") for name in _part_names(net)}
    built = {*parts, *_BUILT}
    names = (k for k in vars(net) if k.endswith("_") and k[0] != "_" and k not in built)
    state["fitted"] = {
        "attributes": {name: vars(net)[name] for name in names},
        "row_shape": list(net._row_shape),
        "row_names": None if net._row_names is None else list(net._row_names),
        "row_columns": {k: v for k, v in net._row_columns.items() if _is_plain(v)},
        "row_shapes": dict(net._row_shapes),
        "parts": {name: _map(part.state_dict(), Tensor, _to_array) for name, part in parts.items()},
        "history": list(net.history_),
        "random": net._random.get_state(legacy=False),
    }
    _rehearse(net, state)
    return state


def restore(net: SkorchNet, state: dict) -> None:
    """Make a net out of its plain state."""
    type(net).__init__(net, **without_gone(state["params"]))
    fitted = state["fitted"]
    if fitted is None:
        return
    vars(net).update(fitted["attributes"])
    net._random = np.random.RandomState()  # not seeded: `random_state` may be one that others share
    net._row_shape = _row_shape(fitted)
    names = fitted.get("row_names")  # files of 0.1 do not tell
    net._row_names = None if names is None else tuple(names)
    net._row_columns = fitted.get("row_columns", {})
    net._row_shapes = fitted.get("row_shapes", {})
    with keeps_auto(net):
        if net.device is not None:
            net.device = net._check_device(net.device, get_map_location(net.device))
        try:
            net.initialize()
            for name, saved in fitted["parts"].items():
                part, values = getattr(net, name), _map(saved, np.ndarray, torch.as_tensor)
                if name == "weighting_":  # its row memory is made by `fit`
                    _make_buffers(part, cast("dict[str, Tensor]", values))
                part.load_state_dict(values)
        except Exception as error:
            raise ValueError(
                "A classifier in a skops file is built anew, so its parameters must build the "
                f"networks and optimizers that it has; got {type(error).__name__}: {error}. Fit "
                "after setting parameters, or keep the classifier with pickle."
            ) from error
    net.history_ = History(fitted["history"])
    net._random.set_state(fitted["random"])


def _make_buffers(module: nn.Module, values: dict[str, Tensor]) -> None:
    """Make the buffers that a module got after it was built."""
    known = module.state_dict().keys()
    for name, value in values.items():
        path, _, last = name.rpartition(".")
        if name not in known:
            module.get_submodule(path).register_buffer(last, torch.empty_like(value))


def _row_shape(fitted: dict) -> tuple[int, ...]:
    """Return the shape of a row, also from a file of 0.1, which held the shape of some rows."""
    return tuple(fitted["row_shape"] if "row_shape" in fitted else (fitted["auto_shape"] or ())[1:])


def _is_plain(value: object) -> bool:
    """Tell texts and numbers, and tuples of them: columns may have names of any kind."""
    if type(value) is tuple:
        return all(map(_is_plain, value))
    return type(value) in (str, int, float, bool)


def _part_names(net: SkorchNet) -> list[str]:
    return [*net._modules, *net._criteria, *net._optimizers]


def _map(value: object, kind: type[T], change: Callable[[T], object]) -> object:
    """Return nested containers with everything of a kind changed."""
    if isinstance(value, kind):
        return change(value)
    if isinstance(value, dict):
        return {k: _map(v, kind, change) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_map(v, kind, change) for v in value)
    return value


def _to_array(tensor: Tensor) -> np.ndarray:
    if tensor.dtype is torch.bfloat16:  # numpy has none; loading rounds back to the same values
        tensor = tensor.float()
    return tensor.detach().cpu().numpy()


def _rehearse(net: SkorchNet, state: dict) -> None:
    """Load a state before it is written: a file that nobody can load would be no use."""
    params = {k: v for k, v in state["params"].items() if not k.startswith("callbacks")}
    params = {**copy.deepcopy(params), "callbacks": "disable"}
    restore(object.__new__(type(net)), {**state, "params": params})
