"""Transition matrices: known values, what is drawn in them, and bad arguments."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skgdw.corruption import transition_matrix

KINDS = ["pair", "symmetric", "uniform"]
FLIPS = {"flip1": 1, "flip2": 2}
seeds = st.integers(0, 2**32 - 1)


@given(st.sampled_from([*KINDS, *FLIPS]), st.integers(3, 30), st.floats(0, 1))
def test_rows_are_probabilities(kind, n_classes, rate):
    matrix = transition_matrix(kind, n_classes, rate)
    assert matrix.shape == (n_classes, n_classes)
    assert matrix.dtype == np.float64
    assert (matrix >= 0).all()
    assert_allclose(matrix.sum(axis=1), 1, atol=1e-12)


@given(st.integers(2, 30), st.floats(0, 1))
def test_share_of_changed_labels(n_classes, rate):
    changed = {
        kind: 1 - np.diagonal(transition_matrix(kind, n_classes, rate)).mean() for kind in KINDS
    }
    assert_allclose(changed["symmetric"], rate, atol=1e-12)
    assert_allclose(changed["pair"], rate, atol=1e-12)
    assert_allclose(changed["uniform"], rate * (n_classes - 1) / n_classes, atol=1e-12)


def test_pair_goes_to_the_next_class_and_round():
    assert transition_matrix("pair", 4, 1.0).argmax(axis=1).tolist() == [1, 2, 3, 0]


def test_symmetric_spreads_over_the_other_classes():
    assert_allclose(
        transition_matrix("symmetric", 3, 0.4), [[0.6, 0.2, 0.2], [0.2, 0.6, 0.2], [0.2, 0.2, 0.6]]
    )


@given(st.sampled_from(list(FLIPS)), st.integers(3, 12), st.floats(0.01, 1), seeds)
def test_flips_share_the_rate_among_drawn_classes(kind, n_classes, rate, seed):
    matrix = transition_matrix(kind, n_classes, rate, random_state=seed)
    others = matrix[~np.eye(n_classes, dtype=bool)].reshape(n_classes, n_classes - 1)
    assert_array_equal((others > 0).sum(axis=1), FLIPS[kind])
    assert_allclose(others[others > 0], rate / FLIPS[kind], atol=1e-12)
    assert_allclose(np.diagonal(matrix), 1 - rate, atol=1e-12)
    again = transition_matrix(kind, n_classes, 1.0, random_state=np.random.RandomState(seed))
    assert_array_equal(again > 0, (matrix > 0) & ~np.eye(n_classes, dtype=bool))


@given(st.integers(3, 12), seeds)
def test_the_class_of_flip1_is_one_of_those_of_flip2(n_classes, seed):
    one, two = (transition_matrix(kind, n_classes, 1.0, random_state=seed) > 0 for kind in FLIPS)
    assert (two | ~one).all()


@pytest.mark.parametrize("kind", FLIPS)
def test_flips_draw_all_other_classes_alike(kind):
    n_seeds = 600
    matrices = [transition_matrix(kind, 4, 1.0, random_state=seed) > 0 for seed in range(n_seeds)]
    share = FLIPS[kind] / 3
    bound = 5 * np.sqrt(share * (1 - share) / n_seeds)
    deviation = np.mean(matrices, axis=0) - share * (1 - np.eye(4))
    assert abs(deviation).max() < bound
    # Classes draw on their own, so that two may go to the same one.
    assert any(matrix.sum(axis=0).max() > FLIPS[kind] for matrix in matrices)


def test_flips_without_a_seed_are_drawn_anew_and_not_from_the_global_state():
    np.random.seed(3)  # noqa: NPY002 (the state under test)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, second = (transition_matrix("flip1", 30, 0.4) for _ in range(2))
    assert (first != second).any()
    assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_two_classes_flip_into_each_other():
    assert_allclose(transition_matrix("flip1", 2, 0.3, random_state=0), [[0.7, 0.3], [0.3, 0.7]])


@pytest.mark.parametrize("kind", [*KINDS, *FLIPS])
def test_no_noise_is_the_identity(kind):
    assert np.array_equal(transition_matrix(kind, 5, 0.0), np.eye(5))


@pytest.mark.parametrize(
    ("args", "error", "match"),
    [
        (("unif", 3, 0.4), ValueError, r"`kind` must be one of \['flip1'.*got 'unif'; .*matrix"),
        ((None, 3, 0.4), ValueError, "`kind` must be one of .*got None"),
        (("pair", 1, 0.4), ValueError, "`n_classes` must be at least 2; got 1"),
        (("flip2", 2, 0.4), ValueError, "at least 3 for the kind 'flip2'; got 2; use 'flip1', or"),
        (("flip1", 1, 0.4), ValueError, "`n_classes` must be at least 2; got 1"),
        (("flip2", 3, 40), ValueError, "`noise_rate` must lie in"),
        (("pair", 3.0, 0.4), TypeError, "`n_classes` must be an integer; got 3.0"),
        (("pair", True, 0.4), TypeError, "`n_classes` must be an integer; got True"),
        (("pair", 3, 40), ValueError, r"`noise_rate` must lie in \[0, 1\]; got 40.0; .*per cent"),
        (("pair", 3, -0.1), ValueError, "`noise_rate` must lie in .*got -0.1"),
        (("pair", 3, float("nan")), ValueError, "`noise_rate` must lie in .*got nan"),
        (("pair", 3, "0.4"), TypeError, "`noise_rate` must be a number; got '0.4'"),
        (("pair", 3, True), TypeError, "`noise_rate` must be a number; got True"),
    ],
)
def test_bad_arguments(args, error, match):
    with pytest.raises(error, match=match):
        transition_matrix(*args)


@pytest.mark.parametrize("kind", ["pair", "flip1"])
def test_the_seed_is_checked_whether_or_not_it_is_used(kind):
    with pytest.raises(TypeError, match=r"`random_state` must be .*; got 'junk'; pass an int"):
        transition_matrix(kind, 3, 0.1, random_state="junk")
