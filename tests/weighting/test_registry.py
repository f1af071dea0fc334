"""Names of weightings, and building one from what a classifier has to offer."""

import pytest
import torch

from classifier_cases import blobs, quick
from skgdw.modules import WeightNet
from skgdw.weighting import (
    WEIGHTINGS,
    ClassPairWeighting,
    ClassWeighting,
    InstanceWeighting,
    NetworkWeighting,
    UniformWeighting,
    Weighting,
)
from skgdw.weighting._registry import arguments_of, make_weighting, take_over, weighting_class

NET = WeightNet(hidden=3)
OFFERED = {"weight_net": NET, "meta_lr": 0.3, "weight_clip": 0.05, "n_stars": 7}


class Own(Weighting):
    """Takes what is offered and something of its own."""

    def __init__(self, meta_lr, *, power=2.0):
        super().__init__()
        self.meta_lr, self.power = meta_lr, torch.nn.Parameter(torch.tensor(power))

    def forward(self, evidence):
        return evidence.given_probability.unsqueeze(1) ** self.power


def test_names():
    assert {
        "class": ClassWeighting,
        "class_pair": ClassPairWeighting,
        "instance": InstanceWeighting,
        "network": NetworkWeighting,
        "uniform": UniformWeighting,
    } == WEIGHTINGS


@pytest.mark.parametrize(
    ("weighting", "expected", "arguments"),
    [
        ("class", ClassWeighting, ["weight_net", "meta_lr", "weight_clip"]),
        (InstanceWeighting, InstanceWeighting, ["weight_net", "meta_lr", "weight_clip"]),
        ("network", NetworkWeighting, ["weight_net"]),
        ("uniform", UniformWeighting, []),
        (Own, Own, ["meta_lr", "power"]),
        (Own(0.1), Own, ["meta_lr", "power"]),
    ],
)
def test_names_classes_and_instances_lead_to_a_class(weighting, expected, arguments):
    assert weighting_class(weighting) is expected
    assert arguments_of(weighting) == arguments


def test_arguments_are_offered_by_name():
    made = make_weighting("class", {}, OFFERED)
    assert type(made) is ClassWeighting
    assert made.weight_net is NET  # shared with the classifier, which trains and shows it
    assert (made.meta_lr, made.weight_clip) == (0.3, 0.05)
    own = make_weighting(Own, {}, OFFERED)
    assert own.meta_lr == 0.3
    assert own.power == 2.0


def test_what_is_given_goes_before_what_is_offered():
    made = make_weighting(Own, {"meta_lr": 9.0, "power": 3.0}, OFFERED)
    assert made.meta_lr == 9.0
    assert made.power == 3.0


class Late(Weighting):
    """Is no module yet."""

    def __init__(self, a):
        self.a = a


@pytest.mark.parametrize(("weighting", "given"), [(Late, {"a": 1}), (Late(1), {})])
def test_a_constructor_that_leaves_out_that_of_the_base_class_is_named(weighting, given):
    match = r"Late.__init__ does not call that of Weighting. Begin it with super\(\).__init__\(\)"
    with pytest.raises(TypeError, match=match):
        make_weighting(weighting, given, OFFERED)


def test_an_argument_that_is_missing_is_named():
    match = r"the arguments of Late: missing a required argument: 'a'. Pass them as weighting__"
    with pytest.raises(TypeError, match=match):
        make_weighting(Late, {}, OFFERED)


def test_an_argument_that_is_not_there_is_an_error():
    with pytest.raises(TypeError, match="n_stars"):
        make_weighting(Own, {"n_stars": 7}, OFFERED)


def test_an_instance_is_copied():
    own = Own(0.1, power=5.0)
    made = make_weighting(own, {}, OFFERED)
    assert made is not own
    assert made.power is not own.power
    assert made.power == 5.0
    assert made.meta_lr == 0.1  # what it was built with stays
    another = make_weighting(own, {"power": 4.0}, OFFERED)
    assert type(another) is Own
    assert (another.power, another.meta_lr) == (4.0, 0.3)


def test_a_classifier_builds_a_copy_each_time():
    own = Own(0.1)
    net = quick(weighting=own).initialize()
    first = net.weighting_
    assert type(first) is Own
    assert first.power is not own.power
    assert net.initialize().weighting_.power is not first.power
    trained = [p for group in net.weight_net_optimizer_.param_groups for p in group["params"]]
    assert trained == [net.weighting_.power]


def test_a_classifier_trains_a_copy_and_refits_afresh():
    own = Own(0.1)
    before = own.power.detach().clone()
    net = quick(weighting=own).fit(*blobs())
    assert torch.equal(own.power, before)
    first = net.weighting_.power.detach().clone()
    assert not torch.equal(first, before)
    assert torch.equal(net.fit(*blobs()).weighting_.power, first)


def test_a_classifier_shares_its_weighting_net_with_the_weighting():
    net = quick(weighting="instance", meta_lr=0.25, weight_clip=0.5).fit(*blobs())
    assert net.weighting_.weight_net is net.weight_net_
    assert (net.weighting_.meta_lr, net.weighting_.weight_clip) == (0.25, 0.5)


def test_what_was_learnt_is_taken_over_where_it_fits():
    before, after = (ClassPairWeighting(WeightNet(), 3, meta_lr=rate) for rate in (0.1, 0.5))
    with torch.no_grad():
        before.belief.add_(1)
        before.exponent.fill_(2)
    before.is_warm = True
    take_over(before, after)
    assert torch.equal(after.belief, before.belief)
    assert (float(after.exponent), after.is_warm, after.meta_lr) == (2.0, True, 0.5)
    other = ClassPairWeighting(WeightNet(), 4)
    own = other.belief.clone()
    take_over(before, other)
    assert torch.equal(other.belief, own)
    assert float(other.exponent) == 2.0
