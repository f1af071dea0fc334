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
        one = torch.ones_like(evidence.y).to(counts)
        enters = one
        if share and evidence.rows is not None:
            enters = drawn_rows(evidence.rows, share).to(counts)
        sums.index_add_(0, evidence.y, evidence.probabilities.to(sums) * enters.unsqueeze(1))
        entered.index_add_(0, evidence.y, enters)
        counts.index_add_(0, evidence.y, one)
    return sums / entered.clamp(min=1).unsqueeze(1), counts
