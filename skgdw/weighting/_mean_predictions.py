"""What a network predicts on average for the rows of each label."""

from __future__ import annotations

from collections.abc import Iterator

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


def mean_predictions(
    batches: Iterator[Evidence], like: Tensor, *, share: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Return the mean prediction on the rows of each label, and their number.

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
    means : Tensor of shape (c, c), float64
        Zeros for a label of which no row enters.
    counts : Tensor of shape (c,), float64
        Of all rows.
    """
    n_classes = len(like)
    sums = torch.zeros((n_classes, n_classes), dtype=torch.float64, device=like.device)
    entered, counts = sums.new_zeros(n_classes), sums.new_zeros(n_classes)
    for evidence in batches:
        one = weight_of(evidence).to(counts)
        enters = one
        if share and evidence.rows is not None:
            enters = one * drawn_rows(evidence.rows, share)
        sums.index_add_(0, evidence.y, evidence.probabilities.to(sums) * enters.unsqueeze(1))
        entered.index_add_(0, evidence.y, enters)
        counts.index_add_(0, evidence.y, one)
    return sums / torch.where(entered > 0, entered, 1).unsqueeze(1), counts
