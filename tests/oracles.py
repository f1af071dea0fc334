"""Slow references that can be checked against the definitions by reading them.

Rows and classes are looped over one by one, derivatives are finite differences or double
backward through the whole look-ahead, and nothing of `skgdw` is imported.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

REFERENCE = Path(__file__).parent / "data" / "gdw_reference_steps.npz"
REFERENCE_STEPS = 3


def reference() -> dict[str, np.ndarray]:
    """Read three steps of the algorithm as its authors' program computes them, in float64.

    Network Linear(5, 16), tanh, Linear(16, 4); weighting net Linear(1, 16), ReLU, Linear(16, 1),
    sigmoid; SGD 0.1 with momentum 0.9 and weight decay 5e-4; Adam 1e-3 with weight decay 1e-4;
    outer rate 100 on G / sum|G|.
    """
    with np.load(REFERENCE) as arrays:
        return dict(arrays)


# Entry by entry.


def logit_gradient(logits: Tensor, y: Tensor, cap: float = 0.999) -> Tensor:
    grad = torch.zeros_like(logits)
    for i, row in enumerate(logits.tolist()):
        top = max(row)
        total = math.fsum(math.exp(z - top) for z in row)
        for j, z in enumerate(row):
            grad[i, j] = min(math.exp(z - top) / total, cap) - (1.0 if j == int(y[i]) else 0.0)
    return grad


def zero_mean(weight: Tensor, logit_grad: Tensor, y: Tensor) -> Tensor:
    balanced = weight.clone()
    for i, target in enumerate(y.tolist()):
        others = [j for j in range(weight.shape[1]) if j != target]
        pull = math.fsum(float(weight[i, j]) * float(logit_grad[i, j]) for j in others)
        balanced[i, target] = pull / -float(logit_grad[i, target])
    return balanced


def update_weight(
    weight: Tensor, weight_grad: Tensor, meta_lr: float, clip: float = 0.2, floor: float = 1e-6
) -> Tensor:
    flat, grads = weight.flatten().tolist(), weight_grad.flatten().tolist()
    mean = math.fsum(abs(g) for g in grads) / len(grads)
    if mean == 0:
        return weight.clone()
    moved = [
        max(w - min(max(meta_lr * g / mean, -clip), clip), floor)
        for w, g in zip(flat, grads, strict=True)
    ]
    return torch.tensor(moved, dtype=weight.dtype).reshape(weight.shape)


def row_losses(logits: Tensor, y: Tensor) -> Tensor:
    """Return the cross-entropy of each row, with its graph."""
    return torch.stack([torch.logsumexp(logits[i], dim=0) - logits[i, y[i]] for i in range(len(y))])


# The weight gradient by finite differences.


@contextmanager
def draws_from(seed: int):
    """Draw the random numbers of a seed inside the block, and leave no trace."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def meta_loss_after(
    module: nn.Module,
    weight: Tensor,
    logit_grad: Tensor,
    batches: tuple[Tensor, Tensor, Tensor],
    rate_of: Callable[[str], float],
    seed: int,
) -> float:
    """Take the look-ahead step on a copy of the module and return the meta loss there."""
    X, X_meta, y_meta = batches
    ahead = copy.deepcopy(module)
    ahead.zero_grad()
    with draws_from(seed):
        ahead(X).backward(weight * logit_grad / len(X))
    with torch.no_grad():
        for name, parameter in ahead.named_parameters():
            if parameter.grad is not None:
                parameter -= rate_of(name) * parameter.grad
        for name, buffer in ahead.named_buffers():
            buffer.copy_(module.get_buffer(name))
        with draws_from(seed + 1):
            return float(row_losses(ahead(X_meta), y_meta).mean())


def weight_gradient(
    module: nn.Module,
    weight: Tensor,
    logit_grad: Tensor,
    batches: tuple[Tensor, Tensor, Tensor],
    rate_of: Callable[[str], float],
    *,
    seed: int = 0,
    h: float = 1e-3,
) -> Tensor:
    """Move each weight by itself and watch the meta loss: a central difference of fourth order."""
    grad = torch.zeros_like(weight)

    def at(i: int, j: int, shift: float) -> float:
        moved = weight.clone()
        moved[i, j] += shift
        return meta_loss_after(module, moved, logit_grad, batches, rate_of, seed)

    for i in range(weight.shape[0]):
        for j in range(weight.shape[1]):
            near, far = at(i, j, h) - at(i, j, -h), at(i, j, 2 * h) - at(i, j, -2 * h)
            grad[i, j] = (8 * near - far) / (12 * h)
    return grad


# The whole step.


class StepRecord(NamedTuple):
    """What a step of the trainer computed on its way."""

    losses: Tensor
    first: Tensor
    logit_grad: Tensor
    weight: Tensor
    weight_grad: Tensor | None = None
    meta_loss: Tensor | None = None


