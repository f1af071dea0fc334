"""Class-pair weights: what a given label says of the true class.

One orientation throughout: a transition matrix C has the true classes in its rows, C[k, g] being
the probability of the given label g; a belief V has the given labels in its rows, V[g, k] = log
C[k, g] up to a constant in each row.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


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
