"""The normalised, clipped and floored step of the weights."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis.extra.numpy import arrays

import oracles
from properties import assert_close, assert_permutation_equivariant
from skgdw.functional import keep_gradient_share, logit_gradient, update_weight, zero_mean


def draw(shape=(6, 4), seed=0):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.rand(shape, generator=generator, dtype=torch.float64)
    return weight, 1e-3 * torch.randn(shape, generator=generator, dtype=torch.float64)


@st.composite
def steps(draw, element):
    shape = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    weight = draw(arrays(np.float64, shape, elements=st.floats(1e-6, 2.0)))
    return torch.from_numpy(weight), torch.from_numpy(
        draw(arrays(np.float64, shape, elements=element))
    )


@given(
    steps(st.floats(-1e3, 1e3)), st.floats(0, 10), st.floats(1e-3, 1), st.sampled_from([0, 1e-6])
)
def test_equals_the_entries_of_its_definition(drawn, meta_lr, clip, floor):
    weight, grad = drawn
    actual = update_weight(weight, grad, meta_lr=meta_lr, clip=clip, floor=floor)
    expected = oracles.update_weight(weight, grad, meta_lr, clip, floor)
    # Relative to what is stepped from, too: a weight may be stepped to nothing.
    assert (actual - expected).abs().max() <= 1e-12 * max(weight.max(), expected.abs().max())


def test_defaults_are_the_documented_ones():
    weight, grad = draw((30, 5))
    weight[0, 0], grad[0, 0] = 0.1, 1.0  # the floor
    explicit = update_weight(weight, grad, meta_lr=0.1, clip=0.2, floor=1e-6)
    assert torch.equal(update_weight(weight, grad), explicit)
    assert explicit[0, 0] == 1e-6


def test_an_entry_of_mean_size_moves_by_meta_lr_for_every_shape():
    for shape in [(1, 1), (3, 2), (100, 10)]:
        signs = torch.where(draw(shape)[1] < 0, -1.0, 1.0).double()
        moved = update_weight(torch.ones(shape).double(), 1e-9 * signs, meta_lr=0.07)
        assert_close(moved, 1 - 0.07 * signs, 1e-12)


def test_clip_bounds_the_change():
    weight, grad = torch.full((1, 100), 0.5), torch.zeros(1, 100)
    grad[0, :2] = torch.tensor([1.0, -1.0])
    moved = update_weight(weight, grad, meta_lr=10.0, clip=0.3)
    torch.testing.assert_close(moved[0, :3], torch.tensor([0.2, 0.8, 0.5]))


def test_floor_bounds_the_weights():
    weight, grad = torch.tensor([[0.05, 0.5]]), torch.tensor([[1.0, -1.0]])
    moved = update_weight(weight, grad, meta_lr=0.2, floor=0.01)
    torch.testing.assert_close(moved, torch.tensor([[0.01, 0.7]]))


@pytest.mark.parametrize("factor", [1e-30, 1e-8, 1e8, 1e30])
def test_scale_of_the_gradient_does_not_matter(factor):
    weight, grad = draw()
    assert_close(update_weight(weight, factor * grad), update_weight(weight, grad), 1e-12)


def test_opposite_gradient_moves_the_other_way():
    weight, grad = draw()
    there, back = (update_weight(weight + 1, sign * grad) - (weight + 1) for sign in (1, -1))
    assert_close(there, -back, 1e-12)
    assert there.abs().max() > 0.1


@pytest.mark.parametrize("shape", [(6, 4), (6,), (1, 1)], ids=str)
def test_zero_gradient_leaves_the_weights_alone(shape):
    weight = draw(shape)[0]
    weight.view(-1)[0] = 1e-9  # below the floor, as a saturated weighting net may be
    assert torch.equal(update_weight(weight, torch.zeros(shape).double()), weight)


def test_derivatives_are_finite_where_nothing_moves():
    weight = draw()[0].requires_grad_()
    grad = torch.zeros_like(weight).requires_grad_()
    update_weight(weight, grad).sum().backward()
    assert torch.equal(weight.grad, torch.ones_like(weight))
    assert torch.isfinite(grad.grad).all()


def test_zero_rate_leaves_the_weights_alone():
    weight, grad = draw()
    assert torch.equal(update_weight(weight, grad, meta_lr=0.0), weight)


@given(steps(st.floats(allow_nan=False, allow_infinity=False)))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_finite_gradients_of_any_size_give_weights_within_their_bounds(dtype, drawn):
    weight, grad = (table.to(dtype) for table in drawn)
    grad = grad.clamp(torch.finfo(dtype).min, torch.finfo(dtype).max)  # float64 to float32
    moved = update_weight(weight, grad, meta_lr=100.0)
    assert torch.isfinite(moved).all()
    assert (moved >= weight.clamp(max=1e-6)).all()
    assert ((moved - weight).abs() <= 0.2 + 1e-6).all()


def test_one_weight_a_row_works_as_well():
    weight, grad = draw((7,))
    expected = update_weight(weight.unsqueeze(1), grad.unsqueeze(1)).squeeze(1)
    assert torch.equal(update_weight(weight, grad), expected)


def test_is_permutation_equivariant():
    assert_permutation_equivariant(update_weight, draw((9, 5)), None, 1e-13)


def test_can_be_differentiated():
    weight, grad = draw((3, 3))
    arguments = (0.5 + weight.requires_grad_(), grad.mul_(1e3).requires_grad_())
    torch.autograd.gradcheck(lambda w, g: update_weight(w, g, meta_lr=0.01, clip=1.0), arguments)


def test_arguments_are_left_alone():
    weight, grad = draw()
    copies = weight.clone(), grad.clone()
    update_weight(weight, grad)
    assert torch.equal(weight, copies[0])
    assert torch.equal(grad, copies[1])


# --- the share of the gradient that is kept -------------------------------------------------------


def weighted(scale, seed=0):
    """Return weights times logit gradient, balanced, with weights around `scale`, and D."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(8, 5, generator=generator, dtype=torch.float64)
    y = torch.randint(5, (8,), generator=generator)
    logit_grad = logit_gradient(logits, y)
    weight = scale * torch.rand(8, 5, generator=generator, dtype=torch.float64)
    return zero_mean(weight, logit_grad, y) * logit_grad, logit_grad


