"""Class-pair weights: a belief about which class is given for which, and a gate for each row."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from skgdw.functional import (
    LabelPosterior,
    TransitionEstimate,
    belief_of,
    label_posterior,
    logit_gradient,
    pool_transition,
    transition_m_step,
    transition_of,
)
from skgdw.weighting._base import Pull, Survey, Weighting
from skgdw.weighting._evidence import Evidence
from skgdw.weighting._first_transition import first_transition, folds_that_tell
from skgdw.weighting._mean_predictions import counted_rows, drawn_rows, weight_of
from skgdw.weighting._step_defaults import LEAST_WEIGHT, StepDefaults, defaults_of_trainers

# Rate of the beliefs over `meta_lr`: Adam at 0.005 where that is 0.1.
_BELIEF_RATE = 0.05

# Rate of the exponent over `meta_lr`, the excess that is let pass, and the largest exponent.
_EXPONENT_RATE, _TOLERANCE, _LARGEST_EXPONENT = 20.0, 0.02, 4.0

# Least share of a class that enters a logarithm: that of a class that may not be there at all.
_LEAST_PRIOR = 1e-6


class ClassPairWeighting(Weighting):
    r"""Weights tied by pairs of given and true class, which correct labels.

    Rows are trained towards the posterior t of their true class, see
    `skgdw.functional.label_posterior`, as far as a gate u in (0, 1) and a bound b let them:

    .. math::
        P_{ij} = u_i b_i (p_{ij} - t_{ij})
               = u_i b_i \left(1 - \frac{\exp V_{y_i j}}{S_i}\right) p_{ij},
        \qquad b_i = \left(\frac{S_i}{\max_k \exp V_{y_i k}}\right)^q

    These are class-level weights that may be negative, with c x c unknowns for all rows together.
    The belief V starts from mean predictions at the end of a warm-up, follows an M-step each epoch
    and, as the gate does, the gradient of the meta loss.

    A network that learns rows by heart makes wrong labels likely one by one. While more labels of
    a batch seem right than on rows held out of the warm-up, q grows: rows with unlikely labels are
    then left alone. It falls again where fewer do.

    Parameters
    ----------
    weight_net : nn.Module
        Maps losses (n,) of the given labels to numbers (n,) in (0, 1), whose odds are those of the
        gate but for a factor.
    n_classes : int, default=0
        0 waits for `start` to tell.
    meta_lr : float, default=0.1
        The belief's optimizer takes steps at 0.05 times this rate, the exponent q at 20 times.
    warm_up : float, default=0.15
        Share of the steps that learn the given labels, in [0, 1). Without any the beliefs start
        from right labels.
    hold_out : float, default=0.25
        Share of the rows that the warm-up leaves aside, in [0, 1), to measure the noise on. Where
        these are fewer than a thousand, copies of the network leave others aside.
    blend : float, default=0.3
        Share of the recount in the beliefs after an M-step, in [0, 1].
    gate_start : float, default=0.95
        What the gate gives where the net gives a half, in (0, 1).

    Attributes
    ----------
    belief : nn.Parameter of shape (c, c)
        V, rows by given label.
    prior : Tensor of shape (c,)
        Share of each true class among the training rows. The logits stay without it, balanced as
        the meta set is.
    exponent : Tensor of shape ()
        q, >= 0.
    right_share : Tensor of shape ()
        Share of right labels found at the end of the warm-up; 1 where none is told to be wrong.
    posterior_sums : Tensor of shape (c, c)
        Posteriors of the rows seen since the last M-step, summed by true and given class.
    given_counts : Tensor of shape (c,)
        Given labels seen in the warm-up.

    Examples
    --------
    >>> import torch
    >>> from skgdw.modules import WeightNet
    >>> from skgdw.weighting import ClassPairWeighting, Evidence
    >>> weighting = ClassPairWeighting(WeightNet(), n_classes=2)
    >>> evidence = Evidence(torch.tensor([[2.0, 0.0]]), torch.tensor([1]))
    >>> pull = weighting.pull(evidence, weighting(evidence))
    >>> bool(pull.grad.sum().abs() < 1e-6)
    True
    """

    prior: Tensor
    exponent: Tensor
    right_share: Tensor
    posterior_sums: Tensor
    given_counts: Tensor

    def __init__(
        self,
        weight_net: nn.Module,
        n_classes: int = 0,
        meta_lr: float = 0.1,
        warm_up: float = 0.15,
        hold_out: float = 0.25,
        blend: float = 0.3,
        gate_start: float = 0.95,
    ) -> None:
        super().__init__()
        faults = [
            f"`{name}` must be {rule}; got {value!r}."
            for name, value, rule, holds in (
                ("warm_up", warm_up, "in [0, 1)", 0 <= warm_up < 1),
                ("hold_out", hold_out, "in [0, 1)", 0 <= hold_out < 1),
                ("blend", blend, "in [0, 1]", 0 <= blend <= 1),
                ("gate_start", gate_start, "in (0, 1)", 0 < gate_start < 1),
            )
            if not holds
        ]
        if faults:
            raise ValueError(" ".join([*faults, "Pass shares, as weighting__...=."]))
        self.weight_net = weight_net
        self.meta_lr, self.warm_up, self.hold_out = meta_lr, warm_up, hold_out
        self.blend, self.gate_start = blend, gate_start
        self._answer: _Answer | None = None
        self.belief = nn.Parameter(torch.empty(0, 0))
        self._make_beliefs(n_classes)

    def _make_beliefs(self, n_classes: int) -> None:
        """Start from labels that are right and classes that are even."""
        right = torch.eye(n_classes).to(self.belief)
        # In place of its data: the optimizer has the parameter already.
        self.belief.data = belief_of(right).contiguous()
        self.register_buffer("prior", right.new_full((n_classes,), 1 / max(n_classes, 1)))
        self.register_buffer("exponent", right.new_zeros(()))
        self.register_buffer("right_share", right.new_ones(()))
        self.register_buffer("posterior_sums", torch.zeros_like(right))
        self.register_buffer("given_counts", right.new_zeros(n_classes))

    def step_defaults(self, n_rows: int, n_meta: int) -> StepDefaults:
        """Return a meta batch at least once in five steps, of a weight by the number of rows.

        Returns
        -------
        StepDefaults
            For m meta and n training rows every n / m steps, rounded down and within [1, 5], and
            the weight 8 m / n within [0.4, 2].
        """
        return defaults_of_trainers(n_rows, n_meta)

    def in_a_stream(self, defaults: StepDefaults) -> StepDefaults:
        """Return a weight of meta rows of at most 0.4."""
        # They are few beside all rows to come, whatever a call brings, and learnt by heart as often
        # as they come: with their full weight a network falls apart within ten calls.
        return defaults._replace(meta_weight=min(defaults.meta_weight, LEAST_WEIGHT))

    def start(self, n_rows: int, n_classes: int) -> None:
        """Count anew; beliefs go on."""
        if not len(self.belief):
            self._make_beliefs(n_classes)
        if len(self.belief) != n_classes:
            raise ValueError(
                f"`n_classes` must be the number of classes, {n_classes}; got {len(self.belief)}. "
                "Leave it out."
            )
        self.posterior_sums.zero_()
        self.given_counts.zero_()

    def parameter_groups(self) -> Iterable[dict[str, object]]:
        """Return the gate's group, and that of the belief at a rate of its own."""
        rate = _BELIEF_RATE * self.meta_lr
        # Decay would draw beliefs towards ignorance.
        belief = {"params": [self.belief], "lr": rate, "weight_decay": 0.0}
        return [{"params": list(self.weight_net.parameters())}, belief]

    def get_extra_state(self) -> dict[str, bool]:
        """Return what a saved state has to tell besides tensors."""
        return {"is_warm": self.is_warm}

    def set_extra_state(self, state: dict[str, bool]) -> None:
        """Go on from a saved state: one that was warm needs no other warm-up."""
        self.is_warm = state["is_warm"]

    # What is sent back.

    def posterior(self, evidence: Evidence) -> LabelPosterior:
        """Return what the rows of a batch are believed to be."""
        log_prior = self.prior.clamp(min=_LEAST_PRIOR).log()
        return label_posterior(evidence.logits, self.belief, evidence.y, log_prior)

    def gate(self, losses: Tensor) -> Tensor:
        """Return how far rows of given losses are trained on.

        The odds of the net's output times those of `gate_start`, a bias before its last sigmoid.

        Returns
        -------
        Tensor of shape (n,)
            The gate u.
        """
        start, opened = self.gate_start, self.weight_net(losses)
        gate: Tensor = start * opened / (start * opened + (1 - start) * (1 - opened))
        return gate

    def forward(self, evidence: Evidence) -> Tensor:
        """Return the weights of the probabilities, shape (n, c): u b (1 - exp V / S)."""
        found, y = self.posterior(evidence), evidence.y
        with torch.no_grad():
            bound = (self.exponent * (found.log_likelihood - self.belief.amax(dim=1)[y])).exp()
        size = self.gate(evidence.losses) * bound
        ratio = (self.belief[y] - found.log_likelihood.unsqueeze(1)).exp()
        detached = LabelPosterior(*(part.detach() for part in found))
        self._answer = _Answer(evidence, detached, size.detach())
        return size.unsqueeze(1) * (1 - ratio)

    @torch.no_grad()
    def _answered(self, evidence: Evidence) -> _Answer:
        """Return what `forward` found out for a batch; it was asked last, or is asked now."""
        if self._answer is None or self._answer.evidence is not evidence:
            self(evidence)
        assert self._answer is not None
        return self._answer

    def trial_pull(self, evidence: Evidence, weight: Tensor) -> Tensor:
        """Return the weights times p, shape (n, c), differentiable by the weights."""
        return _scaled(weight * self._answered(evidence).found.probabilities, evidence)

    def pull(self, evidence: Evidence, weight: Tensor) -> Pull:
        """Return u b (p - t), which is the weights times p: its rows balance by themselves.

        The weight at the given label is reported as u b t, how much the label counts; the
        constraint that balances W * D would make it u b (t - p) / (1 - p), which is near one or far
        below zero for the same label, as the network is sure or not.

        Returns
        -------
        Pull
            The gradient times what the criterion does to a row besides the cross-entropy: class
            weights, say.
        """
        with torch.no_grad():
            _, found, size = self._answered(evidence)
            given = evidence.y.unsqueeze(1)
            counts = size.unsqueeze(1) * found.posterior.gather(1, given)
            reported = weight.detach().scatter(1, given, counts)
        return Pull(reported, self.trial_pull(evidence, weight), found.posterior)

    # The warm-up.

    def n_folds(self, n_rows: int) -> int:
        """Return as many folds as hold all rows, at most four, where one holds few."""
        return folds_that_tell(n_rows, self.hold_out)

    @torch.no_grad()
    def warm_up_pull(self, evidence: Evidence, fold: int = 0) -> Tensor:
        """Return the gradient towards the given labels, none of rows that are held out.

        The logits learn what is left when the frequencies of the given labels are known, so that
        they are balanced from the first.

        Returns
        -------
        Tensor of shape (n, c)
            What plain training sends back, but for that; its mean is over the rows that train.
        """
        y = evidence.y
        if not fold:
            self.given_counts.index_add_(0, y, weight_of(evidence).to(self.given_counts))
        log_share = (self.given_counts + 1).log().to(evidence.logits)
        grad = _scaled(logit_gradient(evidence.logits + log_share, y, cap=1.0), evidence)
        if not self.hold_out or evidence.rows is None:
            return grad
        trains = (~drawn_rows(evidence.rows, self.hold_out, fold)).to(grad)
        return grad * (trains / trains.mean().clamp(min=1 / len(y))).unsqueeze(1)

    @torch.no_grad()
    def on_warm_up_end(self, survey: Survey) -> None:
        """Take the first beliefs from mean predictions; right labels where none is told wrong."""
        found = first_transition(survey, self.belief, self.hold_out)
        self.right_share.copy_(found.right_share)
        self._believe(found.estimate)

    # How beliefs change from epoch to epoch.

    @torch.no_grad()
    def remember(self, evidence: Evidence, pull: Pull) -> None:
        """Count the posteriors of a batch; bound the pull of rows more, or less."""
        posterior = self._answered(evidence).found.posterior
        self._answer = None
        counted = counted_rows(posterior, evidence).T
        self.posterior_sums.index_add_(1, evidence.y, counted.to(self.posterior_sums))
        seem_right = posterior.gather(1, evidence.y.unsqueeze(1)).mean()
        excess = seem_right - self.right_share - _TOLERANCE
        rate = _EXPONENT_RATE * self.meta_lr
        self.exponent.add_(excess, alpha=rate).clamp_(0, _LARGEST_EXPONENT)

    @torch.no_grad()
    def on_epoch_end(self, survey: Survey) -> None:
        """Take an M-step, if enough rows were seen since the last one."""
        n_seen = self.posterior_sums.sum()
        if n_seen < survey.n_training_rows / 2:  # a part of an epoch after the warm-up
            return
        known = TransitionEstimate(transition_of(self.belief), self.prior)
        found = transition_m_step(self.posterior_sums, known, blend=self.blend)
        self._believe(pool_transition(found, survey.n_training_rows))
        self.posterior_sums.zero_()

    def _believe(self, estimate: TransitionEstimate) -> None:
        # In place: optimizers and captured steps keep the tensors.
        self.belief.copy_(belief_of(estimate.matrix))
        self.prior.copy_(estimate.prior)

    # Results.

    def transition_matrix(self) -> np.ndarray:
        """Return the estimated transition matrix, shape (c, c), rows by true class."""
        matrix: np.ndarray = transition_of(self.belief.detach()).cpu().numpy()
        return matrix

    def class_prior(self) -> np.ndarray:
        """Return the estimated share of each true class among the training rows, shape (c,)."""
        prior: np.ndarray = self.prior.cpu().numpy().copy()
        return prior


class _Answer(NamedTuple):
    """What was worked out for a batch: its posteriors, and u b."""

    evidence: Evidence
    found: LabelPosterior
    size: Tensor


def _scaled(grad: Tensor, evidence: Evidence) -> Tensor:
    """Return a gradient times what the criterion does to rows besides the cross-entropy."""
    scale = evidence.row_loss.scale(evidence.logits, evidence.y)
    return grad if scale is None else grad * scale.unsqueeze(1)
