"""Steps as scikit-learn's pipelines name them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sklearn.pipeline import make_pipeline


def name_steps(steps: Sequence[Any]) -> list[tuple[str, Any]]:
    """Return (name, step) for each step; those without a name are named as by scikit-learn."""
    unnamed = iter(make_pipeline(*(step for step in steps if not _is_pair(step))).steps)
    return [step if _is_pair(step) else next(unnamed) for step in steps]


def _is_pair(step: object) -> bool:
    return isinstance(step, tuple) and len(step) == 2 and isinstance(step[0], str)
