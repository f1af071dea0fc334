"""The ways to weight a batch, one small frozen object each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from skgdw.functional import update_weight


class Weighting(Protocol):
    """Turns first-stage weights into the class-level weights of the real step."""

    @property
    def uses_meta(self) -> bool:
        """Tell whether it learns from a meta set at all."""

    def second_stage(
        self, first: Tensor, weight_grad: Tensor, renewed: Callable[[], Tensor]
    ) -> Tensor:
        """Return weights that broadcast to (n, c).

        Parameters
        ----------
        first : Tensor of shape (n,)
            The weighting net's output before its update.
        weight_grad : Tensor of shape (n, c)
            Gradient of the meta loss by the class-level weights.
        renewed : callable
            Gives the updated weighting net's output, shape (n,).
        """


@dataclass(frozen=True)
class ClassWeighting:
    """Every class of every row its own weight (GDW)."""

    meta_lr: float
    clip: float
    uses_meta: ClassVar[bool] = True

    def second_stage(
        self, first: Tensor, weight_grad: Tensor, renewed: Callable[[], Tensor]
    ) -> Tensor:
        """Step each entry against its gradient."""
        spread = first.unsqueeze(1).expand_as(weight_grad)
        return update_weight(spread, weight_grad, meta_lr=self.meta_lr, clip=self.clip)


@dataclass(frozen=True)
class InstanceWeighting:
    """One weight a row, stepped against the row's summed gradient (the paper's INSW)."""

    meta_lr: float
    clip: float
    uses_meta: ClassVar[bool] = True

    def second_stage(
        self, first: Tensor, weight_grad: Tensor, renewed: Callable[[], Tensor]
    ) -> Tensor:
        """Step each row's weight against the sum of its entries' gradients."""
        row_grad = weight_grad.sum(dim=1)
        return update_weight(first, row_grad, meta_lr=self.meta_lr, clip=self.clip).unsqueeze(1)


@dataclass(frozen=True)
class NetworkWeighting:
    """One weight a row, from the updated weighting net (MW-Net)."""

    uses_meta: ClassVar[bool] = True

    def second_stage(
        self, first: Tensor, weight_grad: Tensor, renewed: Callable[[], Tensor]
    ) -> Tensor:
        """Ask the updated net."""
        return renewed().unsqueeze(1)


@dataclass(frozen=True)
class UniformWeighting:
    """Every weight one: plain training, which needs no meta set to say so."""

    uses_meta: ClassVar[bool] = False

    def second_stage(
        self, first: Tensor, weight_grad: Tensor, renewed: Callable[[], Tensor]
    ) -> Tensor:
        """Return ones."""
        return torch.ones_like(weight_grad)


def make_weighting(name: str, *, meta_lr: float, clip: float) -> Weighting:
    """Return the weighting of that name, see `WEIGHTINGS`."""
    return WEIGHTINGS[name](meta_lr, clip)


WEIGHTINGS: dict[str, Callable[[float, float], Weighting]] = {
    "class": ClassWeighting,
    "instance": InstanceWeighting,
    "network": lambda meta_lr, clip: NetworkWeighting(),
    "uniform": lambda meta_lr, clip: UniformWeighting(),
}
