"""Posteriors of true classes, and the beliefs that they rest on."""

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
from transition_cases import mixed, pair_flip, stochastic


def drawn(n=7, c=4, seed=0):
    """Logits, belief, labels and log prior, in float64."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn((n, c), generator=generator, dtype=torch.float64)
    belief = torch.randn((c, c), generator=generator, dtype=torch.float64)
    y = torch.randint(c, (n,), generator=generator)
    prior = torch.rand(c, generator=generator, dtype=torch.float64) + 0.1
    return logits, belief, y, (prior / prior.sum()).log()


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


# --- beliefs --------------------------------------------------------------------------------------


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
