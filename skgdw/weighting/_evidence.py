"""What a step knows of its rows: one record that weighting, ledger and report read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, nn

from skgdw.weighting._row_loss import CrossEntropyRows, RowLoss


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a step knows of its rows, from the pass that it trains on; all of it without a graph.

    What is computed from the logits is computed when first asked for.

    Parameters
    ----------
    logits : Tensor of shape (n, c)
        The network's output, before any softmax.
    y : Tensor of shape (n,)
        Class codes of the given labels, int64.
    row_loss : RowLoss, default=cross-entropy
        The criterion's view of single rows.
    rows : Tensor of shape (n,), int64, or None
        Where the rows stand in what ``fit`` was given; None where that is not known.
    trusted : Tensor of shape (n,), bool, or None
        Which labels can be trusted; None where none of them is known to be.
    sample_weight : Tensor of shape (n,) or None
        How much each row counts by the weights that ``fit`` was given, one on average over all
        training rows; None where all count alike. Steps multiply by it what is sent back.

    Examples
    --------
    >>> import torch
    >>> from skgdw.weighting import Evidence
    >>> evidence = Evidence(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0]))
    >>> evidence.given_probability
    tensor([0.8808, 0.2689])
    >>> evidence.prediction
    tensor([0, 1])
    """

    logits: Tensor
    y: Tensor
    row_loss: RowLoss = field(default=CrossEntropyRows(nn.CrossEntropyLoss()), repr=False)
    rows: Tensor | None = None
    trusted: Tensor | None = None
    sample_weight: Tensor | None = None

    @cached_property
    def losses(self) -> Tensor:
        """Loss of each row by the criterion, shape (n,)."""
        return self.row_loss.losses(self.logits, self.y)

    @cached_property
    def logit_grad(self) -> Tensor:
        """Gradient D of each row's loss by its logits, shape (n, c), its probabilities capped."""
        return self.row_loss.logit_grad(self.logits, self.y)

    @cached_property
    def probabilities(self) -> Tensor:
        """Softmax of the logits, shape (n, c)."""
        return torch.softmax(self.logits, dim=1)

    @cached_property
    def given_probability(self) -> Tensor:
        """Probability of the given label, shape (n,)."""
        return self.row_loss.given_probability(self.losses, self.logits, self.y)

    @cached_property
    def prediction(self) -> Tensor:
        """Class code of the most probable class, shape (n,)."""
        # The first of equals, as argmax finds it in up to three times the time on a CPU.
        return self.logits.max(dim=1).indices

    @staticmethod
    def join(parts: Sequence[Evidence]) -> Evidence:
        """Return the evidence of several batches as one; what not all of them know is None."""
        first = parts[0]
        if len(parts) == 1:
            return first
        rows, trusted, weight = (
            None if any(each is None for each in found) else torch.cat([*found])  # type: ignore[list-item]
            for found in (
                [part.rows for part in parts],
                [part.trusted for part in parts],
                [part.sample_weight for part in parts],
            )
        )
        joined = Evidence(
            torch.cat([part.logits for part in parts]),
            torch.cat([part.y for part in parts]),
            first.row_loss,
            rows,
            trusted,
            weight,
        )
        if all("losses" in vars(part) for part in parts):  # known already
            vars(joined)["losses"] = torch.cat([part.losses for part in parts])
        return joined