class Trainer:
    """The algorithm as one literal loop in float64, by double backward.

    Works on copies. Random numbers are those of one stream that starts at `seed`: the training
    pass draws first, the meta pass goes on from there.
    """

    def __init__(
        self,
        module: nn.Module,
        weight_net: nn.Module,
        *,
        meta_lr: float,
        weighting: str = "class",
        clip: float = 0.2,
        lookahead_lr: float | Mapping[str, float] | None = None,
        seed: int = 0,
        lr: float = 0.1,
        momentum: float = 0.9,
        weight_decay: float = 5e-4,
    ) -> None:
        self.module = copy.deepcopy(module).double().train()
        self.weight_net = copy.deepcopy(weight_net).double()
        self.meta_lr, self.weighting, self.clip = meta_lr, weighting, clip
        self.rate = lr if lookahead_lr is None else lookahead_lr
        free = [p for p in self.module.parameters() if p.requires_grad]
        self.optimizer = torch.optim.SGD(free, lr=lr, momentum=momentum, weight_decay=weight_decay)
        self.weight_net_optimizer = torch.optim.Adam(
            self.weight_net.parameters(), lr=1e-3, weight_decay=1e-4
        )
        with draws_from(seed):
            self.random_state = torch.get_rng_state()

    def step(
        self, X: Tensor, y: Tensor, X_meta: Tensor | None = None, y_meta: Tensor | None = None
    ) -> StepRecord:
        """Take a step; without a meta batch the weighting net alone gives the weights."""
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(self.random_state)
            record = self._step(X, y, X_meta, y_meta)
            self.random_state = torch.get_rng_state()
        return record

    def _step(
        self, X: Tensor, y: Tensor, X_meta: Tensor | None, y_meta: Tensor | None
    ) -> StepRecord:
        params = {k: p for k, p in self.module.named_parameters() if p.requires_grad}
        before = {name: buffer.clone() for name, buffer in self.module.named_buffers()}
        logits = self.module(X.double())
        losses = row_losses(logits, y).detach()
        logit_grad = logit_gradient(logits.detach(), y)
        first = self.weight_net(losses)
        weight = first.unsqueeze(1).expand_as(logit_grad)
        weight_grad = meta_loss = None
        if X_meta is not None:
            step = self._weighted_gradient(params, logits, weight, logit_grad, create_graph=True)
            rate = self.rate
            ahead = {
                name: p - (rate[name] if isinstance(rate, Mapping) else rate) * g
                for (name, p), g in zip(params.items(), step, strict=True)
            }
            meta_logits = functional_call(self.module, {**ahead, **before}, (X_meta.double(),))
            meta_loss = row_losses(meta_logits, y_meta).mean()
            taught = list(self.weight_net.parameters())
            weight_grad, *pulled = torch.autograd.grad(
                meta_loss, [weight, *taught], retain_graph=True, materialize_grads=True
            )
            for parameter, gradient in zip(taught, pulled, strict=True):
                parameter.grad = gradient
            self.weight_net_optimizer.step()
            weight = self._second_stage(weight, weight_grad, losses)
        weight = zero_mean(weight.detach().clone(), logit_grad, y)
        real = self._weighted_gradient(params, logits, weight, logit_grad)
        for parameter, gradient in zip(params.values(), real, strict=True):
            parameter.grad = gradient
        self.optimizer.step()
        self.optimizer.zero_grad()
        return StepRecord(
            losses, first.detach(), logit_grad, weight, weight_grad, _detached(meta_loss)
        )

    def _weighted_gradient(
        self, params: Mapping[str, Tensor], logits, weight, logit_grad, *, create_graph=False
    ) -> tuple[Tensor, ...]:
        total = 0.0
        for i in range(logits.shape[0]):
            for j in range(logits.shape[1]):
                total = total + weight[i, j] * logit_grad[i, j] * logits[i, j]
        return torch.autograd.grad(
            total / len(logits),
            list(params.values()),
            retain_graph=True,
            create_graph=create_graph,
            materialize_grads=True,
        )

    def _second_stage(self, weight: Tensor, weight_grad: Tensor, losses: Tensor) -> Tensor:
        weight = weight.detach().clone()
        if self.weighting == "network":
            return self.weight_net(losses).detach().unsqueeze(1).expand_as(weight)
        if self.weighting == "class":
            return update_weight(weight, weight_grad, self.meta_lr, self.clip)
        row = update_weight(weight[:, 0], weight_grad.sum(dim=1), self.meta_lr, self.clip)
        return row.unsqueeze(1).expand_as(weight)


def _detached(value: Tensor | None) -> Tensor | None:
    return None if value is None else value.detach()
