"""Where a net's parts live, and moving them elsewhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import overload

import torch
from torch import nn

from skgdw._net._protocol import Device, SkorchNet


class DeviceParameter:
    """The device parameter: "auto" as given, resolved wherever skorch reads it."""

    @overload
    def __get__(self, net: None, owner: type | None = None) -> DeviceParameter: ...
    @overload
    def __get__(self, net: object, owner: type | None = None) -> Device: ...
    def __get__(self, net: object | None, owner: type | None = None) -> DeviceParameter | Device:
        return self if net is None else resolve(vars(net)["device"])

    def __set__(self, net: object, value: Device) -> None:
        vars(net)["device"] = value


def resolve(device: Device) -> Device:
    """Return the device that "auto" stands for here, anything else as it is."""
    if isinstance(device, str) and device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device


@contextmanager
def keeps_auto(net: SkorchNet) -> Iterator[None]:
    """Undo that skorch replaces "auto" by the device that it found."""
    asked = vars(net)["device"]
    try:
        yield
    finally:
        if isinstance(asked, str) and asked == "auto":
            vars(net)["device"] = asked


def move(net: SkorchNet, device: Device) -> None:
    """Move the modules, criteria and optimizers of a built net; None leaves them where they are.

    Parameters
    ----------
    net : skorch net
    device : str, torch.device or None
        One that can be used.
    """
    if device is None:
        return
    before = list(_parameters(net))
    for module in _modules(net):
        module.to(device)
    # On some devices the parameters stay the same objects, on others torch makes new ones.
    moved = {id(old): new for old, new in zip(before, _parameters(net), strict=True)}
    for name in net._optimizers:
        optimizer = getattr(net, f"{name}_")
        for group in optimizer.param_groups:
            group["params"] = [moved.get(id(p), p) for p in group["params"]]
        state = {moved.get(id(p), p): value for p, value in optimizer.state.items()}
        optimizer.state = defaultdict(dict, state)
        optimizer.load_state_dict(optimizer.state_dict())  # brings its state to its parameters


def _modules(net: SkorchNet) -> Iterator[nn.Module]:
    parts = (getattr(net, f"{name}_") for name in (*net._modules, *net._criteria))
    return (part for part in parts if isinstance(part, nn.Module))


def _parameters(net: SkorchNet) -> Iterator[nn.Parameter]:
    return (parameter for module in _modules(net) for parameter in module.parameters())
