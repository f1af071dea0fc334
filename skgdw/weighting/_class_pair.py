"""Class-pair weights: a belief about which class is given for which, and a gate for each row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from skgdw.functional import (
    TransitionEstimate,
    belief_of,
    deconvolve_transition,
    label_posterior,
    logit_gradient,
    transition_m_step,
    transition_of,
)
from skgdw.functional._belief import LabelPosterior
from skgdw.weighting._base import Pull, Survey, Weighting
from skgdw.weighting._evidence import Evidence

# Rate of the beliefs over `meta_lr`: Adam at 0.005 where that is 0.1.
_BELIEF_RATE = 0.05

# Least share of a class that enters a logarithm: that of a class that may not be there at all.
_LEAST_PRIOR = 1e-6


class ClassPairWeighting(Weighting):
    r"""Weights tied by pairs of given and true class, which correct labels (experimental).

    Rows are trained towards the posterior t of their true class, see
    `skgdw.functional.label_posterior`, as far as a gate u in (0, 1) lets them:

    .. math:: P_{ij} = u_i (p_{ij} - t_{ij}) = u_i (1 - \exp V_{y_i j} / S_i) \, p_{ij}

    These are class-level weights that may be negative, with c x c unknowns for all rows together.
    The belief V starts from mean predictions at the end of a warm-up of plain training, follows an
    M-step each epoch and, as the gate does, the gradient of the meta loss.

    Parameters
    ----------
    weight_net : nn.Module
        Maps losses (n,) of the given labels to numbers (n,) in (0, 1), whose odds are those of the
        gate but for a factor.
    n_classes : int, default=0
        0 waits for `start` to tell.
    meta_lr : float, default=0.1
        The belief's optimizer takes steps at 0.05 times this rate.
    warm_up : float, default=0.15
        Share of the steps that are plain training, in [0, 1). Without any the beliefs start from
        right labels.
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
    posterior_sums : Tensor of shape (c, c)
        Posteriors of the rows seen since the last M-step, summed by true and given class.

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
    posterior_sums: Tensor

    def __init__(
        self,
        weight_net: nn.Module,
        n_classes: int = 0,
        meta_lr: float = 0.1,
        warm_up: float = 0.15,
        blend: float = 0.3,
        gate_start: float = 0.95,
    ) -> None:
        super().__init__()
        faults = [
            f"`{name}` must be {rule}; got {value!r}."
            for name, value, rule, holds in (
                ("warm_up", warm_up, "in [0, 1)", 0 <= warm_up < 1),
                ("blend", blend, "in [0, 1]", 0 <= blend <= 1),
                ("gate_start", gate_start, "in (0, 1)", 0 < gate_start < 1),
            )
            if not holds
        ]
        if faults:
            raise ValueError(" ".join([*faults, "Pass shares, as weighting__...=."]))
        self.weight_net = weight_net
        self.meta_lr, self.warm_up, self.blend = meta_lr, warm_up, blend
        self.gate_start = gate_start
        self._half_seen = 0.5
        self.belief = nn.Parameter(torch.empty(0, 0))
        self._make_beliefs(n_classes)

    def _make_beliefs(self, n_classes: int) -> None:
        """Start from labels that are right and classes that are even."""
        right = torch.eye(n_classes).to(self.belief)
        # In place of its data: the optimizer has the parameter already.
        self.belief.data = belief_of(right).contiguous()
        self.register_buffer("prior", right.new_full((n_classes,), 1 / max(n_classes, 1)))
        self.register_buffer("posterior_sums", torch.zeros_like(right))

    def start(self, n_rows: int, n_classes: int) -> None:
        """Count anew; beliefs go on."""
        if not len(self.belief):
            self._make_beliefs(n_classes)
        if len(self.belief) != n_classes:
            raise ValueError(
                f"`n_classes` must be the number of classes, {n_classes}; got {len(self.belief)}. "
                "Leave it out."
            )
        self._half_seen = n_rows / 2
        self.posterior_sums.zero_()

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

        The odds of the net's output times those of `gate_start`: as a bias in front of the net's
        last sigmoid, whatever net it is.

        Returns
        -------
        Tensor of shape (n,)
            The gate u.
        """
        start, opened = self.gate_start, self.weight_net(losses)
        gate: Tensor = start * opened / (start * opened + (1 - start) * (1 - opened))
        return gate

    def forward(self, evidence: Evidence) -> Tensor:
        """Return the weights of the probabilities, shape (n, c): u (1 - exp V / S)."""
        found = self.posterior(evidence)
        ratio = (self.belief[evidence.y] - found.log_likelihood.unsqueeze(1)).exp()
        return self.gate(evidence.losses).unsqueeze(1) * (1 - ratio)

    def pull(self, evidence: Evidence, weight: Tensor) -> Pull:
        """Return u (p - t), which is the weights times p: its rows balance by themselves.

        The weight at the given label is reported as u t, how much the label counts; the constraint
        that balances W * D would make it u (t - p) / (1 - p), which is near one or far below zero
        for the same label, as the network is sure or not.

        Returns
        -------
        Pull
            The gradient times what the criterion does to a row besides the cross-entropy: class
            weights, say.
        """
        with torch.no_grad():
            found = self.posterior(evidence)
            given = evidence.y.unsqueeze(1)
            plain = logit_gradient(evidence.logits, evidence.y)
            scale = evidence.logit_grad.abs().sum(dim=1) / plain.abs().sum(dim=1)
            counts = self.gate(evidence.losses).unsqueeze(1) * found.posterior.gather(1, given)
        grad = weight * found.probabilities * scale.unsqueeze(1)
        return Pull(weight.detach().scatter(1, given, counts), grad)

    # How beliefs change from epoch to epoch.

    @torch.no_grad()
    def remember(self, evidence: Evidence, pull: Pull) -> None:
        """Count the posteriors of a batch."""
        posterior = self.posterior(evidence).posterior
        self.posterior_sums.index_add_(1, evidence.y, posterior.T.to(self.posterior_sums))

    @torch.no_grad()
    def on_warm_up_end(self, survey: Survey) -> None:
        """Take the first beliefs from what the network predicts on average."""
        n_classes = len(self.belief)
        meta_means, _ = _mean_predictions(survey.meta_rows(), n_classes, self.belief)
        given_means, counts = _mean_predictions(survey.training_rows(), n_classes, self.belief)
        self._believe(deconvolve_transition(meta_means, given_means, counts))

    @torch.no_grad()
    def on_epoch_end(self, survey: Survey) -> None:
        """Take an M-step, if enough rows were seen since the last one."""
        if self.posterior_sums.sum() < self._half_seen:  # a part of an epoch after the warm-up
            return
        known = TransitionEstimate(transition_of(self.belief), self.prior)
        self._believe(transition_m_step(self.posterior_sums, known, blend=self.blend))
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


def _mean_predictions(
    batches: Iterator[Evidence], n_classes: int, like: Tensor
) -> tuple[Tensor, Tensor]:
    """Return mean predictions by label, zeros where there is no row, and the numbers of rows."""
    sums = torch.zeros_like(like, dtype=torch.float64)
    counts = sums.new_zeros(n_classes)
    for evidence in batches:
        sums.index_add_(0, evidence.y, evidence.probabilities.to(sums))
        counts.index_add_(0, evidence.y, torch.ones_like(evidence.y).to(counts))
    return sums / counts.clamp(min=1).unsqueeze(1), counts
