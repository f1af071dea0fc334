"""The virtual passes of a step: the module called with other parameters, leaving no trace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from skgdw._feed._layout import Inputs
from skgdw._training._precision import Precision
from skgdw._training._random import NullStream, RandomStream
from skgdw._training.step._stateless import State, Stateless


class Start(NamedTuple):
    """What the live pass will change or draw, for virtual passes to start from.

    Attributes
    ----------
    buffers : mapping of str to Tensor
        Copies of the module's buffers.
    rng_state : list of Tensor
        Position of the random stream.
    """

    buffers: State
    rng_state: list[Tensor]

    def fresh(self, values: State) -> dict[str, Tensor]:
        """Return parameters with buffers to write to, as BatchNorm does: each pass its own."""
        return {**values, **{name: buffer.clone() for name, buffer in self.buffers.items()}}


@dataclass(frozen=True)
class Passes:
    """Virtual passes of a module that draw and write as its live pass does.

    Parameters
    ----------
    stateless : Stateless
    stream : RandomStream or NullStream
        Active wherever a pass is made.
    """

    stateless: Stateless
    stream: RandomStream | NullStream

    def start(self) -> Start:
        """Note where the live pass will start from, just before it is made."""
        self.stateless.refresh()
        return Start(self.stateless.copy_buffers(), self.stream.rng_state())


@dataclass(frozen=True)
class TrainingPass:
    """The pass over a training batch, and virtual ones that start where it started.

    Parameters
    ----------
    passes : Passes
    start : Start
    X : Inputs
        The training batch.
    logits : Tensor of shape (n, c)
        What the pass returned, with its graph.
    """

    passes: Passes
    start: Start
    X: Inputs
    logits: Tensor

    def train_logits(self, values: State, precision: Precision | None = None) -> Tensor:
        """Return the batch's logits at other parameters: the same draws, buffers of their own."""
        with self.passes.stream.replay(self.start.rng_state):
            return self.passes.stateless(self.start.fresh(values), self.X, precision=precision)

    def full_logits(self, values: State) -> Tensor:
        """Return these logits without autocast: a difference of short numbers would be noise."""
        return self.train_logits(values, Precision())

    def wide_logits(self, values: State) -> Tensor:
        """Return these logits from passes in double precision."""
        with self.passes.stream.replay(self.start.rng_state):
            return self.passes.stateless.wide(self.start.fresh(values), self.X)

    def meta_loss(self, values: State, X_meta: Inputs, y_meta: Tensor) -> Tensor:
        """Return the mean cross-entropy of a meta batch at other parameters."""
        return F.cross_entropy(self.passes.stateless(self.start.fresh(values), X_meta), y_meta)

    def check_wide(self) -> None:
        """Raise if passes in double precision are none, or give other logits.

        Parameters that grow by a little twice must change the logits twice alike; a module that
        rounds to single precision somewhere inside changes them by steps.

        Raises
        ------
        RuntimeError
            Says which of the two it is.
        """
        own = self.passes.stateless.parameters
        with torch.no_grad():
            z, once, twice = (
                self.wide_logits({name: p.double() * (1 + k * 1e-8) for name, p in own.items()})
                for k in range(3)
            )
        eps = self.passes.stateless.precision.eps or torch.finfo(self.logits.dtype).eps
        if (z - self.logits).norm() > 3 * eps**0.5 * z.norm():
            raise RuntimeError("its passes in double precision give other logits")
        moved, bent = (twice - z).norm(), (twice - 2 * once + z).norm()
        is_stuck = moved == 0 and z.norm() > 0  # a head that starts at zero stays there
        if z.dtype != torch.float64 or bent > 0.1 * moved or is_stuck:
            raise RuntimeError("it rounds to single precision inside")
