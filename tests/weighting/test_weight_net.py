"""The weightings behind a name, each by itself."""

import pytest
import torch

import oracles
from cases import seeded
from properties import assert_close, assert_rows_balance
from skgdw.functional import PullGradient
from skgdw.modules import WeightNet
from skgdw.weighting import (
    ClassWeighting,
    Evidence,
    InstanceWeighting,
    NetworkWeighting,
    UniformWeighting,
)
from skgdw.weighting._registry import make_weighting

FIRST = torch.tensor([[0.3], [0.6], [0.9]], dtype=torch.float64)
GRAD = torch.tensor([[1.0, -2.0], [0.5, 0.25], [-3.0, 0.0]], dtype=torch.float64)
EVIDENCE = Evidence(
    torch.tensor([[0.5, -1.0], [2.0, 0.3], [-0.7, 0.1]], dtype=torch.float64),
    torch.tensor([0, 1, 1]),
)


def made(name, **given):
    net = seeded(lambda: WeightNet(hidden=5), seed=2).double()
    offered = {"weight_net": net, "meta_lr": 0.1, "weight_clip": 0.15}
    return make_weighting(name, {}, {**offered, **given})


def refined(name, grad=GRAD):
    """Return the second weights for a given G, spread over the classes."""
    weighting = made(name)
    gradient = PullGradient(grad, 1.0, torch.ones_like(grad))
    with torch.no_grad():
        return weighting.refine(EVIDENCE, FIRST, gradient).expand_as(grad)


def test_class_steps_every_entry():
    spread = FIRST.expand_as(GRAD)
    assert_close(refined("class"), oracles.update_weight(spread, GRAD, 0.1, 0.15), 1e-14)


def test_instance_steps_against_the_sum_of_a_row():
    sums = torch.tensor([-1.0, 0.75, -3.0], dtype=torch.float64)
    expected = oracles.update_weight(FIRST.squeeze(1), sums, 0.1, 0.15)
    assert_close(refined("instance"), expected.unsqueeze(1).expand(3, 2), 1e-14)


def test_network_asks_the_net_again():
    weighting = made("network")
    expected = weighting.weight_net(EVIDENCE.losses).unsqueeze(1).expand(3, 2)
    assert torch.equal(refined("network"), expected)
    assert not torch.equal(refined("network"), FIRST.expand(3, 2))


def test_uniform_is_one():
    assert torch.equal(UniformWeighting()(EVIDENCE), torch.ones(3, 1).double())
    assert torch.equal(refined("uniform"), torch.ones(3, 2).double())
    assert list(UniformWeighting().parameters()) == []


@pytest.mark.parametrize("name", ["class", "instance"])
def test_zero_gradient_leaves_the_first_weights(name):
    weight = refined(name, torch.zeros(3, 2).double())
    assert torch.equal(weight, FIRST.expand(3, 2))


@pytest.mark.parametrize("name", ["class", "instance", "network", "uniform"])
def test_all_but_uniform_use_the_meta_set(name):
    weighting = made(name)
    assert weighting.uses_meta is (name != "uniform")
    assert weighting.warm_up == 0


@pytest.mark.parametrize("kind", [ClassWeighting, InstanceWeighting, NetworkWeighting])
def test_first_weights_are_the_nets_own_one_a_row(kind):
    net = seeded(lambda: WeightNet(hidden=5), seed=2).double()
    weighting = kind(net)
    weight = weighting(EVIDENCE)
    assert torch.equal(weight, net(EVIDENCE.losses).unsqueeze(1))
    assert weight.requires_grad
    assert list(weighting.parameters()) == list(net.parameters())
    assert all(name.startswith("weight_net.") for name in weighting.state_dict())


@pytest.mark.parametrize("kind", [ClassWeighting, InstanceWeighting])
def test_steps_are_as_long_as_asked(kind):
    weighting = kind(WeightNet(hidden=2), meta_lr=0.02, weight_clip=0.05)
    weight = torch.tensor([[0.5], [0.5]])
    stepped = weighting.step(weight, torch.tensor([[1.0], [-9.0]]))
    # By 0.02 times the gradient over its mean size, 5, and at most 0.05.
    assert_close(stepped, torch.tensor([[0.5 - 0.02 / 5], [0.5 + 0.02 * 9 / 5]]), 1e-6)
    clipped = kind(WeightNet(hidden=2), meta_lr=0.2, weight_clip=0.05).step(
        weight, torch.tensor([[1.0], [-9.0]])
    )
    assert_close(clipped, torch.tensor([[0.5 - 0.2 / 5], [0.55]]), 1e-6)


@pytest.mark.parametrize("name", ["class", "instance", "network"])
def test_the_net_learns_from_the_sum_of_its_row(name):
    """One weight stands for c of them: its gradient is the sum of theirs."""
    weighting = made(name)
    weight = weighting(EVIDENCE)
    gradient = PullGradient(GRAD, -0.2, EVIDENCE.logit_grad)
    weighting.learn(EVIDENCE, weight, gradient)
    found = [p.grad.clone() for p in weighting.parameters()]
    outputs = weighting.weight_net(EVIDENCE.losses)
    by_row = torch.stack(
        [
            sum(-0.2 * GRAD[i, j] * EVIDENCE.logit_grad[i, j] for j in range(2))
            for i in range(len(outputs))
        ]
    )
    expected = torch.autograd.grad(outputs, list(weighting.parameters()), by_row)
    assert max(float(value.abs().max()) for value in expected) > 1e-4
    for one, other in zip(found, expected, strict=True):
        assert_close(one, other, 1e-12)


@pytest.mark.parametrize("name", ["class", "instance", "network"])
def test_look_aheads_follow_weighted_rows_that_balance(name):
    weighting = made(name)
    pull = weighting.trial_pull(EVIDENCE, FIRST)
    assert torch.equal(pull, FIRST * EVIDENCE.logit_grad)
    capped = Evidence(torch.tensor([[20.0, 0.0], [0.0, 20.0], [0.0, 1.0]]), torch.tensor([0, 0, 0]))
    assert capped.logit_grad.sum(dim=1).abs().max() > 5e-4  # what the cap takes away
    pull = weighting.trial_pull(capped, FIRST.float())
    assert_rows_balance(pull, torch.ones(3, 2), 1e-7)
    off_target = pull.scatter(1, capped.y.unsqueeze(1), 0.0)
    expected = (FIRST.float() * capped.logit_grad).scatter(1, capped.y.unsqueeze(1), 0.0)
    assert torch.equal(off_target, expected)
