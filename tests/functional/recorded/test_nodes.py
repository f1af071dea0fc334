"""What is read off autograd nodes, and the words where it is not there."""

import ast
import pickle
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import skgdw.functional._recorded as recorded
from recorded_cases import passes
from skgdw.functional._recorded import RULES, NotCovered
from skgdw.functional._recorded._nodes import attribute, backward, kept, saved, shape, signed

ROOM = Path(recorded.__file__).parent


def node_of(function):
    return function(torch.ones(2, 3, requires_grad=True)).grad_fn


def test_what_is_missing_is_named():
    node = node_of(torch.tanh)
    with pytest.raises(NotCovered, match="TanhBackward0 without the attribute `_saved_axis`"):
        saved(node, "axis")
    with pytest.raises(NotCovered, match="TanhBackward0 without the attribute `_raw_saved_axis`"):
        kept(node, "axis")


def test_a_torch_that_does_not_tell_of_hooks_is_not_covered():
    raw = SimpleNamespace()  # as torch's SavedTensor was before it had the attribute
    node = SimpleNamespace(_raw_saved_result=raw, _saved_result=torch.ones(1))
    with pytest.raises(NotCovered, match="SimpleNamespace without the attribute `unpack_hook`"):
        kept(node, "result")


def test_a_rule_for_another_torch_gives_not_covered(monkeypatch):
    on = passes("Tanh")
    monkeypatch.setitem(RULES, "TanhBackward0", lambda node, tangents: kept(node, "output"))
    with pytest.raises(NotCovered, match="TanhBackward0 without the attribute `_raw_saved_output`"):
        on.recorded()


def test_only_a_missing_attribute_counts():
    class Gone:
        @property
        def value(self):
            raise RuntimeError("freed")

    with pytest.raises(RuntimeError, match="freed") as caught:
        attribute(Gone(), "value")
    assert not isinstance(caught.value, NotCovered)


def test_every_rule_reads_nodes_by_way_of_this():
    """torch's own names stand in strings, where `attribute` meets them."""
    direct = [
        f"{path.name}:{node.lineno} {node.attr}"
        for path in sorted(ROOM.glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr.startswith(("_saved", "_raw_saved", "_input_metadata"))
    ]
    assert direct == []


def test_the_error_says_the_rule_what_was_found_and_the_remedy():
    error = NotCovered("CosBackward0")
    assert str(error) == (
        "forward mode along the recorded graph does not cover CosBackward0; "
        'dual numbers (method="forward") need no graph.'
    )
    assert isinstance(error, NotImplementedError)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize("number", [0, 1, -1, -5, 2**63 - 1, -(2**63)])
def test_numbers_get_their_sign_back(number):
    assert signed(number % 2**64) == number


def test_negative_axes_are_what_signs_are_for():
    assert signed(saved(node_of(lambda X: torch.cat([X, X], -1)), "dim")) == -1


def test_shape_is_that_of_the_output():
    assert shape(node_of(lambda X: X.sum(1, keepdim=True))) == (2, 1)


def test_backward_runs_no_hooks():
    X = torch.full((2, 3), 2.0, requires_grad=True)
    node = (X * X.detach()).grad_fn
    called = []
    node.register_hook(lambda *gradients: called.append(gradients))
    assert torch.equal(backward(node, torch.ones(2, 3)), torch.full((2, 3), 2.0))
    assert called == []
    assert X.grad is None
