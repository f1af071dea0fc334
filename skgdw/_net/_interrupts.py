"""Ctrl-C, and callbacks that stop early: both come as the same exception.

What Ctrl-C cuts off may be kept by who called `fit`, but not be ranked by a search.
"""

from __future__ import annotations

import signal
import sys
from dis import opname
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


def is_stop(interrupt: KeyboardInterrupt) -> bool:
    """Tell whether a callback has raised an interrupt, to stop early: Ctrl-C comes at any line."""
    end = interrupt.__traceback__
    while end is not None and end.tb_next is not None:
        end = end.tb_next
    if end is None:
        return False
    code = end.tb_frame.f_code
    return code is not _handler_code() and opname[code.co_code[end.tb_lasti]] == "RAISE_VARARGS"


def _handler_code() -> object:
    return getattr(signal.getsignal(signal.SIGINT), "__code__", None)


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
