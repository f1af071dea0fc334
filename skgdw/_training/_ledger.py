"""What was seen of each row in training."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from skgdw.weighting import Evidence

# Batches are written down together, as a call costs more than its bytes on small ones; so many, or
# so many logits, are waited for.
_BATCHES_AT_ONCE, _LOGITS_AT_ONCE = 32, 2**20

COLUMNS = (
    "last_weight",
    "mean_weight",
    "last_loss",
    "mean_given_probability",
    "last_prediction",
    "times_seen",
    "given_posterior",
    "best_class",
    "best_posterior",
)
"""What a ledger knows of each row."""


class _Batch(NamedTuple):
    """What is heard of a batch."""

    evidence: Evidence
    given_weight: Tensor | None
    posterior: Tensor | None

    @property
    def knows(self) -> tuple[bool, bool]:
        """Whether there are weights, and posteriors."""
        return self.given_weight is not None, self.posterior is not None


def has_codes(y: object) -> bool:
    """Tell class codes from other labels, which a plain step takes as well."""
    return isinstance(y, Tensor) and y.ndim == 1 and y.dtype is torch.int64


class Ledger:
    """Keeps, on the device, what the steps saw of every row that ``fit`` was given.

    Parameters
    ----------
    n_rows : int
    device : torch.device
    """

    def __init__(self, n_rows: int, device: torch.device) -> None:
        def column(value: float, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.full((n_rows,), value, dtype=dtype, device=device)

        self._last_weight, self._last_loss = column(torch.nan), column(torch.nan)
        self._total_weight, self._total_probability = column(0), column(0)
        self._last_prediction = column(-1, torch.int32)
        self._times_seen = column(0, torch.int32)
        self._times_weighted = column(0, torch.int32)
        self._given_posterior, self._best_posterior = column(torch.nan), column(torch.nan)
        self._best_class = column(-1, torch.int32)
        self._waiting: list[_Batch] = []
        self._n_waiting = 0

    def note(
        self, evidence: Evidence, given_weight: Tensor | None, posterior: Tensor | None = None
    ) -> None:
        """Hear of a batch.

        Parameters
        ----------
        evidence : Evidence
            Passed over if it does not know its rows.
        given_weight : Tensor of shape (n,) or None
            Weights at the given labels; None in plain training.
        posterior : Tensor of shape (n, c) or None
            Of the true class; None where the weighting does not know it.
        """
        if evidence.rows is None:
            return
        batch = _Batch(evidence, given_weight, posterior)
        if self._waiting and self._waiting[-1].knows != batch.knows:
            self.write()  # plain and weighted batches are not written down together
        self._waiting.append(batch)
        self._n_waiting += evidence.logits.numel()
        if len(self._waiting) >= _BATCHES_AT_ONCE or self._n_waiting >= _LOGITS_AT_ONCE:
            self.write()

    def write(self) -> None:
        """Write down the batches that wait. Of a row that came twice the later one is the last."""
        if not self._waiting:
            return
        waiting = self._waiting
        self._waiting, self._n_waiting = [], 0
        evidence = Evidence.join([batch.evidence for batch in waiting])
        rows = evidence.rows
        assert rows is not None  # `note` lets no other in
        self._last_loss.index_copy_(0, rows, evidence.losses.to(self._last_loss.dtype))
        self._last_prediction.index_copy_(0, rows, evidence.prediction.to(torch.int32))
        once = torch.ones_like(rows, dtype=torch.int32)
        self._times_seen.index_add_(0, rows, once)
        probability = evidence.given_probability.to(self._total_probability.dtype)
        self._total_probability.index_add_(0, rows, probability)
        weights = [batch.given_weight for batch in waiting if batch.given_weight is not None]
        if weights:
            given = torch.cat(weights).to(self._last_weight.dtype)
            self._last_weight.index_copy_(0, rows, given)
            self._total_weight.index_add_(0, rows, given)
            self._times_weighted.index_add_(0, rows, once)
        posteriors = [batch.posterior for batch in waiting if batch.posterior is not None]
        if posteriors:
            posterior = torch.cat(posteriors).to(self._given_posterior.dtype)
            best = posterior.max(dim=1)
            own = posterior.gather(1, evidence.y.unsqueeze(1)).squeeze(1)
            self._given_posterior.index_copy_(0, rows, own)
            self._best_class.index_copy_(0, rows, best.indices.to(torch.int32))
            self._best_posterior.index_copy_(0, rows, best.values)

    def columns(self) -> dict[str, Tensor]:
        """Return the columns, each of shape (n_rows,).

        Figures of rows that were never seen are NaN, classes -1; so are weights in plain training,
        and posteriors where the weighting has none.

        Returns
        -------
        dict of str to Tensor
            Columns by name.
        """
        self.write()
        seen = self._times_seen
        times, weighted = (
            torch.where(count > 0, count, torch.nan) for count in (seen, self._times_weighted)
        )
        found = (
            self._last_weight,
            self._total_weight / weighted,
            self._last_loss,
            self._total_probability / times,
            self._last_prediction,
            seen,
            self._given_posterior,
            self._best_class,
            self._best_posterior,
        )
        return dict(zip(COLUMNS, found, strict=True))

    def state_dict(self) -> dict[str, Tensor]:
        """Return the tensors that the columns are made of."""
        self.write()
        return {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from a saved state."""
        for name, value in state.items():
            getattr(self, name).copy_(value)
