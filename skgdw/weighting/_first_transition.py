"""The first estimate of label noise, from what networks predict for rows they never saw."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from skgdw.functional import TransitionEstimate, deconvolve_transition, pool_transition
from skgdw.weighting._base import Survey
from skgdw.weighting._mean_predictions import mean_predictions, pool_predictions
from skgdw.weighting._right_share import all_seem_right

# Rows held out that tell enough by themselves, and the most networks that go along for more.
_ENOUGH_ROWS, _MOST_FOLDS = 1000, 4


class FirstTransition(NamedTuple):
    """What is known of label noise when the warm-up ends.

    Attributes
    ----------
    estimate : TransitionEstimate
        Right labels where none can be told to be wrong.
    right_share : Tensor of shape ()
        Share r of right labels; 1 there.
    """

    estimate: TransitionEstimate
    right_share: Tensor


def folds_that_tell(n_rows: int, share: float) -> int:
    """Return over how many folds rows have to be held out for enough of them.

    Parameters
    ----------
    n_rows : int
        Training rows n.
    share : float
        Of the rows in a fold, h, in [0, 1).

    Returns
    -------
    int
        1 where h n is 0, or 1000 and more; else 1 / h, rounded down and at most 4.
    """
    if not 0 < share * n_rows < _ENOUGH_ROWS:
        return 1
    return min(int(1 / share), _MOST_FOLDS)


def first_transition(survey: Survey, like: Tensor, share: float) -> FirstTransition:
    """Estimate the transition matrix at the end of the warm-up.

    Parameters
    ----------
    survey : Survey
        Of the network, with those of its copies.
    like : Tensor of shape (c, ...)
        Gives the device and the number of classes.
    share : float
        Of the rows in a fold; 0 where all rows were trained on.

    Returns
    -------
    FirstTransition
    """
    surveys = [survey, *survey.copies]
    meta = pool_predictions(
        [mean_predictions(each.meta_rows(), like) for each in surveys], of_same_rows=True
    )
    given = pool_predictions(
        [
            mean_predictions(each.training_rows(), like, share=share, fold=fold)
            for fold, each in enumerate(surveys)
        ],
        of_same_rows=False,
    )
    n_rows = float(given.counts.sum())
    first = deconvolve_transition(meta.by_label, given.by_label, given.counts)
    found = pool_transition(first, n_rows)
    right_share = (found.prior * found.matrix.diagonal()).sum()
    if all_seem_right(right_share, given, meta):
        # What the estimate has of wrong labels is noise.
        right = torch.eye(len(first.matrix)).to(first.matrix)
        return FirstTransition(
            TransitionEstimate(right, given.counts / n_rows), torch.ones_like(right_share)
        )
    return FirstTransition(found, right_share)
