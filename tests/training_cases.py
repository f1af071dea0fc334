"""A module with its optimizer, weighting and step, as the estimator would put them together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle

import torch
from torch import Tensor, nn

import cases
import oracles
from skgdw._training._random import RandomStream
from skgdw._training.step._jvp import DualNumbers, Jvp, Recorded, Unrolled, WideDifference
from skgdw._training.step._meta_step import LookAhead, MetaStep
from skgdw._training.step._passes import Passes
from skgdw._training.step._plain_step import StepResult
from skgdw._training.step._rates import LookAheadRates
from skgdw._training.step._stateless import Stateless
from skgdw._training.trial._probe import Trial
from skgdw.modules import WeightNet
from skgdw.weighting import Weighting
from skgdw.weighting._registry import make_weighting
from skgdw.weighting._row_loss import make_row_loss

LR, META_LR, CLIP, SEED = 0.1, 0.5, 0.2, 3
CPU = torch.device("cpu")


@dataclass
class Training:
    """What lives through a training run."""

    problem: cases.Problem
    weight_net: nn.Module
    optimizer: torch.optim.Optimizer
    step: MetaStep

    @property
    def module(self) -> nn.Module:
        return self.problem.module

    def take(self, X: Tensor, y: Tensor, rows: Tensor | None = None) -> StepResult:
        """Take a whole optimizer step."""
        self.optimizer.zero_grad()
        result = self.step(X, y, rows)
        self.optimizer.step()
        return result

    @property
    def trial(self) -> Trial:
        """What the estimator tries before the first step: a weight gradient on a few rows."""
        step, (X, y, *meta_batch) = self.step, self.problem[1:]
        return Trial(step.passes, step.row_loss, step.look_ahead.rates, (X, y), tuple(meta_batch))


def jvp_of(case: cases.Case, method: str | None = None) -> Jvp:
    """Return the first way to J g that a case has, or the one of that name, as steps take it.

    "forward" goes along the recorded graph where it can, "dual" never does.
    """
    method = method or case.exact[0]
    if method == "difference":
        return WideDifference()
    if method == "unrolled":
        return Unrolled(case.math_attention)
    dual = DualNumbers(case.math_attention)
    return dual if method == "dual" else Recorded(dual)


def named_weighting(name: str, weight_net: nn.Module) -> Weighting:
    """Build a weighting that has a name."""
    return make_weighting(
        name, {}, {"weight_net": weight_net, "meta_lr": META_LR, "weight_clip": CLIP}
    )


def start(
    case: cases.Case,
    *,
    method: str | None = None,
    weighting: str | Weighting = "class",
    dtype: torch.dtype = torch.float64,
    criterion: nn.Module | None = None,
    lookahead_lr: float | None = None,
    meta_every: int = 1,
    meta_weight: float = 0.0,
    meta_batches: Iterator[tuple[Tensor, Tensor]] | None = None,
) -> Training:
    """Build the training of a case."""
    problem = cases.problem(case, dtype=dtype)
    module, criterion = problem.module, criterion or nn.CrossEntropyLoss()
    weight_net = cases.seeded(lambda: WeightNet(hidden=10), seed=7).to(dtype)
    if isinstance(weighting, str):
        weighting = named_weighting(weighting, weight_net)
    taught = list(weighting.parameters())
    # As the estimator: every parameter is in the optimizer, frozen or not.
    optimizer = torch.optim.SGD(module.parameters(), lr=LR, momentum=0.9, weight_decay=5e-4)
    stateless = Stateless(module)
    step = MetaStep(
        infer=module,
        passes=Passes(stateless, RandomStream(SEED, CPU)),
        row_loss=make_row_loss(criterion, cases.N_CLASSES),
        weighting=weighting,
        weighting_optimizer=(
            torch.optim.Adam(taught, lr=1e-3, weight_decay=1e-4) if taught else None
        ),
        look_ahead=LookAhead(
            LookAheadRates(stateless, optimizer, lookahead_lr), jvp_of(case, method)
        ),
        meta_batches=meta_batches or cycle([(problem.X_meta, problem.y_meta)]),
        meta_every=meta_every,
        meta_weight=meta_weight,
    )
    return Training(problem, weight_net, optimizer, step)


def oracle(training: Training, **kwargs) -> oracles.Trainer:
    """Build the oracle's trainer of the same start."""
    settings = {"meta_lr": META_LR, "clip": CLIP, "seed": SEED, "lr": LR, **kwargs}
    return oracles.Trainer(training.module, training.weight_net, **settings)
