import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.utils import parametrizations, prune

from cases import CASES, TiedNet, problem, tanh_mlp
from properties import assert_same_state, state_of
from skgdw._training.step._stateless import Stateless


def shifted(tensors):
    return {
        name: value.detach() + 0.1 if value.is_floating_point() else value.clone()
        for name, value in tensors.items()
    }


@pytest.mark.parametrize("name", CASES)
def test_is_functional_call(name):
    module, X, *_ = problem(CASES[name])
    stateless = Stateless(module)
    state = shifted(dict(module.named_parameters())) | shifted(dict(module.named_buffers()))
    assert stateless.parameters.keys() == dict(module.named_parameters()).keys()
    assert stateless.copy_buffers().keys() == dict(module.named_buffers()).keys()
    torch.manual_seed(1)
    expected = functional_call(module, {k: v.clone() for k, v in state.items()}, (X,))
    torch.manual_seed(1)
    before = state_of(module)
    found = stateless(state, X)
    assert_same_state(module, before)
    assert torch.equal(found, expected[0] if isinstance(expected, tuple) else expected)


def test_what_the_state_lacks_stays_the_modules_own():
    module, X = nn.Linear(2, 2), torch.ones(1, 2)
    found = Stateless(module)({"bias": torch.zeros(2)}, X)
    assert torch.equal(found, X @ module.weight.T)


def test_keyword_arguments():
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(2, 2)

        def forward(self, left, right):
            return self.first(left) - right, "more"

    module, X = Pair(), {"left": torch.ones(1, 2), "right": torch.ones(1, 2)}
    assert torch.equal(Stateless(module)({}, X), module(**X)[0])


def test_tied_parameters_move_together():
    module, X = TiedNet(), torch.ones(2, 4)
    stateless = Stateless(module)
    assert "second.weight" not in stateless.parameters
    seen = []
    module.second.register_forward_hook(lambda layer, *_: seen.append(layer.weight))
    state = shifted(dict(module.named_parameters()))
    stateless(state, X)
    assert seen[0] is state["first.weight"]
    assert module.second.weight is module.first.weight


def test_an_error_inside_restores_the_module():
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    before = state_of(module)
    own = list(module.parameters())
    with pytest.raises(RuntimeError, match="mat1"):
        Stateless(module)(shifted(dict(module.named_parameters())), torch.ones(3, 5))
    assert_same_state(module, before)
    assert all(a is b for a, b in zip(module.parameters(), own, strict=True))


CHANGES = {
    "a parameter of another identity": lambda m: setattr(m[0], "bias", nn.Parameter(torch.ones(5))),
    "another part": lambda m: m.__setitem__(0, nn.Linear(3, 5)),
    "a new part": lambda m: m.append(nn.Linear(2, 2)),
    "a new buffer": lambda m: m.register_buffer("extra", torch.ones(1)),
    "pruning": lambda m: prune.l1_unstructured(m[0], "weight", amount=0.5),
    "a parametrization": lambda m: parametrizations.weight_norm(m[0]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changes_of_the_module_are_noticed(change):
    module = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))
    stateless = Stateless(module)
    change(module)
    stateless.refresh()
    params = dict(module.named_parameters())
    assert stateless.parameters.keys() == params.keys()
    assert all(stateless.parameters[name] is value for name, value in params.items())
    state, X = shifted(params), torch.ones(2, 3)
    assert torch.equal(stateless(state, X), functional_call(module, state, (X,)))


def test_an_unchanged_module_is_not_searched_again(monkeypatch):
    stateless = Stateless(tanh_mlp())
    monkeypatch.setattr(Stateless, "_find", None)
    stateless.refresh()
