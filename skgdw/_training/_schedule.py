"""The default learning-rate schedule, as a skorch callback."""

from __future__ import annotations

import sys
from typing import Any

from skorch.callbacks import LRScheduler
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR
from torch.optim.lr_scheduler import LRScheduler as TorchScheduler

# Where classifiers that were saved before the file moved look for the class.
sys.modules["skgdw.training._schedule"] = sys.modules[__name__]


class FitSchedule(LRScheduler):
    """A schedule that spans one call of ``fit``; cosine annealing does so by itself.

    skorch's own goes on from the history's last epoch, which ends at zero. Here every ``fit``
    starts the schedule anew, warm or not, and ``partial_fit`` keeps the base rate.
    """

    def _get_scheduler(self, net: Any, policy: Any, **kwargs: Any) -> TorchScheduler:
        for group in net.optimizer_.param_groups:
            group["lr"] = group.pop("initial_lr", group["lr"])
        if net.has_constant_rate:
            return ConstantLR(net.optimizer_, factor=1.0, total_iters=0)
        if policy is CosineAnnealingLR:
            kwargs.setdefault("T_max", net.max_epochs)
        return policy(net.optimizer_, **kwargs)
