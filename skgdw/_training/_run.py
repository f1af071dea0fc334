"""What one call of ``fit`` has in hand, and what it writes down."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from skgdw._intake._hold_out import Rows
from skgdw._training._ledger import Ledger
from skgdw._training.step._step import Step, StepResult
from skgdw._warn import warn
from skgdw.exceptions import NonFiniteLossWarning

# What a weighted step adds to the history beside skorch's losses.
_METRICS = ("meta_loss", "weight_given", "weight_other")


@dataclass
class Run:
    """What lives for one call of ``fit`` or ``partial_fit`` and is never pickled.

    The seeds have names, so that results do not hang on who asks first: "stream" for what the
    module draws, "train" and "meta" for the orders of the rows.
    """

    train: Rows
    meta: Rows | None
    n_rows: int
    is_partial_fit: bool
    seeds: dict[str, int] = field(default_factory=dict)
    step: Step | None = None
    update: Callable[[Any, Tensor, Any], StepResult] | None = None
    ledger: Ledger | None = None
    has_begun: bool = False
    channels_last: bool = False


def settle(history: Any, loss: str, *, is_weighted: bool) -> None:
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
