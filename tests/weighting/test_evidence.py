"""What a step knows of its rows: each statistic against a loop over rows and classes."""

import math
from dataclasses import FrozenInstanceError

import pytest
import torch
from torch import nn

import oracles
from properties import assert_close
from skgdw.weighting import Evidence
from skgdw.weighting._row_loss import CrossEntropyRows

N, C = 7, 4


def drawn(n=N, *, seed=0, scale=3.0, **known):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn((n, C), generator=generator, dtype=torch.float64)
    return Evidence(logits, torch.arange(n) % C, **known)


def softmax(row):
    total = math.fsum(math.exp(z - max(row)) for z in row)
    return [math.exp(z - max(row)) / total for z in row]


def test_probabilities_and_what_follows_from_them():
    evidence = drawn()
    for i, row in enumerate(evidence.logits.tolist()):
        own = softmax(row)
        assert evidence.probabilities[i].tolist() == pytest.approx(own, rel=1e-12)
        assert float(evidence.given_probability[i]) == pytest.approx(own[i % C], rel=1e-12)
        assert float(evidence.losses[i]) == pytest.approx(-math.log(own[i % C]), rel=1e-12)
        assert int(evidence.prediction[i]) == own.index(max(own))
    shapes = {name: tuple(getattr(evidence, name).shape) for name in STATISTICS}
    assert shapes == {
        "losses": (N,),
        "logit_grad": (N, C),
        "probabilities": (N, C),
        "given_probability": (N,),
        "prediction": (N,),
    }
    assert evidence.prediction.dtype is torch.int64


STATISTICS = ("losses", "logit_grad", "probabilities", "given_probability", "prediction")


@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_the_logit_gradient_is_capped(scale):
    evidence = drawn(scale=scale)
    expected = oracles.logit_gradient(evidence.logits, evidence.y)
    assert_close(evidence.logit_grad, expected, 1e-12)


def test_losses_and_gradients_are_those_of_the_criterion():
    weight = torch.tensor([0.5, 2.0, 1.0, 4.0], dtype=torch.float64)
    criterion = nn.CrossEntropyLoss(weight=weight)
    plain, weighted = drawn(), drawn(row_loss=CrossEntropyRows(criterion))
    for i in range(N):
        own = float(weight[i % C])
        assert float(weighted.losses[i]) == pytest.approx(own * float(plain.losses[i]))
    # Their mean over the rows is the criterion's own gradient.
    free = plain.logits.clone().requires_grad_()
    (expected,) = torch.autograd.grad(criterion(free, plain.y), free)
    assert_close(weighted.logit_grad / N, expected, 1e-12)
    assert torch.equal(weighted.probabilities, plain.probabilities)


class Counting:
    """A criterion's rows that count how often they are asked."""

    def __init__(self):
        self.asked = []
        self.rows = CrossEntropyRows(nn.CrossEntropyLoss())

    def losses(self, logits, y):
        self.asked.append("losses")
        return self.rows.losses(logits, y)

    def logit_grad(self, logits, y):
        self.asked.append("logit_grad")
        return self.rows.logit_grad(logits, y)

    def given_probability(self, losses, logits, y):
        self.asked.append("given_probability")
        return self.rows.given_probability(losses, logits, y)


def test_what_nobody_asks_for_is_not_computed_and_the_rest_once():
    row_loss = Counting()
    evidence = drawn(row_loss=row_loss)
    assert evidence.prediction is evidence.prediction
    assert row_loss.asked == []
    for _ in range(2):
        assert evidence.losses is evidence.losses
    assert row_loss.asked == ["losses"]
    assert evidence.logit_grad is evidence.logit_grad
    assert evidence.given_probability is evidence.given_probability
    assert row_loss.asked == ["losses", "logit_grad", "given_probability"]


def test_nothing_has_a_graph():
    evidence = drawn()
    logits = evidence.logits.requires_grad_()
    assert not evidence.losses.requires_grad
    assert not evidence.logit_grad.requires_grad
    assert logits.grad is None


def test_a_record_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        drawn().y = torch.zeros(N)


def parts(**known):
    return [
        drawn(n, seed=seed, **{name: make(n) for name, make in known.items()})
        for seed, n in enumerate((3, 1, 5))
    ]


def test_joined_batches_are_one_batch():
    found = parts(rows=lambda n: torch.arange(n) + 10 * n, trusted=lambda n: torch.arange(n) > 0)
    joined = Evidence.join(found)
    for name in (*STATISTICS, "y", "rows", "trusted"):
        assert torch.equal(
            getattr(joined, name), torch.cat([getattr(part, name) for part in found])
        ), name
    assert joined.row_loss is found[0].row_loss


def test_one_batch_is_joined_already():
    (part,) = parts()[:1]
    assert Evidence.join([part]) is part


@pytest.mark.parametrize("name", ["rows", "trusted"])
def test_what_not_all_batches_know_is_not_known(name):
    make = {"rows": torch.arange, "trusted": lambda n: torch.arange(n) > 0}
    known, unknown = parts(**make), parts()
    assert getattr(Evidence.join(unknown), name) is None
    other = {"rows": "trusted", "trusted": "rows"}[name]
    assert torch.equal(
        getattr(Evidence.join(parts(**{other: make[other]})), other),
        torch.cat([getattr(part, other) for part in known]),
    )
    mixed = [known[0], unknown[1], known[2]]
    assert getattr(Evidence.join(mixed), name) is None
    assert len(Evidence.join(mixed).y) == 9


def test_no_rows_at_all():
    evidence = drawn(0)
    assert evidence.losses.shape == (0,)
    assert evidence.prediction.shape == (0,)
