"""Virtual passes: where the live pass started, with other parameters, and no trace left."""

import pytest
import torch
from torch import nn

import cases
from cases import CASES
from properties import assert_close, untouched
from skgdw._training._precision import Precision
from skgdw._training._random import RandomStream
from skgdw._training.step._passes import Passes, TrainingPass
from skgdw._training.step._stateless import Stateless

STATEFUL = ("conv_batchnorm", "running_mean", "dropout", "spectral_norm", "tied")


def passes_of(problem, precision=None):
    """Return the virtual passes of a module, as a step has them."""
    stateless = Stateless(problem.module, precision or Precision())
    return Passes(stateless, RandomStream(3, torch.device("cpu")))


@pytest.mark.parametrize("name", STATEFUL)
def test_virtual_passes_repeat_the_live_one(name):
    problem = cases.problem(CASES[name])
    passes = passes_of(problem)
    with passes.stream.active():
        start = passes.start()
        logits = problem.module(problem.X)
        batch = TrainingPass(passes, start, problem.X, logits)
        own = dict(problem.module.named_parameters())
        with untouched(problem.module):
            for _ in range(2):
                assert torch.equal(batch.train_logits(own), logits)
        moved = {key: value.detach() * 1.1 for key, value in own.items()}
        assert not torch.equal(batch.train_logits(moved), logits)
        assert_close(batch.wide_logits(own), logits, 1e-12)


def test_the_meta_pass_draws_on_where_the_live_one_ended_and_starts_from_its_buffers():
    problem = cases.problem(CASES["dropout"])
    passes = passes_of(problem)
    own = dict(problem.module.named_parameters())
    with passes.stream.active():
        batch = TrainingPass(passes, passes.start(), problem.X, problem.module(problem.X))
        found = batch.meta_loss(own, problem.X_meta, problem.y_meta)
    torch.manual_seed(3)
    problem.module(problem.X)
    expected = nn.functional.cross_entropy(problem.module(problem.X_meta), problem.y_meta)
    assert torch.equal(found, expected)


def test_short_passes_are_full_and_wide_where_asked():
    problem = cases.problem(CASES["tanh"], dtype=torch.float32)
    passes = passes_of(problem, Precision("cpu", torch.bfloat16))
    own = dict(problem.module.named_parameters())
    with passes.stream.active():
        start = passes.start()
        batch = TrainingPass(passes, start, problem.X, passes.stateless({}, problem.X))
        full = problem.module(problem.X)
        assert torch.equal(batch.full_logits(own), full)
        assert not torch.equal(batch.train_logits(own), full)
        assert batch.wide_logits(own).dtype is torch.float64
        assert_close(batch.wide_logits(own), full, 1e-6)
        batch.check_wide()


class Rounding(nn.Module):
    """Rounds its logits to single precision."""

    def __init__(self):
        super().__init__()
        self.out = nn.Linear(4, 3)

    def forward(self, X):
        return self.out(X).float().to(X.dtype)


class Other(Rounding):
    """Gives other numbers in double precision."""

    def forward(self, X):
        return self.out(X if X.dtype is torch.float32 else 1.5 * X)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (Rounding, "it rounds to single precision inside"),
        (Other, "its passes in double precision give other logits"),
    ],
)
def test_passes_that_are_not_in_double_precision_are_found(make, text):
    problem = cases.problem(cases.Case(make), dtype=torch.float32)
    passes = passes_of(problem)
    with passes.stream.active():
        batch = TrainingPass(passes, passes.start(), problem.X, problem.module(problem.X))
        with untouched(problem.module), pytest.raises(RuntimeError, match=text):
            batch.check_wide()


def test_starting_notices_other_tensors_of_the_module():
    problem = cases.problem(CASES["tanh"])
    passes = passes_of(problem)
    problem.module[0] = nn.Linear(4, 6, dtype=torch.float64)
    passes.start()
    assert passes.stateless.parameters["0.weight"] is problem.module[0].weight
