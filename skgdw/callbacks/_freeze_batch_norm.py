"""Frozen batch normalisation: running averages that stay where they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from skorch.callbacks import Callback
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


class _Net(Protocol):
    """What is asked of the classifier: its network."""

    module_: nn.Module


class FreezeBatchNorm(Callback):
    """Keeps layers of batch normalisation whose parameters are frozen in evaluation mode.

    Parameters that do not require a gradient stay as they are, but the running averages of batch
    normalisation move with every training batch all the same, so that a frozen backbone is another
    one after ``fit``. Here these layers normalise by their running averages while the rest trains,
    as they do in prediction.

    Layers are looked at before each batch, so that those which skorch's ``Freezer`` and
    ``Unfreezer`` freeze and set free in between are kept and let go. Layers without parameters,
    ``affine=False``, are left alone.

    Notes
    -----
    Everything that a step computes goes through these layers as they are then, the look-ahead and
    its derivative too, and so do the copies that ``fine_tune`` compares. Works with
    `Resume`, in whichever order they stand.

    Examples
    --------
    >>> import torch
    >>> from sklearn.datasets import load_iris
    >>> from skgdw import GDWClassifier
    >>> from skgdw.callbacks import FreezeBatchNorm
    >>> from skgdw.model_selection import split_meta
    >>> from torch import nn
    >>> data = split_meta(*load_iris(return_X_y=True), 30, random_state=0)
    >>> module = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3))
    >>> _ = module[0].requires_grad_(False)
    >>> callbacks = [FreezeBatchNorm()]
    >>> net = GDWClassifier(module, max_epochs=1, callbacks=callbacks, random_state=0, verbose=0)
    >>> torch.equal(net.fit(*data).module_[0].running_mean, torch.zeros(4))
    True
    """

    def on_batch_begin(
        self, net: _Net, batch: Any = None, training: bool = False, **kwargs: Any
    ) -> None:
        """Put frozen layers into evaluation mode, and others back into training mode."""
        if training:
            self.freeze(net.module_)

    def freeze(self, module: nn.Module) -> None:
        """Put frozen layers of a network into evaluation mode, and others into training mode."""
        for layer in module.modules():
            if isinstance(layer, _BatchNorm):
                own = list(layer.parameters())
                layer.training = not own or any(parameter.requires_grad for parameter in own)


def put_into_training(callbacks: Iterable[tuple[str, Callback]], module: nn.Module) -> None:
    """Put a copy of the network into the modes that it is trained in among these callbacks."""
    module.train()
    for _, callback in callbacks:
        if isinstance(callback, FreezeBatchNorm):
            callback.freeze(module)
