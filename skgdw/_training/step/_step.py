"""One training step: what it does to the module's gradients and to the weighting net."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD, Optimizer

from skgdw._training._random import RandomStream, StillStream
from skgdw._training._weighting import Weighting
from skgdw._training.speed._precision import Precision
from skgdw._training.step._rates import LookAheadRates
from skgdw._training.step._row_loss import RowLoss
from skgdw._training.step._stateless import State, Stateless, first_output
from skgdw._training.trial._derivatives import MetaGradient
from skgdw.functional import keep_gradient_share, weight_gradient, zero_mean

_FORWARD = MetaGradient("forward")


class StepResult(NamedTuple):
    """What a step found out; tensors without a graph, still on the device.

    Attributes
    ----------
    loss : Tensor of shape ()
        The criterion of the training batch.
    logits : Tensor of shape (n, c)
    weight : Tensor of shape (n, c) or None
        The class-level weights, before a batch that keeps too little of its gradient is scaled
        up as a whole; None in plain training.
    meta_loss : Tensor of shape () or None
        Loss of the meta batch after the look-ahead; None on steps without one.
    """

    loss: Tensor
    logits: Tensor
    weight: Tensor | None = None
    meta_loss: Tensor | None = None


class _Start(NamedTuple):
    """What the live pass will change or draw, for virtual passes to start from."""

    buffers: State
    mark: list[Tensor]

    def fresh(self, values: State) -> dict[str, Tensor]:
        """Return parameters with buffers to write to, as BatchNorm does: each pass its own."""
        return {**values, **{name: buffer.clone() for name, buffer in self.buffers.items()}}


class Step(Protocol):
    """Fills ``.grad`` of the module's parameters; the caller's optimizer does the rest."""

    def __call__(self, X: Any, y: Tensor) -> StepResult:
        """Take a training batch: inputs (n, ...), class codes (n,)."""


def forget_gradients(optimizer: Optimizer) -> None:
    """Do what ``zero_grad`` does, sparing its profiler's mark, which costs more than the rest."""
    if type(optimizer).zero_grad is not Optimizer.zero_grad:
        optimizer.zero_grad()
        return
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = None


def unfuse_where_incomplete(optimizer: Optimizer) -> None:
    """Give up SGD's fused step where a parameter joins others whose momentum has begun."""
    if not isinstance(optimizer, SGD):
        return
    for group in optimizer.param_groups:
        if group.get("fused") and group["momentum"]:
            learning = [p for p in group["params"] if p.grad is not None]
            begun = sum("momentum_buffer" in optimizer.state.get(p, ()) for p in learning)
            if 0 < begun < len(learning):  # torch's kernel takes all or none of them
                group["fused"] = False


@dataclass
class PlainStep:
    """Backward of the loss that skorch would take, nothing else."""

    infer: Callable[[Any], Any]
    loss: Callable[[Any, Tensor, Any], Tensor]
    stream: RandomStream

    def __call__(self, X: Any, y: Tensor) -> StepResult:
        """Take a training batch."""
        with self.stream.active():
            output = self.infer(X)
            loss = self.loss(output, y, X)
            loss.backward()
        return StepResult(loss.detach(), first_output(output).detach())


