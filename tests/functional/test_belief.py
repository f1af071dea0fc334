"""Posteriors of true classes, the first transition matrix, and the M-step that follows them."""

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from properties import assert_close
from skgdw.functional import (
    TransitionEstimate,
    belief_of,
    deconvolve_transition,
    label_posterior,
    transition_m_step,
    transition_of,
)


def drawn(n=7, c=4, seed=0):
    """Logits, belief, labels and log prior, in float64."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn((n, c), generator=generator, dtype=torch.float64)
    belief = torch.randn((c, c), generator=generator, dtype=torch.float64)
    y = torch.randint(c, (n,), generator=generator)
    prior = torch.rand(c, generator=generator, dtype=torch.float64) + 0.1
    return logits, belief, y, (prior / prior.sum()).log()


def stochastic(c, seed=0, *, sharpness=2.0):
    """Draw a matrix whose rows sum to one and are largest on the diagonal, on the whole."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn((c, c), generator=generator, dtype=torch.float64)
    return torch.softmax(logits + (sharpness + math.log(c)) * torch.eye(c), dim=1)


def mixed(transition, meta_means, true_counts):
    """Return the mean predictions and the number of rows by given label, for known noise."""
    joint = true_counts.unsqueeze(1) * transition
    counts = joint.sum(dim=0)
    return (joint / counts.clamp(min=1e-300)).T @ meta_means, counts


def pair_flip(c, rate=0.4):
    identity = torch.eye(c, dtype=torch.float64)
    return (1 - rate) * identity + rate * identity.roll(1, dims=1)


# --- the posterior -------------------------------------------------------------------------------


@pytest.mark.parametrize("with_prior", [True, False])
@pytest.mark.parametrize("c", [2, 4])
def test_posteriors_are_those_of_their_definition(c, with_prior):
    logits, belief, y, log_prior = drawn(c=c)
    found = label_posterior(logits, belief, y, log_prior if with_prior else None)
    for i, label in enumerate(y.tolist()):
        powers = [
            math.exp(float(logits[i, j]) + (float(log_prior[j]) if with_prior else 0.0))
            for j in range(c)
        ]
        p = [power / math.fsum(powers) for power in powers]
        joint = [p[j] * math.exp(float(belief[label, j])) for j in range(c)]
        likelihood = math.fsum(joint)
        assert_close(found.probabilities[i], torch.tensor(p).double(), 1e-6)
        assert float(found.log_likelihood[i]) == pytest.approx(math.log(likelihood), abs=1e-12)
        for j in range(c):
            assert float(found.posterior[i, j]) == pytest.approx(joint[j] / likelihood, rel=1e-12)


def test_beliefs_of_certainty_leave_labels_or_predictions():
    logits, _, y, log_prior = drawn()
    right = belief_of(torch.eye(4, dtype=torch.float64), floor=1e-300)
    found = label_posterior(logits, right, y, log_prior)
    assert_close(found.posterior, torch.nn.functional.one_hot(y, 4), 1e-12)
    found = label_posterior(logits, torch.zeros(4, 4).double(), y, log_prior)
    assert_close(found.posterior, found.probabilities, 1e-12)


@given(st.integers(0, 999), st.integers(2, 6), st.floats(-1e3, 1e3))
def test_posteriors_sum_to_one_and_no_constant_of_a_row_matters(seed, c, constant):
    logits, belief, y, log_prior = drawn(c=c, seed=seed)
    found = label_posterior(logits, belief, y, log_prior)
    assert_close(found.posterior.sum(dim=1), torch.ones(7).double(), 1e-12)
    shifts = constant * torch.arange(c).double().unsqueeze(1)
    shifted = label_posterior(logits, belief + shifts, y, log_prior)
    assert (shifted.posterior - found.posterior).abs().max() < 1e-9


