"""What of a training run is saved."""

from __future__ import annotations

from typing import Any, TypedDict

from torch import Tensor

from skgdw._feed._rounds import FeedState
from skgdw._training._keep_best import BestState


class SessionState(TypedDict):
    """A session between two epochs, in what ``torch.save`` keeps and a weights-only load reads."""

    stage: str
    n_epochs: int
    parts: dict[str, Any]
    rates: list[dict[str, float]]
    stream: list[Tensor]
    train: FeedState
    meta: FeedState | None
    n_steps: int
    is_recorded: bool
    is_warm: bool
    warm_up_left: int
    ledger: dict[str, Tensor]
    best: BestState | None
