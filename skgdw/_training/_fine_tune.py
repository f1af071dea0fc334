"""Fine-tuning on a few trusted rows: how fast, chosen by cross-validation within them.

A share of the rates that the groups of the optimizer have is chosen, one for all of them: a group
that is to learn slowly, or not at all, is fine-tuned in that measure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from sklearn.model_selection import StratifiedKFold
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import Dataset, Subset

from skgdw._feed._dataset import RowDataset
from skgdw._feed._draws import drawn
from skgdw._feed._feed import Feed
from skgdw._feed._layout import Inputs
from skgdw._intake._hold_out import Rows
from skgdw._training._plan import FINE_TUNING_EPOCHS
from skgdw._training._survey import Survey
from skgdw._training.step._optimizing import copied_together, take_step
from skgdw._training.step._stateless import Output, widened

# Shares of the base rates that are tried; 0 is no fine-tuning.
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
    loss : callable
        The criterion of a batch, given the module's whole output.
    feed : Feed
    survey : Survey
        Of the network.
    set_modes : callable
        Puts a copy into the modes that it is trained in.
    """

    module: nn.Module
    optimizer: Optimizer
    loss: Callable[[Output, Tensor, Inputs], Tensor]
    feed: Feed
    survey: Survey
    set_modes: Callable[[nn.Module], None]

    def choose_share(self, rows: Rows, seed: int) -> float:
        """Return the share that does best on held-out rows; of equal ones the smallest.

        Parameters
        ----------
        rows : Rows
            Trusted rows.
        seed : int
            Of the folds, and of the order of the rows.

        Returns
        -------
        float
            One of `SHARES`, for `set_rates`.
        """
        y = torch.cat([y for _, y, _ in self.feed.batches(rows)]).cpu().numpy()
        n_folds = min(FOLDS, int(np.unique(y, return_counts=True)[1].min()))
        if n_folds < 2:  # nothing to compare on
            return 0.0
        dataset = self.feed.dataset(rows.X, rows.y)
        folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
        scores = np.zeros(len(SHARES))
        for fitted, held_out in folds.split(y, y):
            ours, theirs = _part(dataset, fitted), _part(dataset, held_out)
            for k, share in enumerate(SHARES):
                scores[k] += self._accuracy(self._tuned(share, ours, seed), theirs)
        return SHARES[int(scores.round(9).argmax())]

    def _tuned(self, share: float, rows: Rows, seed: int) -> nn.Module:
        """Return a copy, trained on some rows at constant rates."""
        module, optimizer = copied_together(self.module, self.optimizer)
        optimizer.state.clear()
        set_rates(optimizer, share)
        self.set_modes(module)
        infer = self.survey.stateless.precision.wrap(partial(_call, module))
        loader = drawn(self.feed.shuffled(rows, BATCH_ROWS, seed), seed)
        with torch.enable_grad():
            for _ in range(FINE_TUNING_EPOCHS if share else 0):
                for batch in loader:
                    take_step(optimizer, partial(self._backward, infer, batch))
        return module

    def _backward(self, infer: Callable[[Inputs], Output], batch: Sequence[object]) -> Tensor:
        X, y = self.feed.layout(batch)
        loss = self.loss(infer(X), y, X)
        loss.backward()
        return loss

    def _accuracy(self, module: nn.Module, rows: Rows) -> float:
        found = list(self.survey.with_module(module).of(rows))
        hits = torch.cat([evidence.prediction == evidence.y for evidence in found])
        return hits.double().mean().item()


def rates_of(optimizer: Optimizer) -> list[dict[str, float]]:
    """Return the rates of an optimizer's groups, and those that schedules began at."""
    return [
        {key: group[key] for key in ("lr", "initial_lr") if key in group}
        for group in optimizer.param_groups
    ]


def put_rates_back(optimizer: Optimizer, rates: Sequence[dict[str, float]]) -> None:
    """Give the groups of an optimizer the rates that `rates_of` returned."""
    for group, before in zip(optimizer.param_groups, rates, strict=True):
        group.update(before)
        if "initial_lr" not in before:  # which is for schedules; there may be none
            group.pop("initial_lr", None)


def set_rates(optimizer: Optimizer, share: float) -> None:
    """Give each group of parameters a share of the rate that it began with."""
    for group in optimizer.param_groups:
        group["lr"] = share * group.get("initial_lr", group["lr"])


def _call(module: nn.Module, X: Inputs) -> Output:
    output: Output = widened(module(**X) if isinstance(X, Mapping) else module(X))
    return output


def _part(dataset: Dataset, places: np.ndarray) -> Rows:
    # Of the items, which are not always as many as the rows: a Dataset may make windows of them.
    if isinstance(dataset, RowDataset):
        return Rows(dataset.subset(places), None, places)
    return Rows(Subset(dataset, places.tolist()), None, places)
