"""The default learning-rate schedule, as a skorch callback."""

from __future__ import annotations

import sys
from typing import Any

from skorch.callbacks import LRScheduler
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
        """Leave out what hangs on the optimizer of this process."""
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
