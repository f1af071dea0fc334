"""Warnings that point at the line of the caller's, however deep they arise."""

from __future__ import annotations

import contextlib
import sys
import warnings
from pathlib import Path

import skorch
import torch

_PACKAGES = (Path(str(p)).parent for p in (__file__, skorch.__file__, torch.__file__))
# What runs between our frames, too: context managers that are generators.
_INSIDE = (*map(str, _PACKAGES), contextlib.__file__)


def warn(message: str, category: type[Warning]) -> None:
    """Warn as if the first frame outside of this package, skorch and torch did."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_INSIDE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
