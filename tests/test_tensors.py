"""What torch leaves to be done: tensors of 16 bits told, modules copied with all they hold."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.parameter import is_lazy

from skgdw._tensors import deep_copy, is_narrow

ARE_NARROW = {
    torch.float16: True,
    torch.bfloat16: True,
    torch.float32: False,
    torch.float64: False,
    torch.int16: False,
}


@pytest.mark.parametrize("dtype", ARE_NARROW, ids=str)
def test_floating_point_of_16_bits_is_narrow(dtype):
    assert is_narrow(torch.zeros(2, dtype=dtype)) is ARE_NARROW[dtype]


def partly_compiled():
    return nn.Sequential(torch.jit.script(nn.Linear(4, 3)), nn.BatchNorm1d(3))


def compiled():
    return torch.jit.script(partly_compiled())


def traced():
    return torch.jit.trace(nn.Linear(4, 3), torch.zeros(2, 4))


# torch would have torch.compile taken instead; modules that were made before stay.
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
@pytest.mark.parametrize("make", [partly_compiled, compiled, traced])
def test_parameters_of_compiled_copies_are_their_own(make):
    module, X = make(), torch.randn(5, 4)
    frozen, *free = module.parameters()
    frozen.requires_grad_(False)
    memory = {}
    copied = deep_copy(module, memory)
    assert torch.equal(copied(X), module(X))
    assert all(one.is_leaf for one in copied.parameters())
    assert [one.requires_grad for one in copied.parameters()] == [False] + [True] * len(free)
    copied(X).square().sum().backward()
    assert all(one.grad is None for one in module.parameters())
    named = copy.deepcopy(list(module.parameters()), memory)
    assert all(one is other for one, other in zip(named, copied.parameters(), strict=True))


def test_of_lazy_layers_buffers_are_copied_too():
    module = nn.Sequential(nn.LazyLinear(3), nn.LazyBatchNorm1d(dtype=torch.float64))
    copied = deep_copy(module)
    assert all(is_lazy(one) for one in (*copied.parameters(), copied[1].running_mean))
    assert copied[1].running_mean.dtype is torch.float64
    assert copied[1].running_mean is not module[1].running_mean
    copied[0](torch.zeros(2, 5))
    assert is_lazy(module[0].weight)