def share_of(weighted_grad, logit_grad):
    return weighted_grad.abs().sum() / logit_grad.abs().sum()


def test_a_large_share_stays_as_it_is_to_the_last_bit():
    pull, logit_grad = weighted(1.0)
    assert share_of(pull, logit_grad) > 0.3
    assert torch.equal(keep_gradient_share(pull, logit_grad, share=0.3), pull)
    assert torch.equal(keep_gradient_share(logit_grad, logit_grad, share=1.0), logit_grad)


@given(st.floats(1e-12, 10), st.floats(0, 1), st.integers(0, 99))
def test_a_small_share_becomes_the_least_and_keeps_its_direction(scale, share, seed):
    pull, logit_grad = weighted(scale, seed)
    found = keep_gradient_share(pull, logit_grad, share=share)
    factor = (found / pull)[pull != 0]
    assert_close(factor, factor[0].expand_as(factor), 1e-12)
    assert factor[0] >= 1
    expected = max(float(share_of(pull, logit_grad)), share)
    assert float(share_of(found, logit_grad)) == pytest.approx(expected, rel=1e-9)
    assert found.sum(dim=1).abs().max() < 1e-12


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_nothing_left_stays_nothing(dtype):
    nothing, logit_grad = torch.zeros(3, 2, dtype=dtype), torch.ones(3, 2, dtype=dtype)
    assert torch.equal(keep_gradient_share(nothing, logit_grad), nothing)
    assert torch.equal(keep_gradient_share(nothing, nothing), nothing)
    least = torch.full((3, 2), 1e-6, dtype=dtype) * logit_grad
    assert_close(keep_gradient_share(least, logit_grad, share=0.25), 0.25 * logit_grad, 1e-6)


def test_the_share_can_be_differentiated():
    pull, logit_grad = weighted(0.05)
    arguments = (pull.requires_grad_(), logit_grad.requires_grad_())
    torch.autograd.gradcheck(lambda p, d: keep_gradient_share(p, d, share=0.2), arguments)
