"""How far the look-ahead goes: what the optimizer would do, or a fixed rate."""

from __future__ import annotations

from torch import Tensor
from torch.optim import SGD, Optimizer

from skgdw._training.step._stateless import Stateless

# Where the optimizer's rate is no length of a plain gradient step (Adam and its kin).
PLAIN_STEP = 0.05


class LookAheadRates:
    """The parameters that learn, each with its look-ahead rate at this moment.

    Parameters
    ----------
    stateless : Stateless
        The module that is trained.
    optimizer : Optimizer
        Its optimizer; parameters that are frozen or not among its groups take no part.
    fixed : float or None
        A rate for all; None follows the optimizer's groups where it is SGD.
    """

    def __init__(self, stateless: Stateless, optimizer: Optimizer, fixed: float | None) -> None:
        self.stateless = stateless
        self.optimizer = optimizer
        self.fixed = fixed if fixed is not None or isinstance(optimizer, SGD) else PLAIN_STEP

    def __call__(self) -> tuple[dict[str, Tensor], dict[str, float | Tensor]]:
        """Return parameters and rates by parameter name."""
        group_of = {id(p): group for group in self.optimizer.param_groups for p in group["params"]}
        params: dict[str, Tensor] = {
            name: p
            for name, p in self.stateless.parameters.items()
            if p.requires_grad and id(p) in group_of
        }
        if self.fixed is not None:
            return params, dict.fromkeys(params, self.fixed)
        return params, {name: group_of[id(p)]["lr"] for name, p in params.items()}
