"""What is read off autograd nodes, and the words where it is not there."""

from types import SimpleNamespace

import pytest
import torch

from recorded_cases import passes
from skgdw.functional import NotCovered
from skgdw.functional._recorded import RULES
from skgdw.functional._recorded._nodes import (
    backward,
    kept,
    missing_attribute,
    shape,
    signed,
    spread,
)


def node_of(function):
    return function(torch.ones(2, 3, requires_grad=True)).grad_fn


MISSING = {
    "_saved_axis": lambda node: node._saved_axis,
    "_raw_saved_axis": lambda node: kept(node, "axis"),
    "_input_metadata_of_all": lambda node: node._input_metadata_of_all,
}


@pytest.mark.parametrize("attribute", MISSING)
def test_a_rule_for_another_torch_gives_not_covered(monkeypatch, attribute):
    """Torch's own names may be others in another version: what is missing there is named."""
    on = passes("Tanh")
    monkeypatch.setitem(RULES, "TanhBackward0", lambda node, tangents: MISSING[attribute](node))
    with pytest.raises(NotCovered, match=f"TanhBackward0 without the attribute `{attribute}`"):
        on.recorded()


def test_a_torch_that_does_not_tell_of_hooks_is_not_covered(monkeypatch):
    raw = SimpleNamespace()  # as torch's SavedTensor was before it had the attribute
    older = SimpleNamespace(_raw_saved_result=raw, _saved_result=torch.ones(1))
    on = passes("Tanh")
    monkeypatch.setitem(RULES, "TanhBackward0", lambda node, tangents: kept(older, "result"))
    with pytest.raises(NotCovered, match="SimpleNamespace without the attribute `unpack_hook`"):
        on.recorded()


FAULTS = {
    "another name of a node": lambda: node_of(torch.tanh).save_axis,
    "that name of something else": lambda: torch.ones(1)._saved_axis,
    "an error without a name": lambda: exec("raise AttributeError('_saved_axis')"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_other_missing_attributes_are_faults(monkeypatch, name):
    with pytest.raises(AttributeError) as caught:
        FAULTS[name]()
    assert missing_attribute(caught.value) is None
    on = passes("Tanh")
    monkeypatch.setitem(RULES, "TanhBackward0", lambda node, tangents: FAULTS[name]())
    with pytest.raises(AttributeError):
        on.recorded()


@pytest.mark.parametrize("number", [0, 1, -1, -5, 2**63 - 1, -(2**63)])
def test_numbers_get_their_sign_back(number):
    assert signed(number % 2**64) == number


def test_negative_axes_are_what_signs_are_for():
    assert signed(node_of(lambda X: torch.cat([X, X], -1))._saved_dim) == -1


def test_shape_is_that_of_the_output():
    assert shape(node_of(lambda X: X.sum(1, keepdim=True))) == (2, 1)


def test_a_part_is_spread_as_broadcasting_does_and_a_whole_left_alone():
    node, row = node_of(torch.tanh), torch.arange(3.0)
    assert torch.equal(spread(node, row), torch.stack([row, row]))
    whole = torch.ones(2, 3)
    assert spread(node, whole) is whole


def test_backward_runs_no_hooks():
    X = torch.full((2, 3), 2.0, requires_grad=True)
    node = (X * X.detach()).grad_fn
    called = []
    node.register_hook(lambda *gradients: called.append(gradients))
    assert torch.equal(backward(node, torch.ones(2, 3)), torch.full((2, 3), 2.0))
    assert called == []
    assert X.grad is None
