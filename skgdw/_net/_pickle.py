"""What goes into a pickle of a net, and how it comes out on another device."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import FunctionType, MappingProxyType, MethodType, ModuleType
from typing import IO, Any, TypeVar

import torch
from skorch import NeuralNet
from skorch.utils import get_map_location
from torch import nn

from skgdw._net._auto_module import row_shape_for
from skgdw._net._placement import keeps_auto
from skgdw._net._protocol import SkorchNet
from skgdw._net._schedulers import without_schedulers
from skgdw._net._skops import LAYOUT as PLAIN
from skgdw._net._skops import is_skops_asking, plain_state, refuse_pickle, restore
from skgdw._net._versions import (
    VERSION,
    check_saved,
    fill_in_parameters,
    own_version,
    without_gone,
)
from skgdw._validation import check_auto_module, find_classes

# What may live on a GPU, as bytes whose tensors are put on a device that there is on loading. The
# name is skorch's.
_ON_DEVICE = "__cuda_dependent_attributes__"
# What these bytes only refer to, by its place in a tuple.
_NAMED = "_skgdw_named"
# What lives only while training runs, the rows above all.
_PASSING = frozenset(
    {"_data", "_is_partial_fit", "_session", "_seeds", "_scored_rows", "_hearers", "forward_iter"}
)

_LAYOUT = frozenset({_ON_DEVICE, "device"})


class SavingNet(NeuralNet):
    """A skorch net that can be pickled, handed to skops, and given saved parameters.

    pickle, copy and joblib get everything but what belongs to one run. skops asks by the same
    methods; it gets plain parts, out of which the net is built anew, and nothing to unpickle.
    """

    # By which ``module="auto"`` is sized; empty before rows have been seen.
    _row_shape: tuple[int, ...] = ()

    # Names in the mappings that ``fit`` was given; empty for arrays, None where it is not known.
    _row_names: tuple[str, ...] | None = None

    # Of their entries names of columns and shapes of rows; see `RemembersForm`.
    _row_columns: Mapping[str, tuple[Any, ...]] = MappingProxyType({})
    _row_shapes: Mapping[str, tuple[int, ...]] = MappingProxyType({})

    def load_params(self, *args: object, **kwargs: object) -> None:
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
        with keeps_auto(self):
            super().load_params(*args, **kwargs)
        if self.classes is not None and not hasattr(self, "classes_inferred_"):
            self.classes_inferred_ = find_classes(None, None, self.classes)

    def __getstate__(self) -> dict[str, object]:
        """Leave out what lives only while training runs, the rows above all."""
        return plain_state(self) if is_skops_asking() else _pickled_state(self)

    def __setstate__(self, state: object) -> None:
        """Restore; "auto" means the device of the machine that loads."""
        checked = check_saved(state, (_LAYOUT, PLAIN))
        if checked.keys() >= PLAIN:
            restore(self, checked)
            return
        if is_skops_asking():
            refuse_pickle()
        _unpickle(self, checked)


def _pickled_state(net: SkorchNet) -> dict[str, object]:
    """Return what goes into a pickle: everything but what belongs to one run."""
    state = {k: v for k, v in vars(net).items() if k not in _PASSING}
    prefixes = tuple(net.cuda_dependent_attributes_)
    on_device = {
        k: state.pop(k)
        for k, v in list(state.items())
        if k.startswith(prefixes) or isinstance(v, nn.Module)
    }
    file = io.BytesIO()
    pickler = _Pickler(file)
    pickler.dump(on_device)
    state = without_schedulers(state)
    state[_ON_DEVICE] = file.getvalue()
    state[_NAMED] = tuple(pickler.named)
    state[VERSION] = own_version()
    return state


def _unpickle(net: SkorchNet, state: dict) -> None:
    """Give a net the attributes of a pickled state."""
    attributes = {k: v for k, v in state.items() if k not in (_ON_DEVICE, _NAMED)}
    vars(net).update(without_gone(attributes))
    with keeps_auto(net):
        target = get_map_location(net.device)  # warns where that is a GPU and there is none
        net.device = net._check_device(net.device, target)
        options = attributes.get("torch_load_kwargs") or {"weights_only": True}
        load = partial(torch.load, map_location=target, **options)
        # Files of 0.1 name classes and functions in the bytes themselves.
        unpickler = _Unpickler(io.BytesIO(state[_ON_DEVICE]), state.get(_NAMED, ()), load)
        vars(net).update(unpickler.load())
    fill_in_parameters(net)
    if not net._row_shape and net.initialized_ and isinstance(net.module, str):
        net._row_shape = row_shape_for(vars(net)["module_"])


# Modules and optimizers are walked once more, inside, because their tensors have to come out on a
# device that there is. What a pickle holds by name is not theirs, and not every pickler finds it by
# its name: cloudpickle, and with it joblib and dask, takes the classes and functions of a notebook
# with all they consist of. So these are handed out, and the pickler outside decides.
_BY_NAME = (type, FunctionType, ModuleType, MappingProxyType, property, TypeVar)


def _module_of(value: object) -> str | None:
    return getattr(value, "__module__", None)


class _Pickler(pickle.Pickler):
    """Writes what lives on a device; what is only named stands in `named`."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self.named: list[object] = []
        self._places: dict[int, int] = {}

    def persistent_id(self, value: object) -> int | None:
        """Return the place of what is only named, None for what is written here."""
        # How torch reads a storage stays, for `_Unpickler` to replace.
        if not isinstance(value, _BY_NAME) or _module_of(value) == "torch.storage":
            return None
        if id(value) not in self._places:
            self._places[id(value)] = len(self.named)
            self.named.append(value)
        return self._places[id(value)]

    def reducer_override(self, value: object) -> Any:
        """Take apart a method that was set on an instance: its class has no such name, or another.

        One that a class has is found there again, as pickle does.

        Returns
        -------
        tuple
            How to make the method anew; ``NotImplemented`` leaves the value to pickle.
        """
        if not isinstance(value, MethodType) or isinstance(value.__self__, type):
            return NotImplemented
        if getattr(type(value.__self__), value.__name__, None) is value.__func__:
            return NotImplemented
        return MethodType, (value.__func__, value.__self__)


class _Unpickler(pickle.Unpickler):
    """Reads what `_Pickler` wrote, its tensors by `load`, which puts them where they can be."""

    def __init__(
        self, file: IO[bytes], named: Sequence[object], load: Callable[[IO[bytes]], object]
    ) -> None:
        super().__init__(file)
        self._named = named
        self._load = load

    def persistent_load(self, place: int) -> object:
        """Return what is only named."""
        return self._named[place]

    def find_class(self, module: str, name: str) -> object:
        """Return what the bytes name, a reader of our own in place of torch's of storages."""
        if (module, name) == ("torch.storage", "_load_from_bytes"):
            return self._load_storage
        return super().find_class(module, name)

    def _load_storage(self, data: bytes) -> object:
        return self._load(io.BytesIO(data))
