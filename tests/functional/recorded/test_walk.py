"""Forward mode along a recorded graph: which graphs, in what order, and what is left as it was."""

import copy
import gc
import weakref

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from cases import CASES, OneWayNet, problem
from properties import assert_close, untouched
from recorded_cases import TABLES, Of, Passes, passes
from skgdw.functional import NotCovered
from skgdw.functional._recorded import RULES, recorded_derivative


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_order_of_memory_does_not_matter(memory_format):
    on = passes("SmallResNet")
    expected = on.recorded()
    on.module.to(memory_format=memory_format)
    on.X = on.X.contiguous(memory_format=memory_format)
    on.logits = on(on.params)
    assert_close(on.recorded(), expected, 1e-12)


def test_no_pass_is_made():
    on = passes("MLP")
    on.recorded()
    assert on.calls == 0


UNKNOWN = {
    "a function without a rule": (lambda: Of(torch.cos), "CosBackward0;"),
    "a function of one's own": (lambda: OneWayNet(), "[A-Za-z]+Backward;"),
    "two functions without a rule": (
        lambda: Of(lambda X: torch.cos(torch.sin(torch.cos(X)))),
        "CosBackward0, SinBackward0;",
    ),
    "second output": (
        lambda: Of(lambda X: X.chunk(2, dim=1)[1], width=3),
        "SplitBackward0 by an output other than its first",
    ),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_all_nodes_without_a_rule_are_named(name):
    make, words = UNKNOWN[name]
    on = Passes(make)
    with pytest.raises(NotCovered, match=f"does not cover .*{words}.*dual numbers"):
        on.recorded()


def test_unknown_functions_that_no_direction_reaches_do_not_matter():
    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.gate, self.out = nn.Parameter(torch.rand(4)), nn.Linear(4, 3)

        def forward(self, X):
            return self.out(X * torch.cos(self.gate))

    on = Passes(Gated)
    with pytest.raises(NotCovered, match="CosBackward0"):
        on.recorded()
    del on.params["gate"], on.tangent["gate"]
    assert_close(on.recorded(), on.dual(), 1e-12)


def test_logits_that_depend_on_nothing_are_refused():
    on = passes("MLP")
    with pytest.raises(NotCovered, match="logits without a graph"):
        recorded_derivative(on.logits.detach(), on.params, on.tangent)
    with pytest.raises(NotCovered, match="no operation derives from the parameters"):
        recorded_derivative(on.logits, {}, {})


def test_logits_that_are_a_parameter_are_refused():
    logits, along = torch.zeros(2, 3, requires_grad=True), {"z": torch.ones(2, 3)}
    with pytest.raises(NotCovered, match="logits without a graph"):
        recorded_derivative(logits, {"z": logits}, along)
    moved = 1 * logits
    with pytest.raises(NotCovered, match="no operation derives from the parameters"):
        recorded_derivative(moved, {"z": moved}, along)
    assert torch.equal(recorded_derivative(moved, {"z": logits}, along), torch.ones(2, 3))


def test_parameters_may_be_results_themselves():
    on = passes("MLP")
    computed = {name: 1.0 * value for name, value in on.params.items()}
    logits = on(computed)
    assert_close(recorded_derivative(logits, computed, on.tangent), on.recorded(), 1e-12)


@pytest.mark.parametrize("name", ["SmallResNet", "dropout", "tied"])
def test_nothing_is_changed_and_the_graph_is_kept(name):
    on = passes(name)
    gradients = torch.autograd.grad(
        on.logits.sum(), list(on.params.values()), retain_graph=True, materialize_grads=True
    )
    with untouched(on.module):
        kept = copy.deepcopy(on.tangent)
        derivative = on.recorded()
    assert not derivative.requires_grad
    assert all(torch.equal(kept[key], on.tangent[key]) for key in kept)
    on.logits.sum().backward()
    for parameter, gradient in zip(on.params.values(), gradients, strict=True):
        assert torch.equal(parameter.grad, gradient)


class Counted(nn.Module):
    """A checkpointed block that counts its passes."""

    def __init__(self, reentrant):
        super().__init__()
        self.first, self.out = nn.Linear(4, 6), nn.Linear(6, 3)
        self.inner = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Tanh())
        self.reentrant, self.count = reentrant, 0

    def block(self, X):
        self.count += 1
        return self.inner(X)

    def forward(self, X):
        return self.out(checkpoint(self.block, self.first(X), use_reentrant=self.reentrant))


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointed_blocks_are_not_run_again(reentrant):
    on = Passes(lambda: Counted(reentrant))
    before = on.module.count
    kept = "CheckpointFunctionBackward" if reentrant else "kept by saved-tensor hooks"
    with pytest.raises(NotCovered, match=kept):
        on.recorded()
    assert on.module.count == before


