"""Keeping the parameters of the best epoch."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import TypedDict

import torch
from torch import Tensor, nn

from skgdw._training._buffers import put_buffers, unlisted_buffers
from skgdw.weighting import Evidence


def balanced_accuracy(found: Iterable[Evidence]) -> float:
    """Return the mean recall over the classes that occur, in [0, 1].

    Parameters
    ----------
    found : iterable of Evidence
        Of rows whose labels can be trusted.

    Returns
    -------
    float
        Every class counts alike, however many rows it has.
    """
    y, right = [], []
    for evidence in found:
        y.append(evidence.y)
        right.append(evidence.prediction == evidence.y)
    labels, hits = torch.cat(y), torch.cat(right)
    counts = torch.bincount(labels)
    recalls = torch.bincount(labels, hits.to(torch.float64))[counts > 0] / counts[counts > 0]
    return recalls.mean().item()


class BestState(TypedDict):
    """The best epoch so far, as it is saved."""

    score: float
    epoch: int
    state: dict[str, Tensor] | None
    buffers: dict[str, Tensor]


class BestEpoch:
    """The parameters and buffers of the epoch with the best score so far.

    Attributes
    ----------
    score : float
        -inf before the first epoch.
    epoch : int
        Its number in the history, from 1; 0 before the first.
    state : dict of str to Tensor or None
    buffers : dict of str to Tensor
        What the state dict leaves out.
    """

    def __init__(self) -> None:
        self.score, self.epoch = float("-inf"), 0
        self.state: dict[str, Tensor] | None = None
        self.buffers: dict[str, Tensor] = {}

    def hear(self, module: nn.Module, score: float, epoch: int) -> None:
        """Compare an epoch with the best; of equal ones the first stays."""
        if score > self.score:
            self.score, self.epoch = score, epoch
            self.state = copy.deepcopy(module.state_dict())
            self.buffers = unlisted_buffers(module)

    def state_dict(self) -> BestState:
        """Return it as it is saved."""
        return BestState(score=self.score, epoch=self.epoch, state=self.state, buffers=self.buffers)

    def load_state_dict(self, saved: BestState) -> None:
        """Go on from what was saved."""
        self.score, self.epoch = saved["score"], saved["epoch"]
        self.state, self.buffers = saved["state"], saved["buffers"]

    def restore(self, module: nn.Module) -> None:
        """Give the module the best parameters, if there was an epoch."""
        if self.state is not None:
            module.load_state_dict(self.state)
            put_buffers(module, self.buffers)
