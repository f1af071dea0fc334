"""What weight the label of each row got."""

from __future__ import annotations

import torch
from torch import Tensor


class Ledger:
    """Keeps, on the device, the last weight of every row's given label.

    Parameters
    ----------
    n_rows : int
        Rows of the arrays given to ``fit``.
    device : torch.device
    """

    def __init__(self, n_rows: int, device: torch.device) -> None:
        self.given = torch.full((n_rows,), torch.nan, device=device)

    def note(self, rows: Tensor | None, y: Tensor, weight: Tensor) -> dict[str, Tensor]:
        """Remember a batch and return its mean weights.

        Parameters
        ----------
        rows : Tensor of shape (n,) or None
            Where the rows stand; None where a data loader does not tell.
        y : Tensor of shape (n,)
            Class codes.
        weight : Tensor of shape (n, c)
            Class-level weights.

        Returns
        -------
        dict of str to Tensor of shape ()
            ``weight_given``, the mean weight at the given label, and ``weight_other``, the mean
            at the other classes.
        """
        given = weight.gather(1, y.unsqueeze(1)).squeeze(1)
        if rows is not None:
            self.given.index_copy_(0, rows, given.to(self.given.dtype))
        own, n = given.sum(), len(y)
        other = (weight.sum() - own) / (n * max(weight.shape[1] - 1, 1))
        return {"weight_given": own / n, "weight_other": other}
