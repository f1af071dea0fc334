"""A module with its optimizer, weighting net and step, as the estimator would put them together."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle

import pytest
import torch
from torch import Tensor, nn

import cases
import oracles
from skgdw._training._random import RandomStream
from skgdw._training._weighting import make_weighting
from skgdw._training.step._rates import LookAheadRates
from skgdw._training.step._stateless import Stateless
from skgdw._training.step._step import MetaStep, StepResult
from skgdw._training.trial._derivatives import MetaGradient
from skgdw.modules import WeightNet
from skgdw.weighting._row_loss import make_row_loss

LR, META_LR, CLIP, SEED = 0.1, 0.5, 0.2, 3


@dataclass
class Training:
    """What lives through a training run."""

    problem: cases.Problem
    weight_net: nn.Module
    optimizer: torch.optim.Optimizer
    step: MetaStep
    meta_batches: Iterator[tuple[Tensor, Tensor]]

    @property
    def module(self) -> nn.Module:
        return self.problem.module

    def take(self, X: Tensor, y: Tensor) -> StepResult:
        """Take a whole optimizer step."""
        self.optimizer.zero_grad()
        result = self.step(X, y)
        self.optimizer.step()
        return result


def way_of(case: cases.Case, method: str | None = None) -> MetaGradient:
    """Return the first way that a case has, or the one of that name."""
    method = method or case.exact[0]
    if method == "difference":
        return MetaGradient(method, is_wide=True)
    return MetaGradient(method, math_attention=case.math_attention)


@pytest.fixture
def start():
    """Return a function that builds the training of a case."""

    def build(
        case: cases.Case,
        *,
        method: str | None = None,
        weighting: str = "class",
        dtype: torch.dtype = torch.float64,
        criterion: nn.Module | None = None,
        lookahead_lr: float | None = None,
        meta_every: int = 1,
        meta_batches: Iterator[tuple[Tensor, Tensor]] | None = None,
    ) -> Training:
        problem = cases.problem(case, dtype=dtype)
        module, criterion = problem.module, criterion or nn.CrossEntropyLoss()
        weight_net = cases.seeded(lambda: WeightNet(hidden=10), seed=7).to(dtype)
        # As the estimator: every parameter is in the optimizer, frozen or not.
        optimizer = torch.optim.SGD(module.parameters(), lr=LR, momentum=0.9, weight_decay=5e-4)
        if meta_batches is None:
            meta_batches = cycle([(problem.X_meta, problem.y_meta)])
        stateless = Stateless(module)
        step = MetaStep(
            infer=module,
            stateless=stateless,
            row_loss=make_row_loss(criterion, cases.N_CLASSES),
            weight_net=weight_net,
            weight_net_optimizer=torch.optim.Adam(
                weight_net.parameters(), lr=1e-3, weight_decay=1e-4
            ),
            weighting=make_weighting(weighting, meta_lr=META_LR, clip=CLIP),
            rates=LookAheadRates(stateless, optimizer, lookahead_lr),
            meta_batches=meta_batches,
            meta_every=meta_every,
            stream=RandomStream(SEED, torch.device("cpu")),
            way=way_of(case, method),
        )
        return Training(problem, weight_net, optimizer, step, meta_batches)

    return build


@pytest.fixture
def oracle():
    """Return a function that builds the oracle's trainer of the same start."""

    def build(training: Training, **kwargs) -> oracles.Trainer:
        settings = {"meta_lr": META_LR, "clip": CLIP, "seed": SEED, "lr": LR, **kwargs}
        return oracles.Trainer(training.module, training.weight_net, **settings)

    return build
