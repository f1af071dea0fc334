"""The first transition matrix, and the M-step that follows it."""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from properties import assert_close
from skgdw.functional import (
    TransitionEstimate,
    belief_of,
    deconvolve_transition,
    label_posterior,
    pool_transition,
    transition_m_step,
    transition_of,
)
from transition_cases import mixed, pair_flip, stochastic

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


@pytest.mark.parametrize("rate", [0.0, 0.4])
def test_noise_of_the_means_is_not_taken_for_wrong_labels(rate):
    """Few meta rows: without the correction a tenth of right labels comes out as wrong."""
    c, n_meta, n_given, shares = 20, 15, 60, []
    transition, means = pair_flip(c, rate), stochastic(c, 2, sharpness=2.0)
    given_means, counts = mixed(transition, means, torch.full((c,), 100.0).double())
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)

        def drawn_means(expected, n, generator=generator):
            drawn = torch.multinomial(expected, n, replacement=True, generator=generator)
            return torch.nn.functional.one_hot(drawn, c).double().mean(dim=1)

        found = deconvolve_transition(
            drawn_means(means, n_meta), drawn_means(given_means, n_given), counts
        )
        shares.append(float((found.prior * found.matrix.diagonal()).sum()))
    assert sum(shares) / 20 == pytest.approx(1 - rate, abs=0.03)


def test_rare_classes_are_drawn_to_what_holds_for_all():
    matrix = torch.tensor([[0.7, 0.3, 0.0], [0.1, 0.8, 0.1], [0.0, 1.0, 0.0]]).double()
    estimate = TransitionEstimate(matrix, torch.tensor([0.6, 0.4, 0.0]).double())
    found = pool_transition(estimate, 300, strength=0.5)
    right = 0.6 * 0.7 + 0.4 * 0.8
    pooled = torch.full((3, 3), (1 - right) / 2).double()
    pooled.fill_diagonal_(right)
    # n pi_k of 180, 120 and none, and 50 rows added to each.
    for k, rows in enumerate((180, 120, 0)):
        assert_close(found.matrix[k], (rows * matrix[k] + 50 * pooled[k]) / (rows + 50), 1e-7)
    assert torch.equal(found.prior, estimate.prior)
    assert_close(pool_transition(estimate, 300, strength=0.0).matrix, matrix, 1e-12)
    identity = TransitionEstimate(torch.eye(3).double(), estimate.prior)
    assert_close(pool_transition(identity, 300).matrix, torch.eye(3), 1e-7)


# --- the M-step -----------------------------------------------------------------------------------


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
