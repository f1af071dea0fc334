"""Where a net's parts live, and moving them elsewhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn


class DeviceParameter:
    """The device parameter: "auto" as given, resolved wherever skorch reads it."""

    def __get__(self, net: Any, owner: type | None = None) -> Any:
        return self if net is None else resolve(net.__dict__["device"])

    def __set__(self, net: Any, value: Any) -> None:
        net.__dict__["device"] = value


def resolve(device: Any) -> Any:
    """Return the device that "auto" stands for here, anything else as it is."""
    if isinstance(device, str) and device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device


def move(net: Any, device: Any) -> None:
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


def _modules(net: Any) -> Iterator[nn.Module]:
    parts = (getattr(net, f"{name}_") for name in (*net._modules, *net._criteria))
    return (part for part in parts if isinstance(part, nn.Module))


def _parameters(net: Any) -> Iterator[nn.Parameter]:
    return (parameter for module in _modules(net) for parameter in module.parameters())
