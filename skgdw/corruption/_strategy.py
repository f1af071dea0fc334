"""Numbers of rows to keep that the user names class by class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skgdw._rows import IntArray

from ._named_classes import plain_label


def check_strategy(sampling_strategy: object) -> None:
    """Raise if `sampling_strategy` is neither None, nor a dict, nor can be called."""
    if isinstance(sampling_strategy, Mapping | None) or callable(sampling_strategy):
        return
    raise TypeError(
        "`sampling_strategy` must be None, a dict {class: number of rows} or a callable of y that "
        f"returns one; got {sampling_strategy!r}; pass a dict, or set imbalance_ratio instead."
    )


def wanted_rows(sampling_strategy: object, codes: IntArray, classes: NDArray[Any]) -> IntArray:
    """Return how many of the rows with `codes` (n,) each of the `classes` (c,) is to keep."""
    if not len(codes):  # all rows are trusted: there are none to take a number from
        return np.zeros(len(classes), dtype=np.intp)
    given: Any = sampling_strategy
    if callable(given):
        given = given(classes[codes])
        if not isinstance(given, Mapping):
            raise TypeError(
                "`sampling_strategy` must return a dict {class: number of rows}; got "
                f"{given!r}; return for instance {{{classes.tolist()[0]!r}: 10}}."
            )
    known = classes.tolist()
    available = np.bincount(codes, minlength=len(known))
    wanted = available.copy()
    found = []
    for name, number in given.items():
        label = plain_label(name)
        if label not in known:
            found.append(f"unknown class {label!r}")
            continue
        n_available = int(available[known.index(label)])
        if isinstance(number, bool | np.bool_) or not isinstance(number, int | np.integer):
            found.append(f"{number!r}, no integer, for {label!r}")
        elif not 1 <= number <= n_available:
            found.append(f"{number} for {label!r} with {n_available} rows")
        else:
            wanted[known.index(label)] = number
    if found:
        raise ValueError(
            "`sampling_strategy` must give classes of y an integer number of rows, from 1 to as "
            f"many as the class has; got {'; '.join(found)}; choose at most "
            f"{dict(zip(known, available.tolist(), strict=True))}, or leave classes out to keep "
            "all their rows."
        )
    return wanted
