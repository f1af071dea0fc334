"""What of a training run is saved."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, TypedDict

from torch import Tensor, nn
from torch.optim import Optimizer

from skgdw._feed._rounds import FeedState
from skgdw._training._keep_best import BestState


class SessionState(TypedDict):
    """A session between two epochs, in what ``torch.save`` keeps and a weights-only load reads."""

    stage: str
    n_epochs: int
    parts: dict[str, Any]
    frozen: list[str]
    channels_last: bool
    rates: list[dict[str, float]]
    stream: list[Tensor]
    train: FeedState
    meta: FeedState | None
    n_steps: int
    meta_gradient: str | None
    is_recorded: bool
    is_warm: bool
    warm_up: dict[str, Any] | None
    ledger: dict[str, Tensor]
    best: BestState | None


Parts = Mapping[str, nn.Module | Optimizer]


def frozen_in(parts: Parts) -> list[str]:
    """Return the names of parameters that do not learn: no state of a module tells them."""
    return [name for name, parameter in _parameters(parts) if not parameter.requires_grad]


def freeze_in(parts: Parts, frozen: Collection[str]) -> None:
    """Have the parameters of these names not learn, and all others learn."""
    for name, parameter in _parameters(parts):
        parameter.requires_grad_(name not in frozen)


def _parameters(parts: Parts) -> Iterator[tuple[str, nn.Parameter]]:
    for name, part in parts.items():
        if isinstance(part, nn.Module):
            yield from part.named_parameters(name)
