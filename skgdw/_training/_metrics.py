"""Figures of a step and of an epoch for the history."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from skorch.history import History
from torch import Tensor

from skgdw._warn import warn
from skgdw.exceptions import NonFiniteLossWarning

# What a weighted step adds to the history beside skorch's losses.
_METRICS = ("meta_loss", "weight_given", "weight_other")


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
        elif not all(math.isfinite(value) for value in values):
            warn(
                f"`{name}` should stay finite; it became infinite or NaN in epoch {len(history)}. "
                "Lower `lr`, or clip gradients with skorch's GradientNormClipping callback.",
                NonFiniteLossWarning,
            )