def test_tensors_kept_with_hooks_are_left_to_them():
    on = passes("MLP")
    unpacked = []
    hooks = torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: unpacked.append(t) or t)
    with hooks:
        logits = on(on.params)
    with pytest.raises(NotCovered, match="`mat1` of AddmmBackward0, kept by saved-tensor hooks"):
        recorded_derivative(logits, on.params, on.tangent)
    assert not unpacked


def refusal(logits, params, tangent=None):
    """Return the words for what is not covered."""
    tangent = tangent or {name: torch.ones_like(value) for name, value in params.items()}
    with pytest.raises(NotCovered) as caught:
        recorded_derivative(logits, params, tangent)
    return caught.value.args[0]


def test_parameters_must_be_in_the_graph_each_on_its_own():
    X, w = torch.randn(5, 4), torch.randn(4, 6, requires_grad=True)
    left, right = w.chunk(2, dim=1)
    constant = torch.randn(4, 3)
    assert refusal(X @ constant + X @ left, {"a": constant, "b": left}) == (
        "parameters that require no gradient: ['a']"
    )
    assert refusal(X @ right, {"r": right}) == (
        "parameters that are further outputs of an operation: ['r']"
    )
    # The graph adds up over the names of a tensor: which direction is whose it cannot tell.
    assert refusal(X @ w + 2 * (X @ w), {"a": w, "b": w}) == "one tensor under several names"


def test_logits_must_be_real_and_the_first_output():
    w = torch.randn(4, 6, requires_grad=True)
    assert refusal(w.chunk(2, dim=1)[1], {"w": w}) == "logits that are output 1 of an operation"
    assert refusal(w * 1j, {"w": w}).startswith("logits of torch.complex64; mixed dtypes")


def test_all_that_keeps_a_graph_from_use_is_named():
    double, single = torch.ones(3, dtype=torch.float64), torch.ones(3, requires_grad=True)
    assert refusal(single.double() * double, {"a": double, "b": single}) == (
        "parameters that require no gradient: ['a']; "
        "mixed dtypes: logits of torch.float64, but other parameters: ['b']; "
        "mixed dtypes: logits of torch.float64, but other directions: ['b']"
    )


def test_directions_must_be_dense():
    table = torch.randn(5, 3, requires_grad=True)
    logits = F.embedding(torch.tensor([0, 2, 2]), table, sparse=True)
    (along,) = torch.autograd.grad(logits.sum(), table, retain_graph=True)
    assert along.is_sparse
    assert refusal(logits, {"t": table}, {"t": along}) == "sparse directions: ['t']"


def test_kept_tensors_of_another_dtype_are_refused_before_they_meet_others():
    w = torch.randn(4, 3, requires_grad=True)
    wide = torch.full((3,), 2.0, dtype=torch.float64)
    logits = (torch.randn(5, 4) @ w).mul_(wide) @ torch.ones(3, 2)  # float32 by its place
    assert refusal(logits, {"w": w}) == (
        "mixed dtypes: MulBackward0 made torch.float64 of torch.float32"
    )


