"""Modules out of what stands for them, and words for what cannot."""

import functools

import pytest
import torch
from torch import nn

from classifier_cases import Net, blobs, quick
from skgdw._net._modules import make_module

DATA = blobs()


def build(factory, kwargs):
    return factory if isinstance(factory, nn.Module) and not kwargs else factory(**kwargs)


def test_classes_instances_and_functions_make_modules():
    given = nn.Linear(2, 3)
    assert make_module("module", given, {}, build) is given
    found = make_module("module", nn.Linear, {"in_features": 2, "out_features": 3}, build)
    assert found.weight.shape == (3, 2)
    assert isinstance(make_module("criterion", lambda: nn.CrossEntropyLoss(), {}, build), nn.Module)
    partial = functools.partial(nn.Linear, 2, out_features=3)
    assert make_module("module", partial, {"bias": False}, build).bias is None


class Needs(nn.CrossEntropyLoss):
    def __init__(self, alpha, *, beta):
        super().__init__()


@pytest.mark.parametrize(
    ("name", "factory", "words"),
    [
        (
            "module",
            nn.Linear,
            r"`module` must be built with all arguments that it needs; got Linear without "
            r"`in_features`, `out_features`. Pass module__in_features=..., module__out_featur",
        ),
        ("criterion", Needs, r"got Needs without `alpha`, `beta`. Pass criterion__alpha=..., crit"),
        (
            "criterion",
            nn.functional.cross_entropy,
            r"got cross_entropy without `input`, `target`.* A function of a batch is none.",
        ),
        ("weight_net", torch.relu, r"`weight_net` must be .* got relu without `input`.*is none."),
        (
            "module",
            lambda: 3,
            r"`module` must be a torch module, its class, or a callable that returns a new one; "
            r"got <function .*, which returns 3. Pass a class.",
        ),
    ],
)
def test_what_makes_no_module(name, factory, words):
    with pytest.raises(TypeError, match=words):
        quick(**{name: factory}).fit(*DATA)


def test_errors_of_the_module_itself_are_left_as_they_are():
    class Fails(nn.Module):
        def __init__(self):
            raise TypeError("mine")

    with pytest.raises(TypeError, match=r"^mine$"):
        quick(module=Fails).fit(*DATA)


def test_a_criterion_that_a_function_returns_again_and_again_is_not_changed():
    shared = nn.CrossEntropyLoss(weight=torch.ones(3, dtype=torch.float64))
    net = quick(module=Net, criterion=lambda: shared).fit(*DATA)
    assert shared.weight.dtype is torch.float64
    assert net.criterion_.weight.dtype is torch.float32
