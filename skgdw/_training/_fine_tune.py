"""Fine-tuning on a few trusted rows: how fast, chosen by cross-validation within them."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.model_selection import StratifiedKFold
from torch import nn
from torch.optim import Optimizer

from skgdw._feed._feed import Feed
from skgdw._intake._hold_out import Rows, take_rows
from skgdw._training._plan import FINE_TUNING_EPOCHS
from skgdw._training._survey import Survey
from skgdw._training.step._optimizing import forget_gradients
from skgdw._training.step._stateless import Stateless

# Shares of the learning rate that are tried; 0 is no fine-tuning.
SHARES = (0.0, 0.03, 0.1, 0.3)
BATCH_ROWS, FOLDS = 32, 5


@dataclass(frozen=True)
class FineTuner:
    """Trains copies of a network on a few rows.

    Parameters
    ----------
    module : nn.Module
    optimizer : Optimizer
        Of its parameters; a copy without memory steps the copies.
    criterion : nn.Module
        Of logits and class codes.
    feed : Feed
    survey : Survey
        Of the network.
    """

    module: nn.Module
    optimizer: Optimizer
    criterion: nn.Module
    feed: Feed
    survey: Survey

    def choose_rate(self, rows: Rows, base_rate: float, seed: int) -> float:
        """Return the rate that does best on held-out rows; of equal ones the smallest.

        Parameters
        ----------
        rows : Rows
            Trusted rows.
        base_rate : float
            The learning rate of the training before; `SHARES` of it are compared.
        seed : int
            Of the folds, and of the order of the rows.

        Returns
        -------
        float
            One of `SHARES` times `base_rate`.
        """
        y = torch.cat([y for _, y, _ in self.feed.batches(rows)]).cpu().numpy()
        n_folds = min(FOLDS, int(np.unique(y, return_counts=True)[1].min()))
        if n_folds < 2:  # nothing to compare on
            return 0.0
        folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
        scores = np.zeros(len(SHARES))
        for fitted, held_out in folds.split(y, y):
            ours, theirs = _part(rows, fitted), _part(rows, held_out)
            for k, share in enumerate(SHARES):
                tuned = self._tuned(share * base_rate, ours, seed)
                scores[k] += self._accuracy(tuned, theirs)
        return float(SHARES[int(scores.round(9).argmax())] * base_rate)

    def _tuned(self, rate: float, rows: Rows, seed: int) -> nn.Module:
        """Return a copy, trained on some rows at a constant rate."""
        module, optimizer = copy.deepcopy((self.module, self.optimizer))
        optimizer.state.clear()
        for group in optimizer.param_groups:
            group["lr"] = rate
        infer = Stateless(module.train(), self.survey.stateless.precision)
        loader = self.feed.shuffled(rows, BATCH_ROWS, seed)
        with torch.enable_grad():
            for _ in range(FINE_TUNING_EPOCHS if rate else 0):
                for batch in loader:
                    X, y = self.feed.layout(batch)
                    forget_gradients(optimizer)
                    self.criterion(infer({}, X), y).backward()
                    optimizer.step()
        return module

    def _accuracy(self, module: nn.Module, rows: Rows) -> float:
        found = list(self.survey.with_module(module).of(rows))
        hits = torch.cat([evidence.prediction == evidence.y for evidence in found])
        return hits.double().mean().item()


def _part(rows: Rows, places: np.ndarray) -> Rows:
    y = None if rows.y is None else rows.y[places]
    return Rows(take_rows(rows.X, places), y, rows.rows[places])
