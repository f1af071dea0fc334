"""Passes over whole sets of rows between steps."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from skgdw._feed._feed import Feed
from skgdw._intake._hold_out import Rows
from skgdw._training._random import RandomStream
from skgdw._training.step._sample_weights import SampleWeights
from skgdw._training.step._stateless import Stateless, evaluating
from skgdw.weighting import Evidence
from skgdw.weighting._row_loss import RowLoss


class Survey:
    """Passes in evaluation mode and without a graph, leaving the training as it was.

    Parameters
    ----------
    stateless : Stateless
        The module.
    feed : Feed
    train : Rows
    meta : Rows or None
    row_loss : RowLoss
    stream : RandomStream
    weights : SampleWeights, optional
        Of the training rows.
    """

    def __init__(
        self,
        stateless: Stateless,
        feed: Feed,
        train: Rows,
        meta: Rows | None,
        row_loss: RowLoss,
        stream: RandomStream,
        weights: SampleWeights | None = None,
    ) -> None:
        self.stateless, self._feed, self._stream = stateless, feed, stream
        self._train, self._meta, self._row_loss = train, meta, row_loss
        self._weights = SampleWeights() if weights is None else weights
        self.copies: Sequence[Survey] = ()

    def with_module(self, module: nn.Module) -> Survey:
        """Return the survey of another module."""
        other = copy.copy(self)
        other.stateless = Stateless(module, self.stateless.precision)
        return other

    def beside(self, copies: Sequence[Survey]) -> Survey:
        """Return the survey with those of copies beside it, one for each further fold."""
        other = copy.copy(self)
        other.copies = copies
        return other

    @property
    def n_training_rows(self) -> int:
        """Return how many training rows there are."""
        return len(self._train.rows)

    def training_rows(self) -> Iterator[Evidence]:
        """Yield the training rows, batch by batch."""
        return self.of(self._train)

    def meta_rows(self) -> Iterator[Evidence]:
        """Yield the meta rows, batch by batch; y holds their trusted labels."""
        return iter(()) if self._meta is None else self.of(self._meta)

    @torch.no_grad()
    def of(self, rows: Rows) -> Iterator[Evidence]:
        """Yield the evidence of some rows, batch by batch, in their order."""
        for X, y, places in self._feed.batches(rows):
            with evaluating(self.stateless.module), self._stream.undone():
                logits = self.stateless({}, X)
            # Meta and validation rows have numbers of their own, which are no places in X.
            if rows is not self._train:
                yield Evidence(logits, y, self._row_loss)
            else:
                weight = self._weights.of(places)
                yield Evidence(logits, y, self._row_loss, places, sample_weight=weight)
