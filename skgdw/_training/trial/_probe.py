"""What a module does, found out by passes over a few rows that change nothing."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from skgdw._training._random import RandomStream, StillStream
from skgdw._training.step._stateless import Stateless


def gains_by_channels_last(stateless: Stateless, X: Any, stream: RandomStream) -> bool:
    """Tell whether the module convolves images, on a CPU, and takes them with channels last.

    Convolutions run a good deal faster then; the numbers are the same but for rounding. A module
    that asks for a `view` of the other order raises, and gets the other order.
    """
    if not isinstance(X, Tensor) or X.ndim != 4 or X.device.type != "cpu":
        return False
    if not any(isinstance(part, nn.Conv2d) for part in stateless.module.modules()):
        return False
    try:
        trial_logits(stateless, channels_last(X), stream)
    except RuntimeError:
        return False
    return True


def repeats_itself(stateless: Stateless, X: Any, stream: RandomStream) -> bool:
    """Tell whether passes with and without a graph agree to the last bit."""
    without = trial_logits(stateless, X, stream)
    with torch.enable_grad(), stream.active(), stream.replay(stream.mark()):
        logits = stateless(stateless.copy_buffers(), X)
    return torch.equal(logits.detach(), without)


def draws_numbers(stateless: Stateless, X: Any, stream: RandomStream | StillStream) -> bool:
    """Tell whether a pass of the module draws random numbers."""
    with torch.no_grad(), stream.active():
        before = stream.mark()
        with stream.replay(before):
            stateless(stateless.copy_buffers(), X)
            after = stream.mark()
    return not all(map(torch.equal, before, after))


def channels_last(X: Any) -> Any:
    """Return images (n, channels, height, width) in the other order of memory."""
    return X.contiguous(memory_format=torch.channels_last)


def trial_logits(stateless: Stateless, X: Any, stream: RandomStream) -> Any:
    """Return what the module makes of X, changing nothing."""
    with torch.no_grad(), stream.active(), stream.replay(stream.mark()):
        return stateless(stateless.copy_buffers(), X)
