"""The source of what is drawn about rows."""

from __future__ import annotations

import threading

import numpy as np
from sklearn.utils import check_random_state

# Held by whoever swaps a global random state, torch's or another: one thread at a time may.
GLOBAL_STATES = threading.RLock()


def local_random_state(
    random_state: int | np.random.RandomState | None,
) -> np.random.RandomState:
    """Return a generator; None gives a fresh one where scikit-learn gives numpy's global one."""
    if random_state is None:
        return np.random.RandomState()
    try:
        generator: np.random.RandomState = check_random_state(random_state)
    except ValueError as error:
        is_int = isinstance(random_state, int | np.integer)
        raise (ValueError if is_int else TypeError)(
            "`random_state` must be None, an int from 0 to 2**32 - 1 or a numpy RandomState; got "
            f"{random_state!r}; pass an int, or np.random.RandomState(seed)."
        ) from error
    return generator
