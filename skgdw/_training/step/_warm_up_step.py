"""A step before the first weighted one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor

from skgdw._feed._layout import Inputs
from skgdw._training._random import NullStream, RandomStream
from skgdw._training.step._plain_step import StepResult
from skgdw._training.step._sample_weights import SampleWeights, weigh_evidence
from skgdw._training.step._stateless import Output, first_output
from skgdw.weighting import Evidence
from skgdw.weighting._row_loss import RowLoss


@dataclass
class WarmUpStep:
    """Backward of what the weighting sends back before it has weights.

    Parameters
    ----------
    infer : callable
        Calls the module that learns.
    pull : callable
        Returns what is sent back for a batch.
    row_loss : RowLoss
    stream : RandomStream or NullStream
        Where the module's random numbers come from.
    attention : callable
        Returns the context that weighted steps call the module in.
    weights : SampleWeights
        Of the training rows; the loss that is reported counts them alike.
    """

    infer: Callable[[Inputs], Output]
    pull: Callable[[Evidence], Tensor]
    row_loss: RowLoss
    stream: RandomStream | NullStream
    attention: Callable[[], AbstractContextManager[None]] = nullcontext
    weights: SampleWeights = field(default_factory=SampleWeights)

    def __call__(self, X: Inputs, y: Tensor, rows: Tensor | None = None) -> StepResult:
        """Take a training batch."""
        with self.stream.active(), self.attention():
            logits = first_output(self.infer(X))
            weight = self.weights.of(rows)
            evidence = Evidence(logits.detach(), y, self.row_loss, rows, sample_weight=weight)
            with torch.no_grad():
                sent = self.pull(evidence)
            logits.backward(weigh_evidence(sent, evidence) / len(y))
            loss = self.row_loss.whole(evidence.losses, evidence.logits, y)
        return StepResult(loss, evidence)
