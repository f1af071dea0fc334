"""A step whose gradient is weighted, as the weighting learns from a meta batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.optim import Optimizer

from skgdw._feed._layout import Inputs
from skgdw._training.step._jvp import Jvp, Recorded
from skgdw._training.step._optimizing import add_gradient, forget_gradients, make_dense
from skgdw._training.step._passes import Passes, TrainingPass
from skgdw._training.step._plain_step import StepResult
from skgdw._training.step._rates import LookAheadRates
from skgdw._training.step._sample_weights import SampleWeights, weigh_evidence
from skgdw._training.step._stateless import Output, first_output
from skgdw.functional import MetaGradient, PullGradient, keep_gradient_share, meta_gradient
from skgdw.weighting import Evidence, Weighting
from skgdw.weighting._row_loss import RowLoss


@dataclass
class LookAhead:
    """From what is sent back on trial to how the meta loss changes with it.

    Parameters
    ----------
    rates : LookAheadRates
        The parameters that learn and how far the look-ahead moves each.
    jvp : Jvp
        The way to J g.
    shares_pass : bool
        Whether the look-ahead goes back through the live pass. Under torch.compile it cannot, whose
        graphs can be walked back only once.
    """

    rates: LookAheadRates
    jvp: Jvp
    shares_pass: bool = True

    @property
    def is_recorded(self) -> bool:
        """Whether J g goes along recorded graphs."""
        return isinstance(self.jvp, Recorded) and self.jvp.is_on

    def leave_recorded(self) -> None:
        """Go by dual numbers from now on, where recorded graphs were followed."""
        if isinstance(self.jvp, Recorded):
            self.jvp.is_on = False

    def __call__(
        self, batch: TrainingPass, evidence: Evidence, pull: Tensor, meta: tuple[Inputs, Tensor]
    ) -> tuple[MetaGradient, PullGradient]:
        """Look ahead along a pull (n, c) on a meta batch (X_meta, y_meta)."""
        params, rates = self.rates()
        found = meta_gradient(
            lambda values: batch.meta_loss(values, *meta),
            params,
            batch.logits if self.shares_pass else batch.train_logits(params),
            weigh_evidence(pull, evidence),
            lookahead_lr=rates,
            create_graph=self.jvp.is_unrolled,
        )
        derivative = weigh_evidence(self.jvp(batch, params, found), evidence)
        return found, PullGradient(derivative, found.scale, evidence.logit_grad)


@dataclass
class MetaStep:
    """The weighted backward: weights from a look-ahead on a meta batch.

    Parameters
    ----------
    infer : callable
        Calls the live module; the only pass that moves its buffers.
    passes : Passes
        The virtual passes of the module under `infer`.
    row_loss : RowLoss
        The criterion, and its view of single rows.
    weighting : Weighting
    weighting_optimizer : Optimizer or None
        Steps the weighting's parameters; None where it has none.
    look_ahead : LookAhead
    meta_batches : iterator of (X_meta, y_meta)
        Endless.
    meta_every : int
        Steps from one meta batch to the next.
    meta_weight : float
        Weight of the meta gradient g in the real step; 0 is the paper's algorithm.
    min_share : float
        Least share of a batch's gradient that the weights leave.
    weights : SampleWeights
        Of the training rows; meta rows and the losses that are reported count alike.
    """

    infer: Callable[[Inputs], Output]
    passes: Passes
    row_loss: RowLoss
    weighting: Weighting
    weighting_optimizer: Optimizer | None
    look_ahead: LookAhead
    meta_batches: Iterator[tuple[Inputs, Tensor]]
    meta_every: int = 1
    meta_weight: float = 0.0
    min_share: float = 0.0
    count: int = 0
    weights: SampleWeights = field(default_factory=SampleWeights)

    @property
    def has_meta(self) -> bool:
        """Whether the next step takes a meta batch."""
        return self.count % self.meta_every == 0

    def __call__(self, X: Inputs, y: Tensor, rows: Tensor | None = None) -> StepResult:
        """Take a training batch."""
        has_meta = self.has_meta
        self.count += 1
        with self.passes.stream.active(), self.look_ahead.jvp.attention():
            start = self.passes.start() if has_meta else None
            logits = first_output(self.infer(X))
            evidence = self._evidence(logits, y, rows)
            if start is None:
                meta, weight = None, self._ask(evidence)
            else:
                batch = TrainingPass(self.passes, start, X, logits)
                meta, weight = self._learn(batch, evidence)
            with torch.no_grad():
                pull = self.weighting.pull(evidence, weight)
            sent = keep_gradient_share(pull.grad, evidence.logit_grad, share=self.min_share)
            logits.backward(weigh_evidence(sent, evidence) / len(y))
            if meta is not None and self.meta_weight:
                self._add(meta)
            self.weighting.remember(evidence, pull)
            loss = self.row_loss.whole(evidence.losses, evidence.logits, y)
        meta_loss = None if meta is None else meta.meta_loss
        return StepResult(loss, evidence, pull.weight, meta_loss, pull.posterior)

    def _learn(self, batch: TrainingPass, evidence: Evidence) -> tuple[MetaGradient, Tensor]:
        """Have the weighting learn from a meta batch; return the meta gradient, and its weights."""
        weighting = self.weighting
        first = weighting(evidence)
        trial = weighting.trial_pull(evidence, first.detach()).detach()
        meta, gradient = self.look_ahead(batch, evidence, trial, next(self.meta_batches))
        if first.requires_grad and self.weighting_optimizer is not None:
            forget_gradients(self.weighting_optimizer)
            weighting.learn(evidence, first, gradient)
            self.weighting_optimizer.step()
        with torch.no_grad():
            # Detached: a view of a parameter keeps its graph even where none is made.
            return meta, weighting.refine(evidence, first.detach(), gradient).detach()

    def _evidence(self, logits: Tensor, y: Tensor, rows: Tensor | None) -> Evidence:
        weight = self.weights.of(rows)
        return Evidence(logits.detach(), y, self.row_loss, rows, sample_weight=weight)

    def _ask(self, evidence: Evidence) -> Tensor:
        with torch.no_grad():
            weight: Tensor = self.weighting(evidence)
        return weight.detach()

    def _add(self, meta: MetaGradient) -> None:
        """Add the meta gradient to the real one: the meta rows train the network a little."""
        params, _ = self.look_ahead.rates()
        make_dense(params.values())
        for name, grad in meta.grad.items():
            add_gradient(params[name], grad, self.meta_weight)
