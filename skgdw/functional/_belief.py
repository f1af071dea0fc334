"""Class-pair weights: what a given label says of the true class, and how that is estimated.

One orientation throughout: a transition matrix C has the true classes in its rows, C[k, g] being
the probability of the given label g; a belief V has the given labels in its rows, V[g, k] = log
C[k, g] up to a constant in each row.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

# Ends the iteration of `deconvolve_transition`: a change of an entry, and so many of them.
_CONVERGED, _MOST_ITERATIONS = 1e-9, 2000


class LabelPosterior(NamedTuple):
    """What rows are believed to be, given their labels.

    Attributes
    ----------
    posterior : Tensor of shape (n, c)
        Posterior t of the true class given the given label; rows sum to one.
    probabilities : Tensor of shape (n, c)
        Probabilities p of the classes before the label was looked at.
    log_likelihood : Tensor of shape (n,)
        log S: how probable the given label was, up to the constant of its row of beliefs.
    """

    posterior: Tensor
    probabilities: Tensor
    log_likelihood: Tensor


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


def label_posterior(
    logits: Tensor, belief: Tensor, y: Tensor, log_prior: Tensor | None = None
) -> LabelPosterior:
    r"""Return the posterior of the true class of each row, given its label.

    .. math::
        t_{ij} = \frac{p_{ij} \exp V_{y_i j}}{S_i}, \qquad
        S_i = \sum_k p_{ik} \exp V_{y_i k}, \qquad
        p_i = \operatorname{softmax}(z_i + \log \pi)

    Parameters
    ----------
    logits : Tensor of shape (n, c)
        Network outputs z before the softmax.
    belief : Tensor of shape (c, c)
        Belief V, rows by given label. A constant added to a row changes no posterior.
    y : Tensor of shape (n,)
        Class codes of the given labels, int64.
    log_prior : Tensor of shape (c,), optional
        log pi, finite; None where the logits have the frequencies of the classes in them.

    Returns
    -------
    LabelPosterior
        t, p and log S. No array is larger than (n, c).

    Notes
    -----
    Source: class-pair weights, not in the paper.

    Examples
    --------
    A network that knows nothing; half of the rows of class 1 are given label 0.

    >>> import torch
    >>> from skgdw.functional import belief_of, label_posterior
    >>> belief = belief_of(torch.tensor([[1.0, 0.0], [0.5, 0.5]]))
    >>> label_posterior(torch.zeros(1, 2), belief, torch.tensor([0])).posterior
    tensor([[0.6667, 0.3333]])
    """
    free = logits if log_prior is None else logits + log_prior
    log_probability = torch.log_softmax(free, dim=1)
    joint = log_probability + belief[y]
    log_likelihood = torch.logsumexp(joint, dim=1)
    posterior = (joint - log_likelihood.unsqueeze(1)).exp()
    return LabelPosterior(posterior, log_probability.exp(), log_likelihood)


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
    means, targets = meta_means.double(), given_means.double()
    identity = torch.eye(len(means), dtype=torch.float64, device=means.device)
    known = means.sum(dim=1, keepdim=True) > 0
    # Standing for itself a missing class explains its own label, and may explain no other.
    means = torch.where(known, means, targets)
    allowed = (known.T | (identity > 0)).double()
    pull = ridge**2 * identity
    found = _solve_non_negative(means @ means.T + pull, targets @ means.T + pull, allowed)
    total = found.sum(dim=1, keepdim=True)
    mixture = torch.where(total > 0, found / total, identity)
    return _normalised((mixture * counts.double().unsqueeze(1)).T, identity, meta_means.dtype)


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


def belief_of(transition: Tensor, *, floor: float = 1e-4) -> Tensor:
    r"""Return the belief of a transition matrix.

    .. math:: V_{gk} = \log \max(C_{kg}, \text{floor})

    Parameters
    ----------
    transition : Tensor of shape (c, c)
        Transition matrix C, rows by true class.
    floor : float, default=1e-4
        Least probability, > 0: a confusion that was never seen stays possible, so that a network
        that is sure of it can make it believed.

    Returns
    -------
    Tensor of shape (c, c)
        Belief V, rows by given label.

    Examples
    --------
    >>> import torch
    >>> from skgdw.functional import belief_of
    >>> belief_of(torch.tensor([[1.0, 0.0], [0.25, 0.75]]))
    tensor([[ 0.0000, -1.3863],
            [-9.2103, -0.2877]])
    """
    return transition.clamp(min=floor).log().T


def transition_of(belief: Tensor) -> Tensor:
    r"""Return the transition matrix of a belief.

    .. math:: C_{kg} = \frac{\exp V_{gk}}{\sum_h \exp V_{hk}}

    Parameters
    ----------
    belief : Tensor of shape (c, c)
        Belief V, rows by given label; of a row's constant, which no posterior depends on, the value
        that `belief_of` gives it is taken for granted.

    Returns
    -------
    Tensor of shape (c, c)
        Transition matrix C, rows by true class.

    Examples
    --------
    >>> import torch
    >>> from skgdw.functional import belief_of, transition_of
    >>> transition_of(belief_of(torch.tensor([[0.9, 0.1], [0.25, 0.75]])))
    tensor([[0.9000, 0.1000],
            [0.2500, 0.7500]])
    """
    return torch.softmax(belief, dim=0).T
