"""What a training run is built from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from skgdw._feed._layout import Inputs
from skgdw._training.step._stateless import Output
from skgdw.weighting import Weighting


@dataclass(frozen=True)
class Parts:
    """What skorch has built, and how it calls it.

    Attributes
    ----------
    module : nn.Module
        As it is called: perhaps compiled.
    criterion : nn.Module
    current_optimizer : callable
        Returns the module's optimizer: callbacks may make another.
    weighting : Weighting
    weighting_optimizer : Optimizer or None
    infer : callable
        Calls the module on inputs.
    loss : callable
        The criterion of a batch, given the module's whole output.
    set_training : callable
        Puts module and criterion into training mode, or out of it.
    set_modes : callable
        Puts a copy of the module into the modes that callbacks have it trained in.
    on_gradients : callable
        Tells the callbacks that the gradients of a batch are there.
    on_new_rate : callable
        Tells the schedule that a stage has a rate of its own.
    listeners : list of str
        The callbacks that listen to that.
    device : torch.device
    overridden : frozenset of str
        Which of "infer" and "get_loss" are a user's.
    """

    module: nn.Module
    criterion: nn.Module
    current_optimizer: Callable[[], Optimizer]
    weighting: Weighting
    weighting_optimizer: Optimizer | None
    infer: Callable[[Inputs], Output]
    loss: Callable[[Output, Tensor, Inputs], Tensor]
    set_training: Callable[[bool], None]
    set_modes: Callable[[nn.Module], None]
    on_gradients: Callable[[Sequence[object]], None]
    on_new_rate: Callable[[], None]
    listeners: list[str]
    device: torch.device
    overridden: frozenset[str] = frozenset()

    @property
    def optimizer(self) -> Optimizer:
        """The module's optimizer."""
        return self.current_optimizer()


@dataclass(frozen=True)
class Settings:
    """The estimator's parameters that a training run reads; None leaves it to the weighting."""

    n_classes: int
    meta_gradient: str
    precision: str
    lookahead_lr: float | None
    meta_every: int | None
    meta_weight: float | None
    min_gradient_share: float | None
    judges: bool
    is_stream: bool = False
