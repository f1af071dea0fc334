"""Classes as the user names them, and what is wrong with a list of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def plain_label(label: object) -> Any:
    """Return a label as Python's own type, to be compared with ``classes_.tolist()``."""
    return label.tolist() if hasattr(label, "tolist") else label


def permutation_faults(given: Iterable[Any], known: list[Any]) -> list[str]:
    """Say what keeps the labels `given` from being each of `known` once; nothing does if empty."""
    labels = [plain_label(label) for label in given]
    faults = {
        "missing": [label for label in known if label not in labels],
        "unknown": [label for label in labels if label not in known],
        "repeated": [label for i, label in enumerate(labels) if label in labels[:i]],
    }
    return [f"{name} {which}" for name, which in faults.items() if which]
