"""How much each training row counts, by the weights that ``fit`` was given."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skgdw.weighting import Evidence


class SampleWeights:
    """Weights of rows by their places in what ``fit`` was given.

    Parameters
    ----------
    values : Tensor of shape (n_rows,) or None
        On the device; None where all rows count alike.
    """

    def __init__(self, values: Tensor | None = None) -> None:
        self.values = values

    @classmethod
    def placed(cls, values: NDArray[np.float64] | None, device: torch.device) -> SampleWeights:
        """Return the weights of an array, or of none, on a device."""
        return cls(None if values is None else torch.as_tensor(values).to(device))

    def of(self, rows: Tensor | None) -> Tensor | None:
        """Return the weights of a batch.

        Returns
        -------
        Tensor of shape (n,) or None
            None where all rows count alike.

        Raises
        ------
        ValueError
            If there are weights, but the batch does not know its rows.
        """
        if self.values is None:
            return None
        if rows is None:
            raise ValueError(
                "`sample_weight` must belong to rows whose numbers are known; got batches that do "
                "not tell them, as those of an IterableDataset, or of a collate function that "
                "makes rows out of others. Let a sampler draw rows more or less often instead."
            )
        return self.values[rows]


def weigh(each: Tensor, sample_weight: Tensor | None) -> Tensor:
    """Multiply rows (n, c) by their weights over the mean of these.

    The mean over the rows becomes a weighted mean.

    Returns
    -------
    Tensor of shape (n, c)
        `each` itself without weights; zeros where no row counts.
    """
    if sample_weight is None:
        return each
    least = torch.finfo(sample_weight.dtype).tiny
    factor = sample_weight / sample_weight.mean().clamp(min=least)
    return each * factor.to(each.dtype).unsqueeze(1)


def weigh_evidence(each: Tensor, evidence: Evidence) -> Tensor:
    """Multiply rows (n, c) by the weights of the batch that they are of."""
    return weigh(each, evidence.sample_weight)
