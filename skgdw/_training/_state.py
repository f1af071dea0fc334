"""What of a training run is saved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypedDict

from torch import Tensor, nn
from torch.optim import Optimizer

from skgdw._feed._rounds import FeedState
from skgdw._training._buffers import put_buffers, unlisted_buffers
from skgdw._training._keep_best import BestState


class PartsState(TypedDict):
    """Modules and optimizers, with what their own state dicts leave out."""

    states: dict[str, Any]
    buffers: dict[str, dict[str, Tensor]]
    frozen: list[str]


class SessionState(TypedDict):
    """A session between two epochs, in what ``torch.save`` keeps and a weights-only load reads."""

    stage: str
    n_epochs: int
    was_stopped: bool
    parts: PartsState
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


def state_of(parts: Parts) -> PartsState:
    """Return what is saved of modules and optimizers."""
    modules = ((name, part) for name, part in parts.items() if isinstance(part, nn.Module))
    return PartsState(
        states={name: part.state_dict() for name, part in parts.items()},
        buffers={name: unlisted_buffers(module) for name, module in modules},
        frozen=[name for name, one in _parameters(parts) if not one.requires_grad],
    )


def load_state(parts: Parts, saved: PartsState) -> None:
    """Give modules and optimizers what `state_of` returned."""
    for name, part in parts.items():
        part.load_state_dict(saved["states"][name])
        if isinstance(part, nn.Module):
            put_buffers(part, saved["buffers"][name])
    for name, parameter in _parameters(parts):
        parameter.requires_grad_(name not in saved["frozen"])


def _parameters(parts: Parts) -> Iterator[tuple[str, nn.Parameter]]:
    for name, part in parts.items():
        if isinstance(part, nn.Module):
            yield from part.named_parameters(name)
