"""Weightings whose first stage is a weighting net: one number for each row, from its loss."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from skgdw.functional import PullGradient, close_rows, update_weight
from skgdw.weighting._base import Weighting
from skgdw.weighting._evidence import Evidence


class NetworkWeighting(Weighting):
    """One weight a row, from the updated weighting net (Meta-Weight-Net).

    Parameters
    ----------
    weight_net : nn.Module
        Maps losses (n,) to weights (n,).
    """

    def __init__(self, weight_net: nn.Module) -> None:
        super().__init__()
        self.weight_net = weight_net

    def forward(self, evidence: Evidence) -> Tensor:
        """Ask the net, shape (n, 1)."""
        weight: Tensor = self.weight_net(evidence.losses)
        return weight.unsqueeze(1)

    def trial_pull(self, evidence: Evidence, weight: Tensor) -> Tensor:
        """Weight the rows of D, which balance by themselves but where a probability is capped."""
        return close_rows(weight * evidence.logit_grad, evidence.y)

    def learn(self, evidence: Evidence, weight: Tensor, gradient: PullGradient) -> None:
        """Send each row's summed weight gradient back through the net, as the paper does.

        Of a row whose probability was capped this leaves out the thousandth that closes it.
        """
        weight.backward(gradient.by_weight.sum(dim=1, keepdim=True))


class SteppedWeighting(NetworkWeighting):
    """A second stage steps the net's weights against their gradient.

    Parameters
    ----------
    weight_net : nn.Module
        Maps losses (n,) to weights (n,).
    meta_lr, weight_clip : float
        See `skgdw.functional.update_weight`.
    """

    def __init__(
        self, weight_net: nn.Module, meta_lr: float = 0.1, weight_clip: float = 0.2
    ) -> None:
        super().__init__(weight_net)
        self.meta_lr = meta_lr
        self.weight_clip = weight_clip

    def step(self, weight: Tensor, weight_grad: Tensor) -> Tensor:
        """Step weights against a gradient of their shape."""
        return update_weight(weight, weight_grad, meta_lr=self.meta_lr, clip=self.weight_clip)


class ClassWeighting(SteppedWeighting):
    """Every class of every row its own weight (Generalized Data Weighting)."""

    def refine(self, evidence: Evidence, weight: Tensor, gradient: PullGradient) -> Tensor:
        """Step each entry against its gradient."""
        weight_grad = gradient.by_weight
        return self.step(weight.expand_as(weight_grad), weight_grad)


class InstanceWeighting(SteppedWeighting):
    """One weight a row, stepped against the row's summed gradient (the paper's INSW)."""

    def refine(self, evidence: Evidence, weight: Tensor, gradient: PullGradient) -> Tensor:
        """Step each row's weight against the sum of its entries' gradients."""
        weight_grad = gradient.by_weight
        return self.step(weight, weight_grad.sum(dim=1, keepdim=True))


class UniformWeighting(Weighting):
    """Every weight one: plain training, which needs no meta set to say so."""

    uses_meta = False

    def forward(self, evidence: Evidence) -> Tensor:
        """Return ones, shape (n, 1)."""
        return torch.ones_like(evidence.losses).unsqueeze(1)
