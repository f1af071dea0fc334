"""What a saved classifier holds: for pickle, for skops, and from which versions."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import LRScheduler
from skorch.history import History
from skorch.utils import get_map_location
from torch import nn

from skgdw._validation import check_auto_module, find_classes
from skgdw.exceptions import SavedVersionError
from skgdw.modules import MLP, SmallResNet

_VERSION = "_skgdw_version"
# Files of this minor version and later ones can be read; so can those without a version.
_OLDEST = (0, 1)

# Where skorch keeps what may live on a GPU, pickled once more so that it can be moved on loading.
_ON_DEVICE = "__cuda_dependent_attributes__"
# What lives only while training runs, the rows above all.
_PASSING = ("_call", "_session", "_speaks_codes")


class SavingNet(NeuralNet):
    """A skorch net that can be pickled, handed to skops, and given saved parameters.

    pickle, copy and joblib get everything but what belongs to one run. skops asks by the same
    methods; it gets plain parts, out of which the net is built anew, and nothing to unpickle.
    """

    @contextmanager
    def _keeps_auto(self) -> Iterator[None]:
        """Undo that skorch replaces "auto" by the device that it found."""
        asked = self.__dict__["device"]
        try:
            yield
        finally:
            if isinstance(asked, str) and asked == "auto":
                self.__dict__["device"] = asked

    def load_params(self, *args: Any, **kwargs: Any) -> None:
        """Load what ``save_params`` stored into a net that is fitted or initialized.

        In a net that was never fitted, ``classes`` become the labels of what is loaded.

        Parameters
        ----------
        *args, **kwargs
            As skorch's: ``f_params``, ``f_weight_net``, ``f_criterion``, ``f_optimizer``,
            ``f_weight_net_optimizer``, ``f_history``, ``checkpoint``, ``use_safetensors``.

        Raises
        ------
        ValueError
            If ``module="auto"`` has not been sized by ``fit`` yet.
        NotInitializedError
            If another net has not been initialized.
        """
        if isinstance(self.module, str) and not self.initialized_:
            check_auto_module(self.module, is_fitting=False)
        with self._keeps_auto():
            super().load_params(*args, **kwargs)
        if self.classes is not None and not hasattr(self, "classes_inferred_"):
            self.classes_inferred_ = find_classes(None, None, self.classes)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what lives only while training runs, the rows above all."""
        return _plain_state(self) if _is_skops_asking() else _pickled_state(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore; "auto" means the device of the machine that loads."""
        state = _check_saved(state)
        if "fitted" in state:
            _restore(self, state)
            return
        if _is_skops_asking():
            _refuse_pickle()
        self.__dict__["device"] = state["device"]
        with self._keeps_auto():
            super().__setstate__({**state, "device": self.device})
        _fill_in_parameters(self)


# Versions.


def _own_version() -> str:
    from skgdw import __version__  # the package is only half there when this file is imported

    return __version__


def _minor(version: Any) -> tuple[int, int] | None:
    found = re.match(r"(\d+)\.(\d+)", str(version))
    return None if found is None else (int(found[1]), int(found[2]))


def _check_saved(state: Any) -> dict[str, Any]:
    """Return a saved state without its version, which must be one that can be read."""
    here = _own_version()
    layouts = ({_ON_DEVICE, "device"}, {"params", "fitted"})
    if not isinstance(state, dict) or not any(layout <= state.keys() for layout in layouts):
        raise SavedVersionError(
            "A saved classifier must have a layout that skgdw has written; got one that version "
            f"{here} does not know. Load it with the version that wrote it."
        )
    written = state.get(_VERSION)
    minor, latest = _minor(written), _minor(here)
    if written is not None and (minor is None or latest is None or not _OLDEST <= minor <= latest):
        older = minor is not None and minor < _OLDEST
        raise SavedVersionError(
            f"A saved classifier must come from a version of skgdw from {_OLDEST[0]}.{_OLDEST[1]} "
            f"to the installed one, {here}; got one written by {written}. "
            + (
                f"Load it with skgdw {written}, store its networks with `save_params`, and load "
                "these here with `load_params`."
                if older
                else f"Install skgdw {written}, or fit and save anew."
            )
        )
    return {key: value for key, value in state.items() if key != _VERSION}


def _fill_in_parameters(net: Any) -> None:
    """Give a net that an older version saved the defaults of parameters that came later."""
    for cls in type(net).__mro__:
        constructor: Any = cls.__init__  # type: ignore[misc]
        for name, parameter in inspect.signature(constructor).parameters.items():
            if parameter.default is not parameter.empty:
                net.__dict__.setdefault(name, parameter.default)


# Pickles.


def _pickled_state(net: Any) -> dict[str, Any]:
    """Return what goes into a pickle: everything but what belongs to one run.

    Modules and optimizers are pickled for themselves, as skorch reads them, so that they can be
    moved to another device on loading.
    """
    state = {k: v for k, v in net.__dict__.items() if k not in _PASSING}
    prefixes = tuple(net.cuda_dependent_attributes_)
    on_device = {
        k: state.pop(k)
        for k, v in list(state.items())
        if k.startswith(prefixes) or isinstance(v, nn.Module)
    }
    state = _without_schedulers(state)
    state[_ON_DEVICE] = pickle.dumps(on_device)
    state[_VERSION] = _own_version()
    return state


def _without_schedulers(state: dict[str, Any]) -> dict[str, Any]:
    """Return a state whose callbacks are without torch's schedulers; ``fit`` makes them anew.

    They hold the optimizer: a second copy of the network in the pickle, bound to its device.
    """
    copies: dict[int, LRScheduler] = {}
    return {
        k: _without_scheduler(v, copies) if k.startswith("callbacks") else v
        for k, v in state.items()
    }


def _without_scheduler(value: Any, copies: dict[int, LRScheduler]) -> Any:
    if type(value) in (list, tuple):
        return type(value)(_without_scheduler(each, copies) for each in value)
    if isinstance(value, LRScheduler) and getattr(value, "lr_scheduler_", None) is not None:
        if id(value) not in copies:
            copies[id(value)] = copy.copy(value)
            copies[id(value)].lr_scheduler_ = None
        return copies[id(value)]
    return value


# skops.


def _is_skops_asking() -> bool:
    """Tell whether skops is saving or loading: it asks by the same methods as pickle.

    It promises that nothing is unpickled, so it gets, and may hand in, plain containers alone.
    """
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith("skops.io"):
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


def _refuse_pickle() -> None:
    """Refuse bytes to unpickle that stand in a skops file."""
    raise ValueError(
        "A classifier in a skops file must consist of plain parts; got one that hides a pickle, "
        "which could run any code. Do not load this file unless you trust it as you would a pickle."
    )


def _plain_state(net: Any) -> dict[str, Any]:
    """Return a net as containers, numbers and arrays, and the types among its parameters."""
    params = _without_schedulers(net.get_params(deep=False))
    offending = sorted(k for k, v in params.items() if isinstance(v, (nn.Module, torch.Tensor)))
    if offending:
        raise TypeError(
            "skops stores no torch modules or tensors, so parameters must be classes, numbers and "
            f"the like; got objects for {offending}. Give a class, with its arguments as "
            "`module__...`, or keep the classifier with pickle or `save_params`."
        )
    state: dict[str, Any] = {_VERSION: _own_version(), "params": params, "fitted": None}
    if not net.initialized_:
        return state
    parts = {f"{name}_": getattr(net, f"{name}_") for name in _part_names(net)}
    built = {*parts, "callbacks_", "prefixes_", "cuda_dependent_attributes_", "init_context_"}
    names = (k for k in net.__dict__ if k.endswith("_") and k[0] != "_" and k not in built)
    state["fitted"] = {
        "attributes": {name: net.__dict__[name] for name in names},
        "auto_shape": _auto_shape(net),
        "parts": {
            name: _map(part.state_dict(), torch.Tensor, _to_array) for name, part in parts.items()
        },
        "history": list(net.history_),
        "random": net._random.get_state(legacy=False),
    }
    _rehearse(net, state)
    return state


def _part_names(net: Any) -> list[str]:
    return [*net._modules, *net._criteria, *net._optimizers]


def _auto_shape(net: Any) -> list[int] | None:
    """Return a shape of rows for which ``module="auto"`` builds the network that there is."""
    if not isinstance(net.module, str):
        return None
    module = getattr(net.module_, "_orig_mod", net.module_)
    if isinstance(module, MLP):
        return [1, net.n_features_in_]
    side = 8 if isinstance(module, SmallResNet) else 32
    return [1, net.n_features_in_, side, side]


def _map(value: Any, kind: type, change: Any) -> Any:
    """Return nested containers with everything of a kind changed."""
    if isinstance(value, kind):
        return change(value)
    if isinstance(value, dict):
        return {k: _map(v, kind, change) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_map(v, kind, change) for v in value)
    return value


def _to_array(tensor: torch.Tensor) -> np.ndarray:
    if tensor.dtype is torch.bfloat16:  # numpy has none; loading rounds back to the same values
        tensor = tensor.float()
    return tensor.detach().cpu().numpy()


def _rehearse(net: Any, state: dict[str, Any]) -> None:
    """Load a state before it is written: a file that nobody can load would be no use."""
    params = {k: v for k, v in state["params"].items() if not k.startswith("callbacks")}
    params = {**copy.deepcopy(params), "callbacks": "disable"}
    _restore(object.__new__(type(net)), {**state, "params": params})


def _restore(net: Any, state: dict[str, Any]) -> None:
    """Make a net out of its plain state."""
    type(net).__init__(net, **state["params"])
    fitted = state["fitted"]
    if fitted is None:
        return
    net.__dict__.update(fitted["attributes"])
    net._random = np.random.RandomState()  # not seeded: `random_state` may be one that others share
    with net._keeps_auto():
        if net.device is not None:
            net.device = net._check_device(net.device, get_map_location(net.device))
        if fitted["auto_shape"] is not None:
            like = np.zeros(fitted["auto_shape"], dtype=np.float32)
            net._build_rows = like
        try:
            net.initialize()
            for name, part in fitted["parts"].items():
                getattr(net, name).load_state_dict(_map(part, np.ndarray, torch.as_tensor))
        except Exception as error:
            raise ValueError(
                "A classifier in a skops file is built anew, so its parameters must build the "
                f"networks and optimizers that it has; got {type(error).__name__}: {error}. Fit "
                "after setting parameters, or keep the classifier with pickle."
            ) from error
        finally:
            net.__dict__.pop("_build_rows", None)
    net.history_ = History(fitted["history"])
    net._random.set_state(fitted["random"])
