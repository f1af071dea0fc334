"""What a fit was made with, in short texts that are the same in every process."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Set
from functools import partial
from types import CodeType

import numpy as np
import torch
from skorch.callbacks import LRScheduler
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from skgdw._intake._check_fit import TrainingData
from skgdw._intake._hold_out import Rows

# Parameters that change nothing in what is learnt.
_WITHOUT_EFFECT = {"verbose", "device"}

_PLAIN = (bool, int, float, str, type(None))


def fingerprint(params: Mapping[str, object], data: TrainingData) -> dict[str, str]:
    """Return the parameters and data of a fit in short texts.

    Parameters
    ----------
    params : mapping of str to object
        Of the classifier. Of networks that are given as instances the structure counts, and what
        their parameters start at where that is not drawn: in another process what is drawn is
        other, and what was trained takes its place. Of other objects the class counts, and what is
        plain in them; of callbacks the schedules of the rate.
    data : TrainingData
        All values count. Of a Dataset it is the class, the number of rows and the labels that came
        beside: reading all of it might take long.

    Returns
    -------
    dict of str to str
        By the name of the parameter, and by "the training rows" and the like.
    """
    schedules = dict(_schedules(params.get("callbacks")))
    named = {"lr_schedule", *schedules}
    texts = {name: _text(value) for name, value in params.items() if _has_effect(name, named)}
    if schedules:
        texts["the schedules among the callbacks"] = str([_text(one) for one in schedules.values()])
    parts = {"training rows": data.train, "meta rows": data.meta, "validation rows": data.valid}
    for name, rows in parts.items():
        if rows is not None:
            texts[f"the {name}"] = f"{len(rows.rows)} rows {_digest(_content(rows))}"
    if data.sample_weight is not None:
        texts["the sample weights"] = _digest([data.sample_weight])
    texts["the classes"] = str(data.classes.tolist())
    return texts


def _has_effect(name: str, schedules: Set[str]) -> bool:
    if name.startswith("callbacks"):
        return "__" in name and name.split("__")[1] in schedules
    return name not in _WITHOUT_EFFECT


def _schedules(callbacks: object) -> Iterator[tuple[str, object]]:
    """Yield the schedules of a user's own, by name; instances or classes, as skorch takes them."""
    for each in callbacks if isinstance(callbacks, list) else []:
        part = each[-1] if isinstance(each, tuple) else each
        kind = part if isinstance(part, type) else type(part)
        if issubclass(kind, LRScheduler):
            yield each[0] if isinstance(each, tuple) else kind.__name__, part


def _content(rows: Rows) -> Iterator[object]:
    yield rows.rows  # the ledger goes by the places
    yield rows.y
    if not isinstance(rows.X, Mapping):
        yield rows.X
        return
    for name, values in rows.X.items():
        yield name
        yield values


def _text(value: object) -> str:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, _PLAIN):
        return repr(value)
    if isinstance(value, Tensor | np.ndarray):
        return f"{tuple(value.shape)} {value.dtype} {_digest([value])}"
    if isinstance(value, Mapping):
        return str({str(key): _text(each) for key, each in value.items()})
    if isinstance(value, tuple | list):
        return str([_text(each) for each in value])
    if isinstance(value, Set):
        return str(sorted(_text(each) for each in value))
    if isinstance(value, partial):
        return f"partial of {_text([value.func, value.args, value.keywords])}"
    if isinstance(value, CodeType):
        return _digest([value.co_code.hex(), str(value.co_names), _text(value.co_consts)])
    if hasattr(value, "__qualname__"):  # a class or a function
        code = getattr(value, "__code__", None)
        is_named = code is None or "<" not in value.__qualname__
        return _name(value) if is_named else f"{_name(value)} {_text(code)}"
    details = _structure(value) if isinstance(value, nn.Module) else _plain_attributes(value)
    return f"{_name(type(value))} {_digest([details])}" if details else _name(type(value))


def _name(value: object) -> str:
    return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}"


def _structure(module: nn.Module) -> str:
    """Tell what a network is made of: all but the values of its parameters."""
    layers = [
        (name, _name(type(layer)), _plain_attributes(layer))
        for name, layer in module.named_modules()
    ]
    shapes = [
        (name, tuple(p.shape), p.requires_grad, _constant(p))
        for name, p in module.named_parameters()
    ]
    buffers = [(name, _text(buffer)) for name, buffer in module.named_buffers()]
    return str((layers, shapes, buffers))


def _constant(parameter: Tensor) -> str:
    """Return the number that a parameter starts at, if it is a single one, or the same all over."""
    if is_lazy(parameter) or not parameter.numel() or (parameter.numel() == 1 and parameter.ndim):
        return ""
    first = parameter.detach().reshape(-1)[0]
    return str(first.item()) if bool((parameter == first).all()) else ""


def _plain_attributes(value: object) -> str:
    """Tell the attributes of an object whose texts do not depend on the process."""
    kinds = (*_PLAIN, np.generic, Tensor, np.ndarray, partial)

    def is_plain(each: object) -> bool:
        if isinstance(each, tuple | list):
            return all(map(is_plain, each))
        if isinstance(each, Mapping):
            return all(isinstance(key, str) and is_plain(part) for key, part in each.items())
        return isinstance(each, kinds) or hasattr(each, "__qualname__")

    own = {
        name: _text(each)
        for name, each in sorted(getattr(value, "__dict__", {}).items())
        # What ends in an underscore was made by a fit.
        if not name.startswith("_")
        and not name.endswith("_")
        and name != "training"
        and is_plain(each)
    }
    return str(own) if own else ""


def _digest(parts: Iterable[object]) -> str:
    """Return a short number of values: of arrays and tensors their bytes, else their texts."""
    found = hashlib.blake2b(digest_size=8)
    for part in parts:
        if isinstance(part, np.ndarray) and part.dtype.kind in "biufc":
            found.update(str((part.shape, part.dtype.str)).encode())
            found.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
        elif isinstance(part, Tensor):
            tensor = part.detach().cpu().contiguous()
            found.update(str((tuple(tensor.shape), tensor.dtype)).encode())
            # Not as an array at once: numpy has no bfloat16.
            found.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
        elif isinstance(part, np.ndarray | list):
            found.update(str(np.asarray(part).tolist()).encode())
        else:
            found.update((part if isinstance(part, str) else _name(type(part))).encode())
        found.update(b";")
    return found.hexdigest()
