"""What a network predicts on average for the rows of each label."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from skgdw.weighting._evidence import Evidence

# Multiplicative hashing spreads row numbers evenly, whatever order the rows are in.
_HASH_FACTOR, _HASH_SIZE = 2654435761, 2**32


def drawn_rows(rows: Tensor, share: float) -> Tensor:
    """Tell which rows belong to a share of all rows, the same ones whenever it is asked.

    Parameters
    ----------
    rows : Tensor of shape (n,), int64
        Their numbers.
    share : float
        In [0, 1].

    Returns
    -------
    Tensor of shape (n,), bool
    """
    return rows * _HASH_FACTOR % _HASH_SIZE < share * _HASH_SIZE


def weight_of(evidence: Evidence) -> Tensor:
    """Return how much each row counts, shape (n,): ones where all count alike."""
    if evidence.sample_weight is not None:
        return evidence.sample_weight
    return torch.ones_like(evidence.y, dtype=evidence.logits.dtype)


def counted_rows(each: Tensor, evidence: Evidence) -> Tensor:
    """Return rows (n, c) times how much each counts."""
    weight = evidence.sample_weight
    return each if weight is None else each * weight.to(each).unsqueeze(1)


class MeanPredictions(NamedTuple):
    """What a network predicts on average.

    Attributes
    ----------
    by_label : Tensor of shape (c, c), float64
        Mean prediction on the rows of each label; zeros for a label of which no row enters.
    counts : Tensor of shape (c,), float64
        Rows of each label, those that do not enter among them.
    given_mean : Tensor of shape (), float64
        Mean probability of the given labels.
    given_variance : Tensor of shape (), float64
        Variance of that mean.
    """

    by_label: Tensor
    counts: Tensor
    given_mean: Tensor
    given_variance: Tensor


def mean_predictions(
    batches: Iterator[Evidence], like: Tensor, *, share: float = 0.0
) -> MeanPredictions:
    """Return the mean prediction on the rows of each label, and that of the labels themselves.

    Parameters
    ----------
    batches : iterator of Evidence
    like : Tensor of shape (c, ...)
        Gives the device and the number of classes.
    share : float, default=0.0
        Only rows of this share enter the means, see `drawn_rows`; all of them where it is 0, and
        those that have no number.

    Returns
    -------
    MeanPredictions
    """
    n_classes = len(like)
    sums = torch.zeros((n_classes, n_classes), dtype=torch.float64, device=like.device)
    entered, counts = sums.new_zeros(n_classes), sums.new_zeros(n_classes)
    moments = sums.new_zeros(3)  # sums of w^2 p^k for k = 0, 1, 2
    for evidence in batches:
        one = weight_of(evidence).to(counts)
        enters = one
        if share and evidence.rows is not None:
            enters = one * drawn_rows(evidence.rows, share)
        probabilities = evidence.probabilities.to(sums)
        sums.index_add_(0, evidence.y, probabilities * enters.unsqueeze(1))
        entered.index_add_(0, evidence.y, enters)
        counts.index_add_(0, evidence.y, one)
        given = probabilities.gather(1, evidence.y.unsqueeze(1)).squeeze(1)
        powers = torch.stack([torch.ones_like(given), given, given.square()])
        moments += powers @ enters.square()
    total = entered.sum()
    mean = sums.diagonal().sum() / torch.where(total > 0, total, 1)
    spread = moments[2] - 2 * mean * moments[1] + mean.square() * moments[0]
    variance = spread.clamp(min=0) / total.square()  # not a number where no row enters
    return MeanPredictions(
        sums / torch.where(entered > 0, entered, 1).unsqueeze(1), counts, mean, variance
    )