@dataclass
class MetaStep:
    """The weighted backward: weights from a look-ahead on a meta batch.

    Parameters
    ----------
    infer : callable
        Calls the live module; the only pass that moves its buffers.
    stateless : Stateless
        The module under `infer`, for the virtual passes.
    row_loss : RowLoss
        The criterion, and its view of single rows.
    weight_net, weight_net_optimizer
        The weighting net and what steps it.
    weighting : Weighting
        How the class-level weights follow from the gradient.
    rates : LookAheadRates
        The parameters that learn and how far the look-ahead moves each.
    meta_batches : iterator of (X_meta, y_meta)
        Endless.
    meta_every : int
        Steps from one meta batch to the next.
    stream : RandomStream
        Where the module's random numbers come from.
    min_share : float
        Least share of a batch's gradient that the weights leave.
    shares_pass : bool
        Whether the look-ahead and the difference start from the live pass. Under torch.compile they
        cannot, whose graphs can be walked back only once, nor where passes without a graph round
        otherwise than those with one (`repeats_itself`), nor a difference from a pass in bf16.
    way : MetaGradient
        How the weight gradient is computed.
    is_tried : bool
        Whether an `attempt` has shown that the way works.
    """

    infer: Callable[[Any], Any]
    stateless: Stateless
    row_loss: RowLoss
    weight_net: nn.Module
    weight_net_optimizer: Optimizer
    weighting: Weighting
    rates: LookAheadRates
    meta_batches: Iterator[tuple[Any, Tensor]]
    meta_every: int
    stream: RandomStream | StillStream
    min_share: float = 0.0
    shares_pass: bool = True
    way: MetaGradient = _FORWARD
    is_tried: bool = True
    count: int = 0

    @property
    def has_meta(self) -> bool:
        """Whether the next step takes a meta batch."""
        return self.count % self.meta_every == 0

    def __call__(self, X: Any, y: Tensor) -> StepResult:
        """Take a training batch."""
        has_meta = self.has_meta
        self.count += 1
        meta_loss = None
        with self.stream.active(), self.way.attention():
            start = self._start() if has_meta else None
            logits = first_output(self.infer(X))
            losses = self.row_loss.losses(logits, y)
            logit_grad = self.row_loss.logit_grad(logits, y)
            if start is None:
                weight = self._ask(losses).unsqueeze(1)
            else:
                first = self.weight_net(losses)
                weight_grad, meta_loss = self._weight_gradient(
                    X, logits, logit_grad, first, next(self.meta_batches), start
                )
                self.teach(first, weight_grad)
                weight = self.second_stage(losses, first, weight_grad)
            weight = zero_mean(weight.expand_as(logit_grad), logit_grad, y)
            pull = keep_gradient_share(weight * logit_grad, logit_grad, share=self.min_share)
            logits.backward(pull / len(y))
            loss = self.row_loss.whole(losses, logits, y)
        return StepResult(loss, logits.detach(), weight, meta_loss)

    def attempt(
        self, way: MetaGradient, X: Any, y: Tensor, meta_batch: tuple[Any, Tensor]
    ) -> Tensor:
        """Compute a weight gradient that way, changing nothing; raise where torch cannot."""
        with self.stream.active(), way.attention():
            start = self._start()
            with self.stream.replay(start.mark):
                logits = self.stateless(self.stateless.copy_buffers(), X)
                first = torch.ones_like(self.row_loss.losses(logits, y))
                logit_grad = self.row_loss.logit_grad(logits, y)
                # Forward mode by dual numbers, which a later graph with other nodes may be left to.
                shares = self.shares_pass and way.method != "forward"
                trial = replace(self, way=way, is_tried=False, shares_pass=shares)
                if way.is_wide:
                    trial.check_wide(logits, X, start)
                return trial._weight_gradient(X, logits, logit_grad, first, meta_batch, start)[0]

    def check_wide(self, logits: Tensor, X: Any, start: _Start) -> None:
        """Raise if passes in double precision are none, or give other logits.

        Parameters that grow by a little twice must change the logits twice alike; a module that
        rounds to single precision somewhere inside changes them by steps.
        """
        own = self.stateless.parameters
        with torch.no_grad():
            z, once, twice = (
                self._wide_logits(
                    {name: p.double() * (1 + k * 1e-8) for name, p in own.items()}, X, start
                )
                for k in range(3)
            )
        eps = self.stateless.precision.eps or torch.finfo(logits.dtype).eps
        if (z - logits).norm() > 3 * eps**0.5 * z.norm():
            raise RuntimeError("its passes in double precision give other logits")
        if z.dtype != torch.float64 or (twice - 2 * once + z).norm() > 0.1 * (twice - z).norm():
            raise RuntimeError("it rounds to single precision inside")

    def _start(self) -> _Start:
        self.stateless.refresh()
        return _Start(self.stateless.copy_buffers(), self.stream.mark())

    def _weight_gradient(
        self,
        X: Any,
        logits: Tensor,
        logit_grad: Tensor,
        first: Tensor,
        meta_batch: tuple[Any, Tensor],
        start: _Start,
    ) -> tuple[Tensor, Tensor]:
        """Return G and the meta loss, leaving module, ``.grad`` and random state alone."""
        X_meta, y_meta = meta_batch
        params, rates = self.rates()

        # A difference of short numbers would be noise.
        precision = Precision() if self.way.method == "difference" else None

        def train_logits(values: State) -> Tensor:
            with self.stream.replay(start.mark):
                return self.stateless(start.fresh(values), X, precision=precision)

        def meta_loss(values: State) -> Tensor:
            return F.cross_entropy(self.stateless(start.fresh(values), X_meta), y_meta)

        return weight_gradient(
            train_logits,
            meta_loss,
            params,
            first.detach().unsqueeze(1).expand_as(logit_grad),
            logit_grad,
            lookahead_lr=rates,
            method=self.way.method,
            logits=logits if self.shares_pass else None,
            wide_logits=partial(self._wide_logits, X=X, start=start) if self.way.is_wide else None,
            is_tried=self.is_tried,
        )

    def _wide_logits(self, values: State, X: Any, start: _Start) -> Tensor:
        with self.stream.replay(start.mark):
            return self.stateless.wide(start.fresh(values), X)

    def teach(self, first: Tensor, weight_grad: Tensor) -> None:
        """Step the weighting net down the gradient that reaches it through its output."""
        if not first.requires_grad:  # a weighting net that is frozen
            return
        forget_gradients(self.weight_net_optimizer)
        first.backward(weight_grad.sum(dim=1))
        self.weight_net_optimizer.step()

    def second_stage(self, losses: Tensor, first: Tensor, weight_grad: Tensor) -> Tensor:
        """Return the class-level weights before the zero-mean constraint."""
        return self.weighting.second_stage(first.detach(), weight_grad, lambda: self._ask(losses))

    def _ask(self, losses: Tensor) -> Tensor:
        with torch.no_grad():
            weight: Tensor = self.weight_net(losses)
        return weight
