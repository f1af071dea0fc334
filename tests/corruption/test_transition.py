"""Transition matrices: known values, and every complaint about a matrix of the user's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from skgdw.corruption import LabelNoise, transition_matrix

KINDS = ["pair", "symmetric", "uniform"]


@given(st.sampled_from(KINDS), st.integers(2, 30), st.floats(0, 1))
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


@pytest.mark.parametrize("kind", KINDS)
def test_no_noise_is_the_identity(kind):
    assert np.array_equal(transition_matrix(kind, 5, 0.0), np.eye(5))


@pytest.mark.parametrize(
    ("args", "error", "match"),
    [
        (("unif", 3, 0.4), ValueError, r"`kind` must be one of \['pair'.*got 'unif'; .*matrix"),
        ((None, 3, 0.4), ValueError, "`kind` must be one of .*got None"),
        (("pair", 1, 0.4), ValueError, "`n_classes` must be at least 2; got 1"),
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


def fit_with_matrix(matrix):
    y = ["a", "b", "c"] * 4
    return LabelNoise(transition_matrix=matrix, random_state=0).fit(np.zeros((12, 1)), y)


def test_given_matrix_is_used_as_it_is():
    matrix = [[0.8, 0.2, 0.0], [0.1, 0.9, 0.0], [0.0, 0.3333333, 0.6666666]]
    fitted = fit_with_matrix(matrix).transition_matrix_
    assert fitted.tolist() == matrix


@pytest.mark.parametrize(
    ("matrix", "error", "match"),
    [
        (np.eye(2), ValueError, r"shape \(3, 3\).*\['a', 'b', 'c'\]; got shape \(2, 2\); add"),
        (np.ones((3, 2)) / 2, ValueError, r"got shape \(3, 2\)"),
        (np.ones(3), ValueError, r"got shape \(3,\)"),
        ("half", TypeError, "`transition_matrix` must be an array of numbers; got str; pass 3"),
        ([[1, 0], [1]], TypeError, "must be an array of numbers; got list"),
        (
            [[0.9, 0.2, 0], [0, 1, 0], [0.5, 0, 0.4]],
            ValueError,
            r"got row 0 \(class 'a'\) with sum 1.1; row 2 \(class 'c'\) with sum 0.9; make",
        ),
        (
            [[1.5, -0.5, 0], [0, 1, 0], [0, -0.25, 1.25]],
            ValueError,
            r"got -0.5 in row 0 \(class 'a'\), column 1; -0.25 in row 2 \(class 'c'\), column 1;",
        ),
        (
            [[float("nan"), 1, 0], [0, 1, 0], [0, 0, 1]],
            ValueError,
            r"row 0 \(class 'a'\) with sum nan",
        ),
    ],
)
def test_bad_matrix(matrix, error, match):
    with pytest.raises(error, match=match):
        fit_with_matrix(matrix)


def test_cleanlab_orientation_is_recognised():
    noise_matrix = np.array([[0.8, 0.3, 0.0], [0.2, 0.7, 0.0], [0.0, 0.0, 1.0]])
    with pytest.raises(ValueError, match=r"cleanlab's noise_matrix .*; pass its transpose"):
        fit_with_matrix(noise_matrix)
    fit_with_matrix(noise_matrix.T)
