"""Parameters that training which goes on does not read again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

_PARTS = ("module", "criterion", "optimizer", "class_weight", "weight_net")
_SETTINGS = ("module__", "criterion__", "weight_net__")


def kept_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return those parameters that only the building of parts reads."""
    return {
        name: value
        for name, value in params.items()
        if name in _PARTS or name.startswith(_SETTINGS)
    }


def set_since(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the names of parameters that are others than they were."""
    return [name for name in {**before, **now} if not _is_same(before.get(name), now.get(name))]


def check_kept(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on with parts that were built of other parameters.

    Parameters
    ----------
    before, now : mapping of str to object
        `kept_params` of when the parts were built, and of now.

    Raises
    ------
    ValueError
        If any was set to something else in between; all of them are named.
    """
    if unlike := set_since(before, now):
        raise ValueError(
            f"{', '.join(f'`{name}`' for name in sorted(unlike))} must stay as the parts were "
            "built where training goes on with these, in `partial_fit` and under `warm_start`; got "
            "others since. Set them back, or start afresh: `fit` with warm_start=False."
        )


def _is_same(one: object, other: object) -> bool:
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, Tensor | np.ndarray):
        return bool(np.array_equal(np.asarray(one), np.asarray(other)))
    try:
        return bool(one == other)
    except (TypeError, ValueError, RuntimeError):  # of arrays inside
        return False
