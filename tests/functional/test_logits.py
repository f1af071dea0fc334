"""The logit gradient and the constraint on its weighted rows."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis.extra.numpy import arrays
from torch.nn import functional as F

import oracles
from properties import assert_close, assert_permutation_equivariant, assert_rows_balance
from skgdw.functional import PROBABILITY_CAP, close_rows, logit_gradient, zero_mean

TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-12}
dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


def rows(n=6, c=4, *, scale=2.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(n, c, generator=generator, dtype=torch.float64)
    return logits, torch.randint(c, (n,), generator=generator)


@st.composite
def tables(draw, *, low, high):
    """Two tables of one shape, logits and weights in [low, high], and labels."""
    shape = draw(st.tuples(st.integers(1, 6), st.integers(2, 6)))
    logits = draw(arrays(np.float64, shape, elements=st.floats(-1e4, 1e4)))
    if draw(st.booleans()):
        logits /= 1e3  # where the softmax is not saturated
    weight = draw(arrays(np.float64, shape, elements=st.floats(low, high)))
    y = draw(arrays(np.int64, shape[0], elements=st.integers(0, shape[1] - 1)))
    return torch.from_numpy(logits), torch.from_numpy(weight), torch.from_numpy(y)


def test_cap_is_the_documented_one():
    assert PROBABILITY_CAP == 0.999


@pytest.mark.parametrize("cap", [0.999, 0.6, 1.0])
@pytest.mark.parametrize("scale", [0.5, 5.0, 50.0])
def test_logit_gradient_equals_the_entries_of_its_definition(scale, cap):
    logits, y = rows(12, 5, scale=scale)
    expected = oracles.logit_gradient(logits, y, cap)
    assert_close(logit_gradient(logits, y, cap=cap), expected, 1e-14)


@dtypes
def test_uncapped_logit_gradient_is_that_of_cross_entropy(dtype):
    logits, y = rows(8, 5)
    free = logits.to(dtype).requires_grad_()
    F.cross_entropy(free, y, reduction="sum").backward()
    grad = logit_gradient(free.detach(), y, cap=1.0)
    assert grad.dtype is dtype
    assert_close(grad, free.grad, TOLERANCE[dtype])
    assert_rows_balance(torch.ones_like(grad), grad, TOLERANCE[dtype])


def test_logit_gradient_can_be_differentiated():
    logits, y = rows(3, 3, scale=1.0)
    torch.autograd.gradcheck(lambda z: logit_gradient(z, y, cap=1.0), logits.requires_grad_())


@pytest.mark.parametrize(
    ("y", "expected"), [(0, [-0.001, 1e-44, 0.0]), (1, [0.999, -1.0, 0.0])], ids=["right", "wrong"]
)
def test_cap_bounds_every_probability(y, expected):
    logits = torch.tensor([[100.0, -1.0, -1e4]], dtype=torch.float64)
    grad = logit_gradient(logits, torch.tensor([y]))
    torch.testing.assert_close(grad, torch.tensor([expected], dtype=torch.float64))


def test_cap_leaves_other_rows_exact():
    logits = torch.tensor([[3.0, 1.0, 0.0], [30.0, 1.0, 0.0]], dtype=torch.float64)
    y = torch.tensor([1, 0])
    capped, exact = logit_gradient(logits, y), logit_gradient(logits, y, cap=1.0)
    assert torch.equal(capped[0], exact[0])
    assert capped[1, 0] == pytest.approx(-0.001)
    assert capped[1].sum() == pytest.approx(-0.001, abs=1e-9)


@given(tables(low=0.0, high=1.2))
@dtypes
def test_logit_gradient_is_finite_and_negative_at_the_target(dtype, drawn):
    logits, _, y = drawn
    grad = logit_gradient(logits.to(dtype), y)
    assert torch.isfinite(grad).all()
    assert (grad.gather(1, y.unsqueeze(1)) <= (PROBABILITY_CAP - 1) * (1 - 1e-4)).all()
    off_target = grad.scatter(1, y.unsqueeze(1), 0.0)
    assert (off_target >= 0).all()
    assert (off_target <= PROBABILITY_CAP).all()
    assert grad.sum(dim=1).abs().max() <= 1 - PROBABILITY_CAP + 1e-6


@given(tables(low=0.0, high=1.2))
@dtypes
def test_zero_mean_balances_every_row(dtype, drawn):
    logits, weight, y = drawn
    grad = logit_gradient(logits.to(dtype), y)
    balanced = zero_mean(weight.to(dtype), grad, y)
    assert balanced.dtype is dtype
    assert torch.isfinite(balanced).all()
    assert (balanced >= 0).all()
    assert_rows_balance(balanced, grad, TOLERANCE[dtype])


@given(tables(low=-1e4, high=1e4))
def test_zero_mean_equals_the_entries_of_its_definition(drawn):
    logits, weight, y = drawn
    grad = logit_gradient(logits, y)
    assert_close(zero_mean(weight, grad, y), oracles.zero_mean(weight, grad, y), 1e-12)


@given(tables(low=0.0, high=1.0))
def test_zero_mean_changes_target_entries_only_and_ignores_what_they_were(drawn):
    logits, weight, y = drawn
    grad, target = logit_gradient(logits, y), y.unsqueeze(1)
    balanced = zero_mean(weight, grad, y)
    assert torch.equal(balanced.scatter(1, target, 0.0), weight.scatter(1, target, 0.0))
    assert torch.equal(zero_mean(weight.scatter(1, target, 77.0), grad, y), balanced)


@dtypes
def test_weights_of_one_stay_one_where_nothing_is_capped(dtype):
    logits, y = rows(20, 6)
    assert torch.softmax(logits, dim=1).max() < PROBABILITY_CAP
    grad = logit_gradient(logits.to(dtype), y)
    balanced = zero_mean(torch.ones_like(grad), grad, y)
    assert_close(balanced, torch.ones_like(grad), 10 * TOLERANCE[dtype])


def test_weights_that_are_constant_along_the_classes_stay_so():
    logits, y = rows(20, 6)
    grad, weight = logit_gradient(logits, y), torch.rand(20, 1).double().expand(20, 6)
    assert_close(zero_mean(weight, grad, y), weight, 1e-12)


def test_a_still_target_keeps_its_weights():
    grad = torch.tensor([[0.0, 0.0, 0.0], [-0.5, 0.25, 0.25]])
    weight = torch.tensor([[0.3, 0.4, 0.5], [9.0, 1.0, 0.0]])
    balanced = zero_mean(weight, grad, torch.tensor([1, 0]))
    assert torch.equal(balanced, torch.tensor([[0.3, 0.4, 0.5], [0.5, 1.0, 0.0]]))


def test_zero_mean_can_be_differentiated():
    logits, y = rows(3, 4, scale=1.0)
    weight = torch.rand(3, 4, dtype=torch.float64, requires_grad=True)
    grad = logit_gradient(logits, y).requires_grad_()
    torch.autograd.gradcheck(lambda w, d: zero_mean(w, d, y), (weight, grad))
    torch.autograd.gradgradcheck(lambda w, d: zero_mean(w, d, y), (weight, grad))


def test_logit_gradient_is_permutation_equivariant():
    logits, y = rows(9, 5, scale=4.0)
    assert_permutation_equivariant(logit_gradient, (logits,), y, 1e-14)


def test_zero_mean_is_permutation_equivariant():
    logits, y = rows(9, 5)
    weight, grad = torch.rand(9, 5).double(), logit_gradient(logits, y)
    assert_permutation_equivariant(zero_mean, (weight, grad), y, 1e-13)


def test_arguments_are_left_alone():
    logits, y = rows()
    grad, weight = logit_gradient(logits, y), torch.rand_like(logits)
    arguments = (logits, grad, weight, y)
    copies = [argument.clone() for argument in arguments]
    zero_mean(weight, logit_gradient(logits, y), y)
    assert all(map(torch.equal, arguments, copies))


# Closing rows that a cap has opened.


def capped(n=6, c=4):
    """Return a logit gradient whose every other row was capped, by up to a thousandth, and y."""
    logits, y = rows(n, c)
    logits[::2, 1] += 40.0
    grad = logit_gradient(logits, y)
    missing = grad.sum(dim=1)
    assert (missing[::2].abs() > 9e-4).all()
    assert (missing[1::2].abs() < 1e-15).all()
    return grad, y


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_rows_that_balance_are_left_to_the_last_bit(dtype):
    logits, y = rows(200, 10, scale=1.0)
    pull = torch.rand(200, 1, dtype=dtype) * logit_gradient(logits.to(dtype), y)
    assert pull.sum(dim=1).abs().max() > 0  # rounding
    assert torch.equal(close_rows(pull, y), pull)


def test_what_a_capped_row_misses_goes_to_its_target():
    pull, y = capped()
    closed = close_rows(pull, y)
    for i, row in enumerate(pull.tolist()):
        for j, entry in enumerate(row):
            opened = i % 2 == 0 and j == int(y[i])
            expected = entry - sum(row) if opened else entry
            assert float(closed[i, j]) == pytest.approx(expected, abs=0 if not opened else 1e-15)
    assert_rows_balance(closed, torch.ones_like(pull), 1e-15)


def test_the_tolerance_is_where_closing_begins():
    pull, y = torch.tensor([[0.5, -0.4], [0.5, -0.5]], dtype=torch.float64), torch.tensor([1, 1])
    assert torch.equal(close_rows(pull, y, tolerance=0.11), pull)
    expected = torch.tensor([[0.5, -0.5], [0.5, -0.5]], dtype=torch.float64)
    assert_close(close_rows(pull, y, tolerance=0.09), expected, 1e-15)
    assert_close(close_rows(pull, y, tolerance=0.0), expected, 1e-15)


def test_closing_can_be_differentiated():
    pull, y = capped()
    assert torch.autograd.gradcheck(lambda p: close_rows(p, y), pull.requires_grad_())


def test_closing_is_permutation_equivariant():
    pull, y = capped()
    assert_permutation_equivariant(close_rows, (pull,), y, 1e-14)
