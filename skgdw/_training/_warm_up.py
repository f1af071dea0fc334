"""The steps before the first weighted one, of the network and of copies that miss other rows.

What a network predicts for rows that it was not trained on tells how labels go wrong, but a few
rows held out tell little. So copies of it go along, each with another fold of the rows held out,
until every row has a prediction of a network that never saw it: cross-fitting.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from skgdw._feed._layout import Inputs
from skgdw._training._parts import Parts
from skgdw._training._random import NullStream
from skgdw._training._state import load_state, state_of
from skgdw._training._survey import Survey
from skgdw._training.step._meta_step import MetaStep
from skgdw._training.step._optimizing import copied_together, take_step
from skgdw._training.step._plain_step import StepResult
from skgdw._training.step._stateless import Stateless
from skgdw._training.step._warm_up_step import WarmUpStep

logger = logging.getLogger("skgdw")


@dataclass
class FoldCopy:
    """A copy of the network, and of its optimizer, that goes along.

    Parameters
    ----------
    module : nn.Module
    optimizer : Optimizer
    step : WarmUpStep
        Of the copy; under the random numbers of its caller.
    """

    module: nn.Module
    optimizer: Optimizer
    step: WarmUpStep

    @property
    def parts(self) -> dict[str, nn.Module | Optimizer]:
        """What is saved of it."""
        return {"module": self.module, "optimizer": self.optimizer}

    def __call__(self, X: Inputs, y: Tensor, rows: Tensor | None) -> None:
        """Take a training batch."""
        take_step(self.optimizer, lambda: self.step(X, y, rows).loss)


class WarmUp:
    """What comes before the first weighted step.

    Parameters
    ----------
    step : WarmUpStep
        Of the network.
    n_steps : int
        How many come.
    copies : list of FoldCopy
    current_optimizer : callable
        Returns the network's optimizer, whose rates the copies follow.
    module : nn.Module
        The network, whose layers' modes they follow.
    """

    def __init__(
        self,
        step: WarmUpStep,
        n_steps: int,
        copies: list[FoldCopy],
        current_optimizer: Callable[[], Optimizer],
        module: nn.Module,
    ) -> None:
        self.step, self.n_left, self.copies = step, n_steps, copies
        self._current_optimizer, self._module = current_optimizer, module
        self._copied_of = self._makeup()

    def __call__(self, X: Inputs, y: Tensor, rows: Tensor | None = None) -> StepResult:
        """Take a training batch; the network's optimizer steps afterwards."""
        # Nothing can be held out, or the network is no more what was copied.
        if rows is None or (self.copies and self._makeup() != self._copied_of):
            self.copies.clear()
        stream = self.step.stream
        start = stream.state_dict()
        result = self.step(X, y, rows)
        for each in self.copies:
            _follow(each.optimizer, self._current_optimizer())
            for own, theirs in zip(each.module.modules(), self._module.modules(), strict=True):
                own.training = theirs.training  # callbacks may freeze averages
            with stream.undone(start):  # all draw what the network drew
                each(X, y, rows)
        return result

    def _makeup(self) -> list[object]:
        """Return the layers, which parameters learn, and how many the optimizer's groups have."""
        groups = [len(group["params"]) for group in self._current_optimizer().param_groups]
        layers = [type(layer) for layer in self._module.modules()]
        return [groups, layers, [one.requires_grad for one in self._module.parameters()]]

    def survey(self, of_network: Survey) -> Survey:
        """Return the survey of the network, and of the copies beside it."""
        return of_network.beside([of_network.with_module(each.module) for each in self.copies])

    def state_dict(self) -> dict[str, Any]:
        """Return the state between two epochs."""
        return {
            "n_left": self.n_left,
            "copies": [state_of(each.parts) for each in self.copies],
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.n_left = saved["n_left"]
        del self.copies[len(saved["copies"]) :]
        for each, state in zip(self.copies, saved["copies"], strict=True):
            load_state(each.parts, state)


def begin_warm_up(
    parts: Parts, stateless: Stateless, step: MetaStep, n_steps: int, n_rows: int
) -> WarmUp:
    """Return the warm-up of a training run.

    Parameters
    ----------
    parts : Parts
    stateless : Stateless
        The module.
    step : MetaStep
        The weighted step that follows.
    n_steps : int
        How many steps come before it.
    n_rows : int
        Training rows.

    Returns
    -------
    WarmUp
    """
    first = WarmUpStep(
        step.infer,
        parts.weighting.warm_up_pull,
        step.row_loss,
        step.passes.stream,
        step.look_ahead.jvp.attention,
        step.weights,
    )
    copies: list[FoldCopy] = []
    for fold in range(1, _n_folds(parts, stateless.module, n_rows)):
        module, optimizer = _copied(stateless.module, parts.optimizer)
        if module is None or optimizer is None:
            break
        call = partial(Stateless(module, stateless.precision), {})
        pull = partial(parts.weighting.warm_up_pull, fold=fold)
        own = replace(first, infer=call, pull=pull, stream=NullStream())
        copies.append(FoldCopy(module, optimizer, own))
    return WarmUp(first, n_steps, copies, parts.current_optimizer, stateless.module)


def _n_folds(parts: Parts, module: nn.Module, n_rows: int) -> int:
    """Return how many networks go along: one where copies would not be trained as it is."""
    n_folds = parts.weighting.n_folds(n_rows)
    if n_folds < 2:
        return 1
    why = [f"callbacks change gradients: {parts.listeners}"] if parts.listeners else []
    if any(one._backward_hooks or _late_hooks(one) for one in module.parameters()):
        why.append("parameters have hooks")
    if _step_hooks(parts.optimizer):
        why.append("the optimizer has hooks")
    if "fold" not in inspect.signature(parts.weighting.warm_up_pull).parameters:
        why.append(f"{type(parts.weighting).__name__}.warm_up_pull takes no `fold`")
    if why:
        logger.info("Noise is measured on one fold: %s", "; ".join(why))
    return 1 if why else n_folds


def _late_hooks(parameter: nn.Parameter) -> object:
    return getattr(parameter, "_post_accumulate_grad_hooks", None)


def _step_hooks(optimizer: Optimizer) -> bool:
    names = ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks")
    return any(getattr(optimizer, name, None) for name in names)


def _copied(
    module: nn.Module, optimizer: Optimizer
) -> tuple[nn.Module, Optimizer] | tuple[None, None]:
    """Return copies, or None where there can be none; all that is lost then is precision."""
    try:
        # Parameters that stay as they are, a backbone's say, are shared.
        shared = [one for one in module.parameters() if not one.requires_grad]
        return copied_together(module, optimizer, shared)
    except Exception as error:  # of many kinds, by what a module holds
        if isinstance(error, MemoryError):
            raise
        logger.info("Noise is measured on one fold: the module cannot be copied (%s)", error)
        return None, None


def _follow(optimizer: Optimizer, other: Optimizer) -> None:
    """Give an optimizer the rates that another of as many groups has now."""
    for own, theirs in zip(optimizer.param_groups, other.param_groups, strict=True):
        own.update({name: value for name, value in theirs.items() if name != "params"})
