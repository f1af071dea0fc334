"""Plain training: backward of the loss that skorch would take, nothing else."""

import pytest
import torch
from torch import nn

import cases
from cases import CASES
from properties import untouched
from skgdw._training._random import RandomStream
from skgdw._training.step._plain_step import PlainStep
from skgdw.weighting._row_loss import make_row_loss


def plain_step(module, loss, seed=4):
    row_loss = make_row_loss(nn.CrossEntropyLoss(), cases.N_CLASSES)
    return PlainStep(module, loss, row_loss, RandomStream(seed, torch.device("cpu")))


@pytest.mark.parametrize("name", ["conv_batchnorm", "dropout", "lstm"])
def test_plain_step_is_backward_of_the_criterion(name):
    problem, twin = (cases.problem(CASES[name]) for _ in range(2))
    step = plain_step(problem.module, lambda z, y, X: nn.functional.cross_entropy(z, y))
    with untouched():
        result = step(problem.X, problem.y)
    torch.manual_seed(4)
    logits = twin.module(problem.X)
    loss = nn.functional.cross_entropy(logits, problem.y)
    loss.backward()
    assert torch.equal(result.loss, loss)
    assert torch.equal(result.evidence.logits, logits)
    assert result.weight is None
    assert result.meta_loss is None
    for own, other in zip(problem.module.parameters(), twin.module.parameters(), strict=True):
        assert torch.equal(own.grad, other.grad)


def test_evidence_knows_rows_labels_and_losses():
    problem = cases.problem(CASES["tanh"])
    step = plain_step(problem.module, lambda z, y, X: nn.functional.cross_entropy(z, y))
    rows = torch.arange(len(problem.y)) + 100
    evidence = step(problem.X, problem.y, rows).evidence
    assert evidence.rows is rows
    assert evidence.y is problem.y
    expected = nn.functional.cross_entropy(problem.module(problem.X), problem.y, reduction="none")
    torch.testing.assert_close(evidence.losses, expected.detach())
    assert not evidence.losses.requires_grad
    assert step(problem.X, problem.y).evidence.rows is None


def test_the_loss_is_given_the_whole_output_and_the_inputs():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = cases.tanh_mlp()

        def forward(self, X):
            return self.inner(X), X.square().mean()

    problem = cases.problem(cases.Case(Two))
    seen = []

    def loss(output, y, X):
        seen.append(X)
        return nn.functional.cross_entropy(output[0], y) + output[1]

    result = plain_step(problem.module, loss)(problem.X, problem.y)
    assert seen[0] is problem.X
    logits, beside = problem.module(problem.X)
    assert torch.equal(result.evidence.logits, logits)
    expected = nn.functional.cross_entropy(logits, problem.y) + beside
    assert torch.equal(result.loss, expected)
