"""Optimizers out of what skorch collects for them."""

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam

from classifier_cases import blobs, quick
from skgdw._net._optimizers import make_optimizer


def parameters():
    return list(nn.Linear(2, 3).parameters())


def made(factory=SGD, groups=None, **options):
    return make_optimizer("optimizer", factory, (groups or parameters(),), options)


def test_an_optimizer_gets_what_is_collected_for_it():
    learnt = parameters()
    optimizer = make_optimizer("optimizer", Adam, (learnt,), {"lr": 0.3, "betas": (0.1, 0.2)})
    assert type(optimizer) is Adam
    (group,) = optimizer.param_groups
    assert [*map(id, group["params"])] == [*map(id, learnt)]
    assert (group["lr"], group["betas"]) == (0.3, (0.1, 0.2))


def test_settings_of_groups_are_theirs_alone():
    def groups():
        first, second = parameters()
        return [{"params": [first]}, {"params": [second], "lr": 0.2}]

    optimizer = made(groups=groups(), lr=0.1, momentum=0.9, param_groups__1__lr=0.5)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.5]
    assert [group["momentum"] for group in optimizer.param_groups] == [0.9, 0.9]
    optimizer = made(groups=groups(), lr=0.1, param_groups__0__momentum=0.3)
    assert [group["momentum"] for group in optimizer.param_groups] == [0.3, 0]


@pytest.mark.parametrize(
    "name", ["param_groups__1__lr", "param_groups__0__size", "param_groups__0"]
)
def test_groups_and_settings_that_there_are_not_are_refused(name):
    with pytest.raises(
        ValueError, match=rf"must name a group, 0, and a setting.*optimizer__{name}"
    ):
        made(lr=0.1, **{name: 1})


def test_a_setting_that_the_optimizer_does_not_take_is_named():
    with pytest.raises(
        TypeError, match=r"`optimizer__...` must be of the types that SGD takes"
    ) as e:
        made(lr=0.1, betas=(0.1, 0.2))
    assert "{'lr': 0.1, 'betas': (0.1, 0.2)}" in str(e.value)
    assert isinstance(e.value.__cause__, TypeError)
    with pytest.raises(TypeError, match=r"types that SGD takes.*Correct the one that is not"):
        made(lr="fast")


def test_the_caller_of_a_function_is_named_where_it_has_no_name():
    class Factory:
        def __call__(self, parameters, lr):
            return SGD(parameters, lr=lr)

    assert type(made(Factory(), lr=0.1)) is SGD
    with pytest.raises(TypeError, match=r"`second__...` must be of the types that second takes"):
        make_optimizer("second", Factory(), (parameters(),), {"rate": 0.1})


def test_what_is_given_stays_as_it_was():
    options = {"lr": 0.1, "param_groups__0__lr": 0.5}
    make_optimizer("optimizer", torch.optim.SGD, (parameters(),), options)
    assert options == {"lr": 0.1, "param_groups__0__lr": 0.5}


@pytest.mark.parametrize("name", ["optimizer", "weight_net_optimizer"])
def test_a_value_that_the_optimizer_does_not_take_is_named(name):
    words = rf"`{name}__...` must be values that (SGD|Adam) takes; got .*Invalid weight_decay"
    with pytest.raises(ValueError, match=words):
        quick(**{f"{name}__weight_decay": -1.0}).fit(*blobs())
