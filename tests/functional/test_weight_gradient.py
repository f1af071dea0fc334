"""How the meta loss changes with each weight: every way against finite differences."""

from functools import cache

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

import oracles
from cases import CASES
from lookahead_cases import RATE, SEED, passes
from properties import assert_all_close, assert_close, untouched
from skgdw.functional import (
    METHODS,
    directional_derivative,
)

# A long step in float32 may cross the kink of a ReLU.
DIFFERENCE_TOLERANCE = {
    (torch.float64, False): 1e-5,
    (torch.float64, True): 1e-5,
    (torch.float32, False): 1e-2,
    (torch.float32, True): 5e-2,
}


@cache
def differences(name, rates=None):
    """Return the oracle's weight gradient of a case, at the common rate or at (name, rate)s."""
    if rates is None:
        return passes(name).oracle(lambda key: RATE)
    return passes(name).oracle(dict(rates).__getitem__)


EXACT = [(name, method) for name, case in CASES.items() for method in case.exact]
every_case = pytest.mark.parametrize("name", CASES)


# The weight gradient.


@pytest.mark.parametrize(("name", "method"), EXACT)
def test_exact_ways_equal_finite_differences_of_the_look_ahead(name, method):
    on = passes(name)
    weight_grad, meta_loss = on.gradient(method)
    expected = differences(name)
    assert expected.abs().max() > 1e-2
    # A backward that stops somewhere is no exact derivative of what the oracle watches.
    assert_close(weight_grad, expected, 5e-3 if CASES[name].stops else 1e-10)
    batches = (on.problem.X, on.problem.X_meta, on.problem.y_meta)
    with sdpa_kernel(SDPBackend.MATH):
        loss = oracles.meta_loss_after(
            on.problem.module, on.weight, on.logit_grad, batches, lambda name: RATE, SEED
        )
    assert meta_loss.shape == ()
    assert not meta_loss.requires_grad
    assert not weight_grad.requires_grad
    assert float(meta_loss) == pytest.approx(loss, rel=1e-12)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if len(case.exact) == 2])
def test_forward_equals_unrolled(name):
    on = passes(name)
    assert_close(on.gradient("forward")[0], on.gradient("unrolled")[0], 1e-11)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.stops])
def test_difference_comes_close(name, dtype):
    on = passes(name, dtype)
    weight_grad = on.gradient("difference")[0]
    assert weight_grad.dtype is dtype
    tolerance = DIFFERENCE_TOLERANCE[dtype, CASES[name].kinks]
    assert_close(weight_grad, differences(name), tolerance)


@pytest.mark.parametrize(
    ("name", "method"), [(name, method) for name, method in EXACT if name != "lstm"]
)
def test_exact_ways_are_as_exact_in_float32(name, method):
    # torch's LSTM has forward mode in float64 only.
    weight_grad = passes(name, torch.float32).gradient(method)[0]
    assert_close(weight_grad, passes(name).gradient("unrolled")[0], 1e-4)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["frozen", "tied"])
def test_each_parameter_may_have_its_own_rate(name, method):
    on = passes(name)
    rates = {key: 0.1 + 0.3 * k for k, key in enumerate(on.params)}
    weight_grad = on.gradient(method, rate=rates)[0]
    tolerance = 1e-5 if method == "difference" else 1e-9
    assert_close(weight_grad, differences(name, tuple(rates.items())), tolerance)
    tensors = {key: torch.tensor(rate) for key, rate in rates.items()}
    assert_close(on.gradient(method, rate=tensors)[0], weight_grad, 1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["conv_batchnorm", "dropout"])
def test_logits_may_be_given(name, method):
    on = passes(name)
    calls = []
    expected = on.gradient(method)[0]
    on.train_logits, plain = lambda p: calls.append(1) or plain(p), on.train_logits
    given = on.gradient(method, logits=on.logits)[0]
    # Only the way along the recorded graph needs no pass and has its own rounding.
    assert len(calls) == {"forward": 1, "recorded": 0, "difference": 1, "unrolled": 0}[method]
    assert_close(given, expected, 0.0)
    assert_close(given, on.gradient("forward")[0], 1e-5 if method == "difference" else 1e-11)
    on.logits.sum().backward()  # the graph is still there for the real step


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["conv_batchnorm", "dropout", "frozen", "tied"])
def test_module_and_random_state_stay_as_they_were(name, method):
    on = passes(name)
    for parameter in on.params.values():
        parameter.grad = torch.full_like(parameter, 3.0)
    with untouched(on.problem.module):
        on.gradient(method)
    kept = {name: buffer.clone() for name, buffer in on.problem.module.named_buffers()}
    assert_all_close(on.buffers, kept, 0.0)
    assert on.weight.grad is None
    assert not on.weight.requires_grad


@pytest.mark.parametrize("method", METHODS)
def test_weight_gradient_is_the_derivative_by_the_weights(method):
    """To first order G says what a small change of all weights at once does to the meta loss."""
    on = passes("tanh")
    grad, before = on.gradient(method)
    change = 1e-6 * torch.randn_like(on.weight)
    on.weight = on.weight + change
    after = on.gradient(method).meta_loss
    assert float(after - before) == pytest.approx(float((grad * change).sum()), rel=1e-3)


