"""Callbacks as they are saved: without torch's schedulers, which ``fit`` makes anew.

A scheduler holds the optimizer: a second copy of the network in a file, bound to its device.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

from skorch.callbacks import LRScheduler


def without_schedulers(state: Mapping[str, object]) -> dict[str, object]:
    """Return attributes or parameters of a net, its callbacks as they are saved."""
    copies: dict[int, LRScheduler] = {}  # one that stands in several places stays one
    return {
        k: _without_scheduler(v, copies) if k.startswith("callbacks") else v
        for k, v in state.items()
    }


def _without_scheduler(value: object, copies: dict[int, LRScheduler]) -> object:
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return type(value)(_without_scheduler(each, copies) for each in value)
    if isinstance(value, LRScheduler) and getattr(value, "lr_scheduler_", None) is not None:
        if id(value) not in copies:
            copies[id(value)] = copy.copy(value)
            copies[id(value)].lr_scheduler_ = None
        return copies[id(value)]
    return value
