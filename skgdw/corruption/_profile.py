"""Profiles of class sizes, from the largest class (the head) to the smallest."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from skgdw._rows import IntArray

from ._rounding import round_half_up


def class_sizes(head: int, divisors: NDArray[np.float64]) -> IntArray:
    """Return the class sizes (c,), head to tail: rounded half up, at least one."""
    return np.maximum(round_half_up(head / divisors), 1)


def largest_head(available: IntArray, divisors: NDArray[np.float64]) -> int:
    """Return the largest size of the head for which every class, of one or more, has the rows."""
    # head / divisor rounds to at most `available` as long as it is below available + 1/2; from
    # just above, so that the rounding of the product does not matter.
    head = int(np.floor((available + 0.5) * divisors).min()) + 1
    while (class_sizes(head, divisors) > available).any():
        head -= 1
    return head


def _exponential(n_classes: int, ratio: float) -> NDArray[np.float64]:
    exponents = np.arange(n_classes) / max(1, n_classes - 1)
    return np.asarray(np.power(ratio, exponents), dtype=np.float64)


def _step(n_classes: int, ratio: float) -> NDArray[np.float64]:
    return np.where(np.arange(n_classes) < (n_classes + 1) // 2, 1.0, ratio)


# What n_max is divided by, head to tail.
PROFILES: dict[str, Callable[[int, float], NDArray[np.float64]]] = {
    "exp": _exponential,
    "step": _step,
}
