"""Whether the share of right labels that was measured can be told from one."""

from __future__ import annotations

import torch
from torch import Tensor

from skgdw.weighting._mean_predictions import MeanPredictions

# How many standard errors count as nothing, one-sided 95 %, and the share that is to be surpassed
# by as many: where next to nothing is known, wrong labels are not ruled out.
_N_ERRORS, _LEAST_SHARE = 1.645, 0.8


def right_share_error(
    right_share: Tensor, held_out: MeanPredictions, meta: MeanPredictions
) -> Tensor:
    r"""Return the standard error of the share r of right labels.

    Rows whose label is right are given the mean probability a of the label on meta rows, the others
    that of a class which is not theirs, b. So the mean on training rows that were held out, m, is
    r a + (1 - r) b, and by the delta method

    .. math::
        \operatorname{var}(r) \approx
            \frac{\operatorname{var}(m) + r^2 \operatorname{var}(a)}{(a - b)^2}

    Parameters
    ----------
    right_share : Tensor of shape ()
    held_out, meta : MeanPredictions
        Of training rows that were not trained on, and of meta rows.

    Returns
    -------
    Tensor of shape (), float64
        Infinite where the network tells nothing about the classes.
    """
    means = meta.by_label
    n_others = max(len(means) * (len(means) - 1), 1)
    other = (means.sum() - means.diagonal().sum()) / n_others
    told = meta.given_mean - other
    variance = held_out.given_variance + right_share.double().square() * meta.given_variance
    return torch.where(told > 0, variance.sqrt() / told, torch.inf)


def all_seem_right(right_share: Tensor, held_out: MeanPredictions, meta: MeanPredictions) -> bool:
    """Tell whether no label can be told to be wrong, and most are sure to be right."""
    margin = _N_ERRORS * right_share_error(right_share, held_out, meta)
    return bool((right_share + margin >= 1) & (right_share - margin >= _LEAST_SHARE))
