"""Figures of a step and of an epoch for the history."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from skorch.history import History
from torch import Tensor

from skgdw._warn import warn
from skgdw.exceptions import NonFiniteLossWarning

# What a weighted step adds to the history beside skorch's losses.
_METRICS = ("meta_loss", "weight_given", "weight_other")


class Figure(Tensor):
    """A number that is still on the device, and prints as a number.

    Only who prints it waits for the device; what is computed with it is a plain tensor.
    """

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        """Return the number as a text."""
        return repr(self.item())

    def __format__(self, format_spec: str) -> str:
        """Return the number in a format for numbers."""
        return format(self.item(), format_spec)

    def __deepcopy__(self, memo: dict[int, object]) -> float:
        """Return the number."""
        return self.item()

    def __reduce_ex__(self, protocol: object) -> tuple[type[float], tuple[float]]:
        """Have the number pickled."""
        return float, (self.item(),)


def as_figure(value: Tensor) -> Tensor:
    """Return a tensor of no dimension such that it prints as a number; others as they are."""
    return value.detach().as_subclass(Figure) if value.ndim == 0 else value


class WeightFigures(NamedTuple):
    """The weights of a batch, summed up.

    Attributes
    ----------
    at_given : Tensor of shape (n,)
        Weight of each row's given label.
    mean_given, mean_other : Tensor of shape ()
        Mean weight at the given labels, and at all other classes.
    """

    at_given: Tensor
    mean_given: Tensor
    mean_other: Tensor


def weight_figures(weight: Tensor, y: Tensor) -> WeightFigures:
    """Sum up class-level weights (n, c) for class codes (n,)."""
    given = weight.gather(1, y.unsqueeze(1)).squeeze(1)
    own, n = given.sum(), len(y)
    other = (weight.sum() - own) / (n * max(weight.shape[1] - 1, 1))
    return WeightFigures(given, own / n, other)


def settle(history: History, loss: str, *, is_weighted: bool) -> None:
    """Turn the figures of the last epoch into numbers, one transfer each, and add their means.

    Parameters
    ----------
    history : skorch.history.History
        Its last epoch's batches hold tensors that are still on the device.
    loss : str
        Name of the loss.
    is_weighted : bool
        Whether the metrics of weighted steps belong to the columns; one that no step gave is NaN.
    """
    batches = history[-1]["batches"]
    for name in (loss, *(_METRICS if is_weighted else ())):
        held = [batch for batch in batches if isinstance(batch.get(name), Tensor)]
        values = torch.stack([batch[name] for batch in held]).tolist() if held else []
        for batch, value in zip(held, values, strict=True):
            batch[name] = value
        if name != loss:
            history.record(name, sum(values) / len(values) if values else math.nan)
        elif _has_diverged(values) and not _has_diverged(_earlier(history, name)):  # once
            warn(
                f"`{name}` should stay finite; it became infinite or NaN in epoch {len(history)}. "
                "Lower `lr`, or clip gradients with skorch's GradientNormClipping callback.",
                NonFiniteLossWarning,
            )


def _has_diverged(losses: list[float]) -> bool:
    return not all(math.isfinite(loss) for loss in losses)


def _earlier(history: History, name: str) -> list[float]:
    """Return the figure of the epoch before, an empty list where there is none."""
    return [epoch[name] for epoch in history[-2:-1] if name in epoch]


def make_plain(history: History) -> None:
    """Turn what the last epoch has recorded as tensors or numpy's numbers into Python's.

    Parameters
    ----------
    history : skorch.history.History
        Has an epoch.
    """
    epoch = history[-1]
    for name, value in epoch.items():
        if isinstance(value, np.generic) or (isinstance(value, Tensor) and value.ndim == 0):
            epoch[name] = value.item()