@given(st.integers(0, 999), st.integers(2, 6))
def test_permuting_classes_permutes_posteriors_and_estimates(seed, c):
    logits, belief, y, log_prior = drawn(c=c, seed=seed)
    order = torch.randperm(c, generator=torch.Generator().manual_seed(seed))
    both = order.unsqueeze(1), order.unsqueeze(0)
    new_y = torch.argsort(order)[y]
    posterior = label_posterior(logits, belief, y, log_prior).posterior
    found = label_posterior(logits[:, order], belief[both], new_y, log_prior[order])
    assert_close(found.posterior, posterior[:, order], 1e-12)

    previous = TransitionEstimate(stochastic(c, seed), log_prior.exp())
    renamed = TransitionEstimate(previous.matrix[both], previous.prior[order])
    sums = torch.rand((c, c), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    expected, found = transition_m_step(sums, previous), transition_m_step(sums[both], renamed)
    assert_close(found.matrix, expected.matrix[both], 1e-12)
    assert_close(found.prior, expected.prior[order], 1e-12)

    means, counts = stochastic(c, seed + 1), torch.arange(1, c + 1).double()
    given_means, counts = mixed(previous.matrix, means, counts)
    expected = deconvolve_transition(means, given_means, counts)
    found = deconvolve_transition(means[both], given_means[both], counts[order])
    assert_close(found.matrix, expected.matrix[both], 1e-5)
    assert_close(found.prior, expected.prior[order], 1e-5)


def test_posteriors_can_be_differentiated_by_belief_and_logits():
    logits, belief, y, log_prior = drawn()
    arguments = (logits.requires_grad_(), belief.requires_grad_(), log_prior.requires_grad_())
    torch.autograd.gradcheck(lambda z, v, a: tuple(label_posterior(z, v, y, a)), arguments)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_sure_networks_and_impossible_labels_give_finite_posteriors(dtype):
    belief = belief_of(torch.eye(3, dtype=dtype))
    logits = torch.tensor([[300.0, 0.0, -300.0]], dtype=dtype, requires_grad=True)
    found = label_posterior(logits, belief.requires_grad_(), torch.tensor([2]))
    found.posterior.square().sum().backward()
    assert_close(found.posterior, torch.tensor([[1.0, 0.0, 0.0]]), 1e-6)
    for each in (*found, logits.grad, belief.grad):
        assert torch.isfinite(each).all()


# --- the first estimate --------------------------------------------------------------------------


@pytest.mark.parametrize("c", [2, 5, 30])
def test_a_known_mixture_is_taken_apart(c):
    transition, means = stochastic(c, 1), stochastic(c, 2, sharpness=1.0)
    true_counts = torch.linspace(50, 200, c, dtype=torch.float64)
    given_means, counts = mixed(transition, means, true_counts)
    found = deconvolve_transition(means, given_means, counts, ridge=0.0)
    assert_close(found.matrix, transition, 1e-5)
    assert_close(found.prior, true_counts / true_counts.sum(), 1e-5)
    found = deconvolve_transition(means, given_means, counts)
    assert_close(found.matrix, transition, 0.02)


def test_zeros_of_the_truth_are_found():
    means = stochastic(6, 3, sharpness=0.5)
    given_means, counts = mixed(pair_flip(6), means, torch.full((6,), 10.0).double())
    found = deconvolve_transition(means, given_means, counts, ridge=0.0)
    assert_close(found.matrix, pair_flip(6), 1e-5)
    assert found.matrix.min() >= 0


@pytest.mark.parametrize("sharpness", [-1.0, 0.0, 3.0])
def test_right_labels_give_the_identity_though_predictions_are_unsure(sharpness):
    means = stochastic(5, 4, sharpness=sharpness)
    found = deconvolve_transition(means, means, torch.arange(1, 6))
    assert_close(found.matrix, torch.eye(5), 1e-7)
    assert_close(found.prior, torch.arange(1, 6) / 15, 1e-7)


def test_a_network_that_tells_nothing_apart_gives_the_identity():
    flat = torch.full((3, 3), 1 / 3, dtype=torch.float64)
    found = deconvolve_transition(flat, flat, torch.tensor([5, 5, 5]))
    assert_close(found.matrix, torch.eye(3), 1e-7)


def test_a_class_without_meta_rows_has_right_labels():
    transition, means = pair_flip(4), stochastic(4, 5)
    given_means, counts = mixed(transition, means, torch.full((4,), 25.0).double())
    means[2] = 0
    found = deconvolve_transition(means, given_means, counts, ridge=1e-4)
    assert torch.equal(found.matrix[2], torch.eye(4).double()[2])
    assert_close(found.matrix[0], transition[0], 0.02)  # others are found all the same
    assert_close(found.matrix.sum(dim=1), torch.ones(4).double(), 1e-12)
    assert found.matrix[:, 2].tolist() == [0.0, 0.0, 1.0, 0.0]


def test_a_label_that_is_never_given_changes_nothing():
    means = stochastic(3, 6)
    given_means, counts = means.clone(), torch.tensor([10.0, 20.0, 0.0])
    given_means[2] = 0
    for meta_means in (means, given_means):  # with meta rows of that class, and without
        found = deconvolve_transition(meta_means, given_means, counts)
        assert_close(found.matrix, torch.eye(3), 1e-7)
        assert_close(found.prior, torch.tensor([1 / 3, 2 / 3, 0.0]), 1e-6)


def test_the_dtype_stays():
    means = stochastic(3).float()
    found = deconvolve_transition(means, means, torch.ones(3))
    assert {each.dtype for each in found} == {torch.float32}


def test_a_strong_ridge_takes_labels_to_be_right():
    means = stochastic(4, 7)
    given_means, counts = mixed(pair_flip(4), means, torch.ones(4).double())
    diagonals = [
        float(deconvolve_transition(means, given_means, counts, ridge=ridge).matrix.trace()) / 4
        for ridge in (0.0, 0.3, 1.0, 100.0)
    ]
    assert diagonals == sorted(diagonals)
    assert diagonals[0] == pytest.approx(0.6, abs=1e-5)
    assert diagonals[-1] > 0.99


# --- the M-step, and beliefs ---------------------------------------------------------------------


def test_m_step_counts_and_blends():
    sums = torch.tensor([[3.0, 1.0], [2.0, 4.0]], dtype=torch.float64)
    previous = TransitionEstimate(torch.eye(2).double(), torch.tensor([0.5, 0.5]).double())
    found = transition_m_step(sums, previous, blend=1.0)
    assert_close(found.matrix, torch.tensor([[3 / 4, 1 / 4], [2 / 6, 4 / 6]]).double(), 1e-7)
    assert_close(found.prior, torch.tensor([0.4, 0.6]).double(), 1e-7)
    third = transition_m_step(sums, previous)
    for blended, before, counted in zip(third, previous, found, strict=True):
        assert_close(blended, 0.7 * before + 0.3 * counted, 1e-12)
    for same, before in zip(transition_m_step(sums, previous, blend=0.0), previous, strict=True):
        assert torch.equal(same, before)


def test_a_class_that_nobody_is_believed_to_be_of_keeps_its_row():
    previous = TransitionEstimate(stochastic(3), torch.full((3,), 1 / 3, dtype=torch.float64))
    sums = torch.tensor([[3.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 2.0, 2.0]]).double()
    found = transition_m_step(sums, previous, blend=1.0)
    assert torch.equal(found.matrix[1], previous.matrix[1])
    assert found.prior.tolist() == [0.5, 0.0, 0.5]
    for same, before in zip(transition_m_step(0 * sums, previous), previous, strict=True):
        assert_close(same, before, 1e-15)


@given(st.integers(0, 999), st.integers(2, 8), st.floats(0, 1))
def test_rows_of_every_estimate_sum_to_one(seed, c, blend):
    generator = torch.Generator().manual_seed(seed)
    sums = torch.rand((c, c), generator=generator, dtype=torch.float64)
    previous = TransitionEstimate(stochastic(c, seed), torch.full((c,), 1 / c, dtype=torch.float64))
    found = transition_m_step(sums, previous, blend=blend)
    for matrix in (found.matrix, transition_of(belief_of(found.matrix))):
        assert_close(matrix.sum(dim=1), torch.ones(c).double(), 1e-12)
    assert float(found.prior.sum()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("c", [2, 5])
def test_expectation_maximisation_finds_the_noise(c):
    """Where the network is right the matrix of the noise comes out, from a wrong start."""
    generator = torch.Generator().manual_seed(c)
    transition, n = pair_flip(c, 0.3), 40000
    true_share = torch.linspace(1, 2, c, dtype=torch.float64)
    true = torch.multinomial(true_share, n, replacement=True, generator=generator)
    y = torch.multinomial(transition[true], 1, generator=generator).squeeze(1)
    logits = 6 * torch.nn.functional.one_hot(true, c).double()
    at = TransitionEstimate(
        stochastic(c, 9, sharpness=0.0), torch.full((c,), 1 / c, dtype=torch.float64)
    )
    for _ in range(30):
        found = label_posterior(logits, belief_of(at.matrix), y, at.prior.log())
        sums = torch.zeros(c, c).double().index_add_(1, y, found.posterior.T)
        at = transition_m_step(sums, at)
    assert (at.matrix - transition).abs().max() < 0.02
    assert (at.prior - true_share / true_share.sum()).abs().max() < 0.02


@settings(max_examples=30)
@given(st.integers(0, 999), st.integers(2, 8))
def test_beliefs_and_matrices_turn_into_each_other(seed, c):
    transition = stochastic(c, seed)
    belief = belief_of(transition, floor=1e-12)
    assert_close(transition_of(belief), transition, 1e-12)
    for g in range(c):
        for k in range(c):
            assert float(belief[g, k]) == pytest.approx(math.log(float(transition[k, g])))


def test_beliefs_have_a_floor():
    assert belief_of(torch.eye(3)).min() == pytest.approx(math.log(1e-4))
    assert belief_of(torch.eye(3), floor=0.01).min() == pytest.approx(math.log(0.01))


def test_a_thousand_classes_need_no_array_of_rows_by_pairs():
    """(n, c, c) would be 64 GB here."""
    n, c = 8000, 1000
    belief = belief_of(pair_flip(c).float())
    found = label_posterior(torch.zeros(n, c), belief, torch.arange(n) % c)
    assert_close(found.posterior.sum(dim=1), torch.ones(n), 1e-4)
    assert_close(found.posterior[1, :2], torch.tensor([0.4, 0.6]) / (1 + 998e-4), 1e-4)
    means = pair_flip(c, 0.1)
    given_means, counts = mixed(pair_flip(c), means, torch.ones(c).double())
    estimate = deconvolve_transition(means, given_means, counts)
    assert_close(estimate.matrix, pair_flip(c), 0.01)


def test_arguments_are_left_alone():
    logits, belief, y, log_prior = drawn()
    copies = [each.clone() for each in (logits, belief, y, log_prior)]
    label_posterior(logits, belief, y, log_prior)
    previous = TransitionEstimate(stochastic(4), log_prior.exp())
    transition_m_step(belief.exp(), previous)
    transition_of(belief)
    for one, other in zip((logits, belief, y, log_prior), copies, strict=True):
        assert torch.equal(one, other)
    assert torch.equal(previous.matrix, stochastic(4))