def test_an_outer_autocast_does_not_cut_the_derivative_short():
    w = torch.randn(4, 3, requires_grad=True)
    logits = torch.randn(5, 4) @ w
    with torch.autocast("cpu", dtype=torch.bfloat16):
        words = refusal(logits, {"w": w})
    assert words == "mixed dtypes: MmBackward0 made torch.bfloat16 of torch.float32"


def test_short_floats_are_refused():
    on = Passes(TABLES["MLP"], dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = on(on.params)
    assert "ToCopyBackward0" in refusal(logits.float(), on.params, on.tangent)


def test_graphs_that_are_gone_are_an_error_of_the_caller():
    on = passes("MLP")
    on.logits.sum().backward()
    with pytest.raises(RuntimeError, match="backward through the graph a second time") as caught:
        on.recorded()
    assert not isinstance(caught.value, NotCovered)


def test_kept_tensors_that_were_changed_are_an_error_of_the_caller():
    on = passes("squares")
    with torch.no_grad():
        on.params["out.weight"].mul_(2.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation") as caught:
        on.recorded()
    assert not isinstance(caught.value, NotCovered)


# The plan.


def test_tangents_are_let_go_after_their_last_use(monkeypatch):
    """In a chain of 30 nodes no more than the tangent taken and the one made are held."""
    alive, most = [], 0

    def watched(node, tangents):
        nonlocal most
        gc.collect()
        most = max(most, sum(ref() is not None for ref in alive))
        along = tangents[0] * 1.0
        alive.append(weakref.ref(along))
        return along

    monkeypatch.setitem(RULES, "TanhBackward0", watched)
    w = torch.randn(5, 3, requires_grad=True)
    logits = w
    for _ in range(30):
        logits = torch.tanh(logits)
    recorded_derivative(logits, {"w": w}, {"w": torch.ones(5, 3)})
    assert len(alive) == 30
    assert most == 1  # the one that is taken: the one made is watched from its making on


def test_deep_chains_do_not_exhaust_the_stack():
    w = torch.ones(1, 2, requires_grad=True)
    logits = w
    for _ in range(3000):
        logits = logits + 0.0
    assert torch.equal(
        recorded_derivative(logits, {"w": w}, {"w": torch.full((1, 2), 3.0)}),
        torch.full((1, 2), 3.0),
    )


def test_each_node_is_passed_once(monkeypatch):
    """A node that is met by 2^20 ways is met once."""
    count = 0

    def counted(node, tangents):
        nonlocal count
        count += 1
        return tangents[0] + tangents[1]

    monkeypatch.setitem(RULES, "AddBackward0", counted)
    w = torch.ones(1, 2, requires_grad=True)
    logits = w * 1
    for _ in range(20):
        logits = logits + logits
    derivative = recorded_derivative(logits, {"w": w}, {"w": torch.ones(1, 2)})
    assert torch.equal(derivative, torch.full((1, 2), 2.0**20))
    assert count == 20


def test_the_result_is_not_the_direction_itself():
    X, bias = torch.randn(5, 4), torch.zeros(3, requires_grad=True)
    along = torch.ones(3)
    found = recorded_derivative(F.linear(X, torch.randn(3, 4), bias), {"b": bias}, {"b": along})
    found.fill_(7.0)
    assert torch.equal(along, torch.ones(3))


@pytest.mark.parametrize("name", ["tanh", "conv_batchnorm", "dropout", "frozen"])
def test_derivative_is_the_limit_of_differences(name):
    made = problem(CASES[name])
    on = Passes(lambda: made.module, CASES[name].row_shape)
    step = 1e-7

    def logits(sign):
        with torch.no_grad():
            return on({k: p + sign * step * on.tangent[k] for k, p in on.params.items()})

    assert_close(on.recorded(), (logits(1) - logits(-1)) / (2 * step), 1e-6)
