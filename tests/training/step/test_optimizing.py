"""Forgetting gradients as the optimizer does, and fused steps that cannot be."""

import pytest
import torch
from torch import nn

from skgdw._training.step._optimizing import (
    add_gradient,
    copied_together,
    forget_gradients,
    make_ready,
    take_step,
    unfuse_where_incomplete,
)


def learning(n=2):
    parameters = [nn.Parameter(torch.ones(3)) for _ in range(n)]
    for parameter in parameters:
        parameter.grad = torch.ones(3)
    return parameters


def test_gradients_of_all_groups_are_forgotten():
    first, second = learning()
    optimizer = torch.optim.SGD([{"params": [first]}, {"params": [second], "lr": 0.1}], lr=1.0)
    forget_gradients(optimizer)
    assert first.grad is None
    assert second.grad is None


def test_an_optimizer_that_forgets_in_its_own_way_does_so():
    class Zeroing(torch.optim.SGD):
        def zero_grad(self, set_to_none=True):
            super().zero_grad(set_to_none=False)

    (parameter,) = learning(1)
    forget_gradients(Zeroing([parameter], lr=1.0))
    assert torch.equal(parameter.grad, torch.zeros(3))


def test_momentum_that_begins_late_ends_the_fused_step():
    first, second = learning()
    second.grad = None
    optimizer = torch.optim.SGD([first, second], lr=1.0, momentum=0.9, fused=True)
    unfuse_where_incomplete(optimizer)
    optimizer.step()
    assert optimizer.param_groups[0]["fused"]
    second.grad = torch.ones(3)
    unfuse_where_incomplete(optimizer)
    assert optimizer.param_groups[0]["fused"] is False
    optimizer.step()
    assert torch.equal(second.detach(), torch.zeros(3))  # one step of one
    assert torch.allclose(first.detach(), torch.tensor(-1.9))  # two: 1, then 1 + 0.9


@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.optim.SGD(p, lr=1.0, fused=True),  # no momentum
        lambda p: torch.optim.Adam(p, lr=1.0, fused=True),  # no business of ours
    ],
    ids=["no momentum", "Adam"],
)
def test_others_stay_fused(make):
    first, second = learning()
    second.grad = None
    optimizer = make([first, second])
    optimizer.step()
    second.grad = torch.ones(3)
    unfuse_where_incomplete(optimizer)
    assert optimizer.param_groups[0]["fused"]


def test_complete_momentum_stays_fused():
    parameters = learning()
    optimizer = torch.optim.SGD(parameters, lr=1.0, momentum=0.9, fused=True)
    for _ in range(2):
        unfuse_where_incomplete(optimizer)
        optimizer.step()
    assert optimizer.param_groups[0]["fused"]


def test_sparse_gradients_become_ordinary_ones():
    table, rest = nn.Embedding(6, 2, sparse=True), nn.Linear(2, 1)
    optimizer = torch.optim.SGD(
        [*table.parameters(), *rest.parameters()], lr=0.1, weight_decay=0.1, fused=True
    )
    rest(table(torch.tensor([1, 1, 4]))).sum().backward()
    expected, other = table.weight.grad.to_dense(), rest.weight.grad
    make_ready(optimizer)
    assert torch.equal(table.weight.grad, expected)
    assert rest.weight.grad is other
    optimizer.step()


def forget_the_first(parameter):
    parameter.grad[:1] = 0


def test_a_gradient_is_added_as_if_it_had_come_by_backward():
    plain, hooked, late = (nn.Parameter(torch.ones(3)) for _ in range(3))
    hooked.register_hook(lambda grad: grad * torch.tensor([0.0, 1.0, 1.0]))
    hooked.register_hook(lambda grad: None)
    late.register_post_accumulate_grad_hook(forget_the_first)
    for parameter in (plain, hooked, late):
        (2 * parameter.sum()).backward()
        add_gradient(parameter, torch.full((3,), 4.0), 0.5)
    assert plain.grad.tolist() == [4.0, 4.0, 4.0]
    assert hooked.grad.tolist() == [0.0, 4.0, 4.0]
    assert late.grad.tolist() == [0.0, 4.0, 4.0]
    tenth = nn.Parameter(torch.ones(1))
    tenth.register_post_accumulate_grad_hook(lambda p: p.grad.mul_(0.1) and None)
    (20 * tenth.sum()).backward()
    add_gradient(tenth, torch.tensor([30.0]), 1.0)
    assert tenth.grad.tolist() == pytest.approx([5.0])  # neither of the two more than once
    fresh = nn.Parameter(torch.ones(2))
    add_gradient(fresh, torch.ones(2), 3.0)
    assert fresh.grad.tolist() == [3.0, 3.0]


def test_copies_of_what_jit_compiled_are_stepped_together():
    module = torch.jit.script(nn.Linear(2, 2))
    optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
    before = [one.detach().clone() for one in module.parameters()]
    copied, other = copied_together(module, optimizer)
    copied(torch.ones(3, 2)).sum().backward()
    other.step()
    assert all(map(torch.equal, module.parameters(), before))
    assert not any(map(torch.equal, copied.parameters(), before))


@pytest.mark.parametrize(("kind", "asked"), [(torch.optim.SGD, 1), (torch.optim.LBFGS, 3)])
def test_gradients_are_asked_for_as_often_as_an_optimizer_does(kind, asked):
    (parameter,) = learning(1)
    optimizer = kind([parameter], lr=0.1, **({"max_iter": 3} if asked > 1 else {}))
    losses = []

    def backward():
        loss = parameter.square().sum()
        loss.backward()
        losses.append(loss.item())
        return loss.detach()

    take_step(optimizer, backward)
    assert len(losses) == asked
    assert losses[0] == 3
    assert losses == sorted(losses, reverse=True)
    assert not torch.equal(parameter, torch.ones(3))