@pytest.mark.parametrize("method", ["forward", "unrolled"])
def test_weight_gradient_is_permutation_equivariant_in_the_rows(method):
    on = passes("tanh")
    expected = on.gradient(method)[0]
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    on.problem = on.problem._replace(X=on.problem.X[order])
    on.weight, on.logit_grad = on.weight[order], on.logit_grad[order]
    assert_close(on.gradient(method)[0], expected[order], 1e-12)


@pytest.mark.parametrize("method", ["forward", "unrolled"])
def test_weight_gradient_is_permutation_equivariant_in_the_classes(method):
    on = passes("tanh")
    expected = on.gradient(method)[0]
    order = torch.tensor([2, 0, 1])
    with torch.no_grad():
        for parameter in (on.problem.module[2].weight, on.problem.module[2].bias):
            parameter.copy_(parameter[order])
    on.problem = on.problem._replace(y_meta=torch.argsort(order)[on.problem.y_meta])
    on.weight, on.logit_grad = on.weight[:, order], on.logit_grad[:, order]
    assert_close(on.gradient(method)[0], expected[:, order], 1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_no_meta_gradient_means_no_weight_gradient(method):
    on = passes("tanh")
    on.meta_loss = lambda params: 0.0 * params["0.weight"].sum() + 2.0
    weight_grad, meta_loss = on.gradient(method)
    assert torch.equal(weight_grad, torch.zeros_like(on.weight))
    assert meta_loss == 2.0


@pytest.mark.parametrize("method", METHODS)
def test_a_meta_loss_of_some_parameters_only(method):
    on = passes("tanh")
    full = on.gradient("unrolled")[0]
    on.meta_loss = lambda params: params["2.bias"].square().sum()
    weight_grad = on.gradient(method)[0]
    # The last bias moves by minus the mean of W * D: a closed form.
    n, rate = len(on.y), RATE
    moved = on.params["2.bias"].detach() - rate * (on.weight * on.logit_grad).sum(dim=0) / n
    assert_close(weight_grad, -rate / n * on.logit_grad * (2 * moved), 1e-8)
    assert float((weight_grad - full).abs().max()) > 1e-3


# The parts.


@pytest.mark.parametrize(("name", "method"), [*EXACT, ("tanh", "difference")])
def test_directional_derivative_equals_reverse_mode(name, method):
    if method == "unrolled":
        return
    on = passes(name)
    generator = torch.Generator().manual_seed(1)
    tangent = {
        key: torch.randn(p.shape, generator=generator, dtype=p.dtype)
        for key, p in on.params.items()
    }
    actual = directional_derivative(on.train_logits, on.params, tangent, method=method)
    expected = torch.zeros_like(on.logits)
    for i in range(len(on.y)):
        for j in range(on.logits.shape[1]):
            grads = torch.autograd.grad(
                on.logits[i, j], on.params.values(), retain_graph=True, materialize_grads=True
            )
            expected[i, j] = sum(
                (g * t).sum() for g, t in zip(grads, tangent.values(), strict=True)
            )
    assert_close(actual, expected, 1e-12 if method == "forward" else 1e-6)
    assert not actual.requires_grad


def test_difference_along_no_direction_is_zero():
    on = passes("relu")
    tangent = {key: torch.zeros_like(p) for key, p in on.params.items()}
    actual = directional_derivative(on.train_logits, on.params, tangent, method="difference")
    assert torch.equal(actual, torch.zeros_like(on.logits))


@pytest.mark.parametrize("factor", [1e-12, 1e-4, 1e4])
def test_difference_does_not_depend_on_the_length_of_the_direction(factor):
    on = passes("tanh")
    tangent = {key: factor * torch.ones_like(p) for key, p in on.params.items()}
    exact, close = (
        directional_derivative(on.train_logits, on.params, tangent, method=method)
        for method in ("forward", "difference")
    )
    assert_close(close, exact, 1e-6)


# Errors.


def test_unknown_method_is_refused():
    on = passes("tanh")
    with pytest.raises(ValueError, match=r"`method` must be one of \['forward', .*got 'jvp'"):
        on.gradient("jvp")
    with pytest.raises(
        ValueError, match=r"must be one of \['difference', 'forward', 'recorded'\].*unrolled"
    ):
        directional_derivative(on.train_logits, on.params, on.params, method="unrolled")


def test_a_rate_for_every_parameter_is_needed():
    with pytest.raises(KeyError, match=r"2\.bias"):
        passes("tanh").gradient("forward", rate={"0.weight": 1, "0.bias": 1, "2.weight": 1})


def test_logits_that_do_not_depend_on_the_parameters_have_no_derivative():
    params = {"a": torch.ones(1, 2)}
    with pytest.raises(RuntimeError, match="no forward-mode derivative"):
        directional_derivative(lambda p: torch.zeros(1, 2), params, params)
