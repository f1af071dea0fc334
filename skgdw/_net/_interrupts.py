"""Ctrl-C: what is cut off by it may be kept by who called `fit`, but not be ranked by a search."""

from __future__ import annotations

import sys
from typing import Protocol

# Who fits many classifiers and compares them or joins them; a pipeline fits one.
_MANY = ("sklearn.", "joblib.")
_ONE = ("sklearn.base", "sklearn.pipeline", "sklearn.utils")


def is_one_of_many() -> bool:
    """Tell whether a tool of scikit-learn's or joblib's, other than a pipeline, called `fit`."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name.startswith(_MANY) and not name.startswith(_ONE):
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


class Run(Protocol):
    """What is asked of a training run.

    Attributes
    ----------
    has_ended : bool
        Whether it came to its end.
    was_stopped : bool
        Whether a callback ended it early.
    """

    has_ended: bool
    was_stopped: bool


def pass_on_interrupt(run: Run | None) -> None:
    """Raise an interrupt of the user's again, which skorch has swallowed, where others wait.

    skorch ends training on Ctrl-C and returns the net as it is, which suits a notebook. A search
    would go on, and rank a fit that was cut off.

    Parameters
    ----------
    run : Session or None
        None if it was cut off before it was built.

    Raises
    ------
    KeyboardInterrupt
        If a search or another tool that fits several classifiers has called.
    """
    is_cut_off = run is None or not (run.has_ended or run.was_stopped)
    if is_cut_off and is_one_of_many():
        raise KeyboardInterrupt
