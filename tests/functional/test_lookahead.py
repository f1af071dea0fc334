"""The virtual step, and the meta gradient where it leads."""

import pytest
import torch
from torch.nn import functional as F

from cases import CASES
from lookahead_cases import RATE, passes
from properties import assert_all_close
from skgdw.functional import look_ahead, meta_gradient

every_case = pytest.mark.parametrize("name", CASES)


@every_case
def test_look_ahead_is_a_plain_step_of_sgd(name):
    on = passes(name)
    ahead = look_ahead(on.params, on.logits, on.weight, on.logit_grad, lookahead_lr=RATE)
    assert not any(value.requires_grad for value in ahead.values())
    before = {key: p.detach().clone() for key, p in on.params.items()}
    optimizer = torch.optim.SGD(on.params.values(), lr=RATE)
    on.logits.backward(on.weight * on.logit_grad / len(on.y))
    optimizer.step()
    assert_all_close(ahead, on.params, 1e-13)
    assert any(not torch.equal(before[key], value) for key, value in ahead.items())


def test_look_ahead_leaves_parameters_without_influence_where_they_are():
    params = {key: torch.ones(1, 2, requires_grad=True) for key in ("used", "other")}
    weight, grad = torch.ones(1, 2), torch.tensor([[-0.5, 0.5]])
    ahead = look_ahead(params, 2 * params["used"], weight, grad, lookahead_lr=0.1)
    torch.testing.assert_close(ahead["used"], torch.tensor([[1.1, 0.9]]))
    assert torch.equal(ahead["other"], torch.ones(1, 2))


def test_look_ahead_can_be_differentiated_by_the_weights():
    on = passes("tanh")

    def ahead(weight):
        values = look_ahead(
            on.params, on.logits, weight, on.logit_grad, lookahead_lr=RATE, create_graph=True
        )
        return torch.cat([value.flatten() for value in values.values()])

    torch.autograd.gradcheck(ahead, on.weight.requires_grad_())


def gradient_at(on, rates, **kwargs):
    return meta_gradient(
        on.meta_loss, on.params, on.logits, on.weight * on.logit_grad, lookahead_lr=rates, **kwargs
    )


@every_case
@pytest.mark.parametrize("create_graph", [False, True])
def test_meta_gradient_is_the_gradient_where_the_look_ahead_leads(name, create_graph):
    if create_graph and "unrolled" not in CASES[name].exact:
        return
    on = passes(name)
    ahead = look_ahead(on.params, on.logits, on.weight, on.logit_grad, lookahead_lr=RATE)
    free = {key: value.requires_grad_() for key, value in ahead.items()}
    loss = on.meta_loss(free)
    expected = torch.autograd.grad(loss, list(free.values()), materialize_grads=True)
    found = gradient_at(on, RATE, create_graph=create_graph)
    assert_all_close(found.grad, dict(zip(free, expected, strict=True)), 1e-13)
    torch.testing.assert_close(found.meta_loss, loss.detach())
    assert found.scale == -RATE / len(on.y)
    assert found.direction is found.grad  # a common rate is a factor


def test_rates_of_their_own_go_into_the_direction():
    on = passes("tanh")
    rates = {key: 0.1 * (k + 1) for k, key in enumerate(on.params)}
    found = gradient_at(on, rates)
    for key, rate in rates.items():
        torch.testing.assert_close(found.direction[key], rate * found.grad[key])
    assert found.scale == -1 / len(on.y)


def test_meta_gradient_leaves_parameters_and_gradients_alone():
    on = passes("tanh")
    before = {key: value.detach().clone() for key, value in on.params.items()}
    gradient_at(on, RATE)
    for key, value in on.params.items():
        assert torch.equal(value, before[key])
        assert value.grad is None


def test_a_pull_may_be_anything_whose_rows_are_sent_back():
    params = {"z": torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)}
    y, pull = torch.tensor([0]), torch.tensor([[2.0, -2.0]], dtype=torch.float64)
    found = meta_gradient(
        lambda p: F.cross_entropy(p["z"], y), params, 1 * params["z"], pull, lookahead_lr=0.5
    )
    there = torch.tensor([[-1.0, 1.0]], dtype=torch.float64)
    expected = torch.softmax(there, dim=1) - torch.tensor([[1.0, 0.0]])
    torch.testing.assert_close(found.grad["z"], expected)
