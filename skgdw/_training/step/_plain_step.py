"""A step of plain training, and what every step returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeAlias

from torch import Tensor

from skgdw._feed._layout import Inputs
from skgdw._training._random import RandomStream
from skgdw._training.step._sample_weights import SampleWeights, weigh
from skgdw._training.step._stateless import Output, first_output
from skgdw.weighting import Evidence
from skgdw.weighting._row_loss import RowLoss


class StepResult(NamedTuple):
    """What a step found out; tensors without a graph, still on the device.

    Attributes
    ----------
    loss : Tensor of shape ()
        The criterion of the training batch.
    evidence : Evidence
        Of the training batch.
    weight : Tensor of shape (n, c) or None
        The class-level weights, before a batch that keeps too little of its gradient is scaled
        up as a whole; None in plain training.
    meta_loss : Tensor of shape () or None
        Loss of the meta batch after the look-ahead; None on steps without one.
    posterior : Tensor of shape (n, c) or None
        How probable each class is to be the true one, where the weighting knows.
    """

    loss: Tensor
    evidence: Evidence
    weight: Tensor | None = None
    meta_loss: Tensor | None = None
    posterior: Tensor | None = None


# Changes the module by one step on inputs, class codes, places of the rows; the batch is what
# callbacks get.
Update: TypeAlias = Callable[[Inputs, Tensor, Tensor | None, Any], StepResult]


class Step(Protocol):
    """Fills ``.grad`` of the module's parameters; the caller's optimizer does the rest."""

    def __call__(self, X: Inputs, y: Tensor, rows: Tensor | None = None) -> StepResult:
        """Take a training batch: inputs (n, ...), class codes (n,), places of the rows (n,)."""


@dataclass
class PlainStep:
    """Backward of the loss that skorch would take, nothing else.

    Parameters
    ----------
    infer : callable
        Calls the live module.
    loss : callable
        The criterion of a batch, given the module's whole output.
    row_loss : RowLoss
        What the ledger hears of single rows.
    stream : RandomStream
        Where the module's random numbers come from.
    weights : SampleWeights
        Of the rows; the loss that is reported counts them alike.
    """

    infer: Callable[[Inputs], Output]
    loss: Callable[[Output, Tensor, Inputs], Tensor]
    row_loss: RowLoss
    stream: RandomStream
    weights: SampleWeights = field(default_factory=SampleWeights)

    def __call__(self, X: Inputs, y: Tensor, rows: Tensor | None = None) -> StepResult:
        """Take a training batch."""
        weight = self.weights.of(rows)
        with self.stream.active():
            output = self.infer(X)
            if weight is not None:
                first_output(output).register_hook(lambda grad: weigh(grad, weight))
            loss = self.loss(output, y, X)
            loss.backward()
        logits = first_output(output).detach()
        evidence = Evidence(logits, y, self.row_loss, rows, sample_weight=weight)
        return StepResult(loss.detach(), evidence)
