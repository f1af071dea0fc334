"""The transition matrix of label noise: a first estimate of it, and how it is recounted.

A transition matrix C has the true classes in its rows, C[k, g] being the probability of the given
label g.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

# Ends the iteration of `deconvolve_transition`: a change of an entry, and so many of them.
_CONVERGED, _MOST_ITERATIONS = 1e-9, 2000


class TransitionEstimate(NamedTuple):
    """How given labels come of true classes.

    Attributes
    ----------
    matrix : Tensor of shape (c, c)
        Transition matrix C; entry (k, g) is the probability that a row of true class k is given
        label g. Rows sum to one.
    prior : Tensor of shape (c,)
        Share of each true class among the training rows; sums to one.
    """

    matrix: Tensor
    prior: Tensor


def deconvolve_transition(
    meta_means: Tensor, given_means: Tensor, counts: Tensor, *, ridge: float = 0.02
) -> TransitionEstimate:
    r"""Estimate a transition matrix from what a network predicts on average.

    Rows of given label g are a mixture of true classes, so the mean prediction on them is that
    mixture of the mean predictions on meta rows, however unsure the network is of either:

    .. math::
        N_g = \sum_k P(k \mid g) M_k, \qquad
        P(\cdot \mid g) \approx \arg\min_{x \ge 0} \|M^T x - N_g\|^2 + \|\rho (x - e_g)\|^2,
        \qquad C_{kg} \propto P(k \mid g) \, n_g

    The noise of the means that x >= 0 does not let cancel is taken for wrong labels. So all shares
    of wrong labels are scaled down together, until right labels have the share r that they have
    without that constraint:

    .. math::
        r = \sum_g \frac{n_g}{n} u_{gg}, \qquad
        u_g = \arg\min_x \|M^T x - N_g\|^2 + \|\rho (x - e_g)\|^2

    Parameters
    ----------
    meta_means : Tensor of shape (c, c)
        Mean prediction M on meta rows, by true class; a row of zeros for a class without any.
    given_means : Tensor of shape (c, c)
        Mean prediction N on training rows, by given label; zeros for a label without any.
    counts : Tensor of shape (c,)
        Training rows by given label, n.
    ridge : float, default=0.02
        rho, the pull towards labels that are right, >= 0. A small one decides only where the
        predictions do not.

    Returns
    -------
    TransitionEstimate
        In the dtype of `meta_means`. A class that the meta set lacks is taken for one whose labels
        are right: its row is that of the identity.

    Notes
    -----
    Source: class-pair weights, not in the paper. Taking M for C, as gold loss correction does,
    takes a network that has not learnt yet for noise; here it cancels.

    Both means must be of rows that the network was not trained on: of rows learnt by heart the
    labels all seem right.

    The minimum is found by accelerated projected gradients in float64, for all labels at once, with
    a restart wherever one overshoots. Meant for once a fit: it waits for the device.

    Examples
    --------
    An unsure network; a third of what is labelled 0 is of class 1.

    >>> import torch
    >>> from skgdw.functional import deconvolve_transition
    >>> meta_means = torch.tensor([[0.7, 0.3], [0.4, 0.6]])
    >>> given_means = torch.stack([(2 * meta_means[0] + meta_means[1]) / 3, meta_means[1]])
    >>> found = deconvolve_transition(meta_means, given_means, torch.tensor([60, 40]), ridge=0.0)
    >>> found.matrix
    tensor([[1.0000, 0.0000],
            [0.3333, 0.6667]])
    >>> found.prior
    tensor([0.4000, 0.6000])
    """
    # A network that has diverged tells nothing: its means count as none.
    means, targets = (means.double().nan_to_num(0, 0, 0) for means in (meta_means, given_means))
    identity = torch.eye(len(means), dtype=torch.float64, device=means.device)
    known = means.sum(dim=1, keepdim=True) > 0
    # Standing for itself a missing class explains its own label, and may explain no other.
    means = torch.where(known, means, targets)
    allowed = (known.T | (identity > 0)).double()
    pull = ridge**2 * identity
    gram, target = means @ means.T + pull, targets @ means.T + pull
    found = _solve_non_negative(gram, target, allowed)
    total = found.sum(dim=1, keepdim=True)
    mixture = torch.where(total > 0, found / total, identity)
    mixture = _without_bias(mixture, gram, target, counts.double())
    return _normalised((mixture * counts.double().unsqueeze(1)).T, identity, meta_means.dtype)


def _without_bias(mixture: Tensor, gram: Tensor, target: Tensor, counts: Tensor) -> Tensor:
    """Scale the shares of wrong labels to what they are, on average, where any sign is allowed."""
    identity = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    # Pseudo-inverse: classes that the network does not tell apart at all share what is theirs.
    free = target @ torch.linalg.pinv(gram)
    wrong = ((1 - mixture.diagonal()) * counts).sum()
    wrong_if_free = ((1 - free.diagonal()) * counts).sum()
    scale = torch.where(wrong > 0, wrong_if_free / wrong, 1.0).clamp(0, 1)
    return identity + scale * (mixture - identity)


def _solve_non_negative(gram: Tensor, target: Tensor, allowed: Tensor) -> Tensor:
    """Minimise x G x / 2 - b x over x >= 0 for each row b of `target`; zero where not allowed."""
    # Of a matrix without negative entries the largest row sum bounds the largest eigenvalue.
    step = 1 / gram.sum(dim=1).max()
    at = ahead = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    speed = torch.ones_like(gram[:, :1])
    for _ in range(_MOST_ITERATIONS):
        new = (ahead - step * (ahead @ gram - target)).clamp(min=0) * allowed
        moved = new - at
        overshoots = ((ahead - new) * moved).sum(dim=1, keepdim=True) > 0
        speed = torch.where(overshoots, 1.0, speed)
        faster = (1 + (1 + 4 * speed.square()).sqrt()) / 2
        ahead = new + (speed - 1) / faster * moved
        at, speed = new, faster
        if moved.abs().max() <= _CONVERGED:
            break
    return at


def _normalised(joint: Tensor, identity: Tensor, dtype: torch.dtype) -> TransitionEstimate:
    """Return matrix and prior of a joint table of true and given classes."""
    total = joint.sum(dim=1)
    matrix = torch.where(total.unsqueeze(1) > 0, joint / total.unsqueeze(1), identity)
    return TransitionEstimate(matrix.to(dtype), (total / total.sum()).to(dtype))


def pool_transition(
    estimate: TransitionEstimate, n_rows: float, *, strength: float = 0.02
) -> TransitionEstimate:
    r"""Draw the rows of rare classes towards what holds for all classes together.

    .. math::
        C_{kg} \leftarrow \frac{n \pi_k C_{kg} + a \bar C_{kg}}{n \pi_k + a}, \qquad
        a = \text{strength} \cdot \frac{n}{c}

    with the share of right labels of all rows on the diagonal of the pooled matrix, and the rest
    spread evenly.

    Parameters
    ----------
    estimate : TransitionEstimate
    n_rows : float
        Training rows n.
    strength : float, default=0.02
        Rows added to each class, as a share of those of an average class, >= 0. What a network
        mistakes a few rows for is no evidence of what becomes of a class that has no more.

    Returns
    -------
    TransitionEstimate
        With the same prior.

    Notes
    -----
    Source: class-pair weights, not in the paper; pseudo-counts of a Dirichlet prior.

    Examples
    --------
    >>> import torch
    >>> from skgdw.functional import TransitionEstimate, pool_transition
    >>> matrix = torch.tensor([[0.8, 0.2], [1.0, 0.0]])
    >>> estimate = TransitionEstimate(matrix, torch.tensor([0.99, 0.01]))
    >>> pool_transition(estimate, 1000).matrix
    tensor([[0.7999, 0.2001],
            [0.6040, 0.3960]])
    """
    matrix, prior = estimate
    n_classes = len(matrix)
    right = (prior * matrix.diagonal()).sum()
    pooled = ((1 - right) / max(n_classes - 1, 1)).expand_as(matrix).clone()
    pooled.diagonal().copy_(right)
    rows, added = n_rows * prior.unsqueeze(1), strength * n_rows / n_classes
    share = torch.where(rows + added > 0, added / (rows + added), 0.0)
    return TransitionEstimate(torch.lerp(matrix, pooled, share), prior)


def transition_m_step(
    posterior_sums: Tensor, previous: TransitionEstimate, *, blend: float = 0.3
) -> TransitionEstimate:
    r"""Recount the transition matrix from posteriors, and blend it into the previous one.

    .. math::
        C_{kg} = \frac{\sum_i t_{ik} [y_i = g]}{\sum_i t_{ik}}, \qquad
        \pi_k = \frac{1}{n} \sum_i t_{ik}

    The M-step of expectation-maximisation for given labels; `label_posterior` is its E-step.

    Parameters
    ----------
    posterior_sums : Tensor of shape (c, c)
        Sum of the posteriors of class k over the rows of given label g, at (k, g).
    previous : TransitionEstimate
    blend : float, default=0.3
        Share of the recount, in [0, 1].

    Returns
    -------
    TransitionEstimate
        A class that no row is believed to be of keeps its previous row.

    Notes
    -----
    Source: class-pair weights, not in the paper.

    Examples
    --------
    >>> import torch
    >>> from skgdw.functional import TransitionEstimate, transition_m_step
    >>> previous = TransitionEstimate(torch.eye(2), torch.tensor([0.5, 0.5]))
    >>> found = transition_m_step(torch.tensor([[6.0, 0.0], [2.0, 2.0]]), previous, blend=0.5)
    >>> found.matrix
    tensor([[1.0000, 0.0000],
            [0.2500, 0.7500]])
    >>> found.prior
    tensor([0.5500, 0.4500])
    """
    seen = posterior_sums.sum(dim=1)
    tiny = torch.finfo(seen.dtype).tiny
    rows, share = seen.unsqueeze(1), seen / seen.sum().clamp(min=tiny)
    counted = torch.where(rows > 0, posterior_sums / rows.clamp(min=tiny), previous.matrix)
    prior = torch.where(seen.sum() > 0, share, previous.prior)
    return TransitionEstimate(
        torch.lerp(previous.matrix, counted, blend), torch.lerp(previous.prior, prior, blend)
    )
