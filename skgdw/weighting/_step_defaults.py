"""How often, and with what weight, meta batches teach where nothing else is asked for."""

from __future__ import annotations

from typing import NamedTuple

# Steps from one meta batch to the next, where few meta rows are seen often enough all the same.
_RAREST = 5

# Meta rows count about as much as this many training rows do; bounds of their weight.
_ROWS_COUNT, LEAST_WEIGHT, _LARGEST_WEIGHT = 8.0, 0.4, 2.0


class StepDefaults(NamedTuple):
    """What steps are like where the estimator's parameters of these names are None.

    Attributes
    ----------
    meta_every : int
        Steps from one meta batch to the next, >= 1.
    meta_weight : float
        Weight of the meta gradient in the step of the network, >= 0.
    min_gradient_share : float
        Least share of a batch's gradient that the weights leave, in [0, 1].
    """

    meta_every: int
    meta_weight: float
    min_gradient_share: float


def defaults_of_trainers(n_rows: int, n_meta: int) -> StepDefaults:
    """Return what steps are like where meta rows train the network too.

    Each meta row has to come about once an epoch. Labels that are corrected leave less and less of
    the gradient towards the given ones, and the step has to grow as small as it is.

    Parameters
    ----------
    n_rows, n_meta : int
        Training rows n and meta rows m.

    Returns
    -------
    StepDefaults
        A meta batch every n / m steps, rounded down and within [1, 5], of the weight 8 m / n within
        [0.4, 2].
    """
    every = n_rows // max(n_meta, 1)
    weight = _ROWS_COUNT * n_meta / max(n_rows, 1)
    return StepDefaults(
        meta_every=min(max(every, 1), _RAREST),
        meta_weight=min(max(weight, LEAST_WEIGHT), _LARGEST_WEIGHT),
        min_gradient_share=0.0,
    )
