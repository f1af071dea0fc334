"""The four weightings, each by itself."""

from dataclasses import FrozenInstanceError

import pytest
import torch

import oracles
from properties import assert_close
from skgdw._training._weighting import WEIGHTINGS, make_weighting

FIRST = torch.tensor([0.3, 0.6, 0.9], dtype=torch.float64)
GRAD = torch.tensor([[1.0, -2.0], [0.5, 0.25], [-3.0, 0.0]], dtype=torch.float64)
RENEWED = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)


def second_stage(name, grad=GRAD, **kwargs):
    weighting = make_weighting(name, **{"meta_lr": 0.1, "clip": 0.15, **kwargs})
    weight = weighting.second_stage(FIRST, grad, lambda: RENEWED)
    return weight.expand_as(grad)


def test_names():
    assert set(WEIGHTINGS) == {"class", "instance", "network", "uniform"}


def test_class_steps_every_entry():
    spread = FIRST.unsqueeze(1).expand_as(GRAD)
    assert_close(second_stage("class"), oracles.update_weight(spread, GRAD, 0.1, 0.15), 1e-14)


def test_instance_steps_against_the_sum_of_a_row():
    expected = oracles.update_weight(FIRST, torch.tensor([-1.0, 0.75, -3.0]), 0.1, 0.15)
    assert_close(second_stage("instance"), expected.unsqueeze(1).expand(3, 2), 1e-14)


def test_network_asks_the_renewed_net():
    assert torch.equal(second_stage("network"), RENEWED.unsqueeze(1).expand(3, 2))


def test_uniform_is_one():
    assert torch.equal(second_stage("uniform"), torch.ones(3, 2).double())


@pytest.mark.parametrize("name", ["class", "instance"])
def test_zero_gradient_leaves_the_first_stage(name):
    weight = second_stage(name, torch.zeros(3, 2).double())
    assert torch.equal(weight, FIRST.unsqueeze(1).expand(3, 2))


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_all_but_uniform_use_the_meta_set(name):
    assert make_weighting(name, meta_lr=0.1, clip=0.2).uses_meta is (name != "uniform")


@pytest.mark.parametrize("name", ["class", "instance"])
def test_weightings_are_frozen(name):
    with pytest.raises(FrozenInstanceError):
        make_weighting(name, meta_lr=0.1, clip=0.2).meta_lr = 1.0
