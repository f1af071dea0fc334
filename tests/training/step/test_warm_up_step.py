"""A step before the first weighted one: backward of what the weighting sends back."""

from contextlib import contextmanager

import pytest
import torch
from torch import nn

import cases
from cases import CASES
from properties import untouched
from skgdw._training._random import RandomStream
from skgdw._training.step._sample_weights import SampleWeights
from skgdw._training.step._warm_up_step import WarmUpStep
from skgdw.weighting import UniformWeighting
from skgdw.weighting._row_loss import make_row_loss


def warm_up_step(module, pull=None, weights=None, **more):
    row_loss = make_row_loss(nn.CrossEntropyLoss(), cases.N_CLASSES)
    pull = UniformWeighting().warm_up_pull if pull is None else pull
    stream = RandomStream(4, torch.device("cpu"))
    return WarmUpStep(module, pull, row_loss, stream, weights=weights or SampleWeights(), **more)


@pytest.mark.parametrize("name", ["conv_batchnorm", "dropout"])
def test_by_default_it_is_a_step_of_plain_training(name):
    problem, twin = (cases.problem(CASES[name]) for _ in range(2))
    with untouched():
        result = warm_up_step(problem.module)(problem.X, problem.y)
    torch.manual_seed(4)
    loss = nn.functional.cross_entropy(twin.module(problem.X), problem.y)
    loss.backward()
    torch.testing.assert_close(result.loss, loss.detach())
    assert (result.weight, result.meta_loss, result.posterior) == (None, None, None)
    for own, other in zip(problem.module.parameters(), twin.module.parameters(), strict=True):
        torch.testing.assert_close(own.grad, other.grad)


def test_rows_count_by_their_weight():
    problem, twin = (cases.problem(CASES["tanh"]) for _ in range(2))
    n = len(problem.y)
    weight = torch.linspace(0, 2, n)
    step = warm_up_step(problem.module, weights=SampleWeights(weight))
    evidence = step(problem.X, problem.y, torch.arange(n)).evidence
    losses = nn.functional.cross_entropy(twin.module(problem.X), problem.y, reduction="none")
    (losses * weight).mean().backward()
    for own, other in zip(problem.module.parameters(), twin.module.parameters(), strict=True):
        torch.testing.assert_close(own.grad, other.grad)
    assert torch.equal(evidence.sample_weight, weight)


def test_the_module_is_called_in_the_context_of_weighted_steps():
    problem, heard = cases.problem(CASES["tanh"]), []

    @contextmanager
    def attention():
        heard.append("in")
        yield
        heard.append("out")

    def pull(evidence):
        heard.append("pull")
        assert not torch.is_grad_enabled()
        return torch.zeros_like(evidence.logits)

    warm_up_step(problem.module, pull, attention=attention)(problem.X, problem.y)
    assert heard == ["in", "pull", "out"]
