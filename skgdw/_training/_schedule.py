"""The default learning-rate schedule, as a skorch callback; and how schedules are silenced."""

from __future__ import annotations

import sys
from typing import Any

from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR
from torch.optim.lr_scheduler import LRScheduler as TorchScheduler
from torch.utils.hooks import RemovableHandle

# Where classifiers that were saved before the file moved look for the class.
sys.modules["skgdw.training._schedule"] = sys.modules[__name__]


class FitSchedule(LRScheduler):
    """A schedule that spans one call of ``fit``; cosine annealing does so by itself.

    skorch's own goes on from the history's last epoch, which ends at zero. Here every ``fit``
    starts the schedule anew, warm or not, and ``partial_fit`` keeps the base rate.
    """

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Make the schedule; a state that is loaded into the optimizer leaves the rates to it.

        A state brings the rate at which it was saved, and schedules go on from the rate they find.
        """
        super().on_train_begin(net, **kwargs)
        groups = [dict(group) for group in net.optimizer_.param_groups]

        def keep_rates(optimizer: Optimizer) -> None:
            for group, own in zip(optimizer.param_groups, groups, strict=True):
                group.update({key: own[key] for key in ("lr", "initial_lr") if key in own})

        self.forget()
        self.handle_ = net.optimizer_.register_load_state_dict_post_hook(keep_rates)

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Leave the rates alone from now on."""
        self.forget()

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Leave the rates alone from now on."""
        self.forget()

    def __getstate__(self) -> dict[str, object]:
        """Leave out what depends on the optimizer of this process."""
        return {key: value for key, value in vars(self).items() if key != "handle_"}

    def forget(self) -> None:
        """Leave the rates to whoever loads a state into the optimizer."""
        handle: RemovableHandle | None = self.__dict__.pop("handle_", None)
        if handle is not None:
            handle.remove()

    def _get_scheduler(self, net: Any, policy: Any, **kwargs: Any) -> TorchScheduler:
        for group in net.optimizer_.param_groups:
            group["lr"] = group.pop("initial_lr", group["lr"])
        if net.has_constant_rate:
            return ConstantLR(net.optimizer_, factor=1.0, total_iters=0)
        if policy is CosineAnnealingLR:
            kwargs.setdefault("T_max", net.max_epochs)
        return policy(net.optimizer_, **kwargs)


class ConstantRate(ConstantLR):
    """Stands in for a schedule of the user's, which has its say about the training before.

    Parameters
    ----------
    optimizer : Optimizer
    before : object
        Torch's scheduler that it stands in for.
    """

    def __init__(self, optimizer: Optimizer, before: object) -> None:
        self.before = before
        super().__init__(optimizer, factor=1.0, total_iters=0)


def begin_anew(net: NeuralNet, callback: Callback) -> None:
    """Have a callback keep the rates of a stage that fine-tunes, and count from its start."""
    # Patience that was used up before would end the stage at once.
    if isinstance(callback, FitSchedule | EarlyStopping):
        callback.on_train_begin(net)
    elif isinstance(callback, LRScheduler):
        callback.lr_scheduler_ = ConstantRate(net.optimizer_, callback.lr_scheduler_)


def end_constant_rate(callback: Callback) -> None:
    """Give a callback back what `begin_anew` has taken."""
    if isinstance(callback, LRScheduler) and isinstance(callback.lr_scheduler_, ConstantRate):
        callback.lr_scheduler_ = callback.lr_scheduler_.before
