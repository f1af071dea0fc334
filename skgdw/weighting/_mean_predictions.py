"""What a network predicts on average for the rows of each label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from skgdw.weighting._evidence import Evidence

# Multiplicative hashing spreads row numbers evenly, whatever order the rows are in.
_HASH_FACTOR, _HASH_SIZE = 2654435761, 2**32


def drawn_rows(rows: Tensor, share: float, fold: int = 0) -> Tensor:
    """Tell which rows belong to a share of all rows, the same ones whenever it is asked.

    Parameters
    ----------
    rows : Tensor of shape (n,), int64
        Their numbers.
    share : float
        In [0, 1].
    fold : int, default=0
        Below 1 / `share`; no two folds have rows in common.

    Returns
    -------
    Tensor of shape (n,), bool
    """
    place, size = rows * _HASH_FACTOR % _HASH_SIZE, share * _HASH_SIZE
    return (place >= fold * size) & (place < (fold + 1) * size) if fold else place < size


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
    entered : Tensor of shape (c,), float64
        Rows of each label that enter.
    counts : Tensor of shape (c,), float64
        Rows of each label, those that do not enter among them.
    given_mean : Tensor of shape (), float64
        Mean probability of the given labels.
    given_variance : Tensor of shape (), float64
        Variance of that mean.
    """

    by_label: Tensor
    entered: Tensor
    counts: Tensor
    given_mean: Tensor
    given_variance: Tensor


def mean_predictions(
    batches: Iterator[Evidence], like: Tensor, *, share: float = 0.0, fold: int = 0
) -> MeanPredictions:
    """Return the mean prediction on the rows of each label, and that of the labels themselves.

    Parameters
    ----------
    batches : iterator of Evidence
    like : Tensor of shape (c, ...)
        Gives the device and the number of classes.
    share : float, default=0.0
    fold : int, default=0
        Only rows of this share and fold enter the means, see `drawn_rows`; all of them where it is
        0, and those that have no number.

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
            enters = one * drawn_rows(evidence.rows, share, fold)
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
    by_label = sums / torch.where(entered > 0, entered, 1).unsqueeze(1)
    return MeanPredictions(by_label, entered, counts, mean, variance)


def pool_predictions(parts: Sequence[MeanPredictions], *, of_same_rows: bool) -> MeanPredictions:
    """Return what several networks predict on average.

    Parameters
    ----------
    parts : sequence of MeanPredictions
        Of one network each. Those of networks that have diverged are left out, but for the first.
    of_same_rows : bool
        Whether all of them are of the same rows, whose variance does not fall with the number of
        networks; else each is of rows of its own.

    Returns
    -------
    MeanPredictions
        With the counts of the first.
    """
    first, *further = parts
    kept = [first, *(part for part in further if bool(part.by_label.isfinite().all()))]
    if len(kept) == 1:
        return first
    by_label, entered, _, mean, variance = (torch.stack(each) for each in zip(*kept, strict=True))
    of_label = entered.sum(dim=0)
    sums = (by_label * entered.unsqueeze(2)).sum(dim=0)
    rows = entered.sum(dim=1)
    share = rows / torch.where(rows.sum() > 0, rows.sum(), 1)
    each = torch.where(share > 0, variance, 0)  # that of no rows is not a number
    return MeanPredictions(
        sums / torch.where(of_label > 0, of_label, 1).unsqueeze(1),
        of_label,
        first.counts,
        share @ mean,
        (share if of_same_rows else share.square()) @ each,
    )
