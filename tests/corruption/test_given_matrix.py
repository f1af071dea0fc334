"""LabelNoise's transition_matrix: arrays, frames and dicts, and every complaint about them."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from skgdw.corruption import LabelNoise


def fit_with_matrix(matrix, classes=("a", "b", "c")):
    y = [*classes] * 4
    return LabelNoise(transition_matrix=matrix, random_state=0).fit(np.zeros((len(y), 1)), y)


def test_given_matrix_is_used_as_it_is():
    matrix = [[0.8, 0.2, 0.0], [0.1, 0.9, 0.0], [0.0, 0.3333333, 0.6666666]]
    fitted = fit_with_matrix(matrix).transition_matrix_
    assert fitted.tolist() == matrix
    tensor = torch.tensor(matrix, dtype=torch.float64, requires_grad=True)
    assert fit_with_matrix(tensor).transition_matrix_.tolist() == matrix
    halves = torch.tensor([[0.5, 0.5, 0], [0, 1, 0], [0, 0, 1]], dtype=torch.bfloat16)
    assert fit_with_matrix(halves).transition_matrix_.tolist() == halves.tolist()


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
    with pytest.raises(ValueError, match="pass its transpose"):
        fit_with_matrix(pd.DataFrame(noise_matrix, index=[*"abc"], columns=[*"abc"]))


NAMES = ["a", "b", "c"]
weights = arrays(np.float64, (3, 3), elements=st.floats(0.01, 1))


# --- frames ---------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(weights, st.permutations(NAMES), st.permutations(NAMES))
def test_a_frame_is_read_by_its_labels(values, rows, columns):
    frame = pd.DataFrame(values / values.sum(axis=1, keepdims=True), index=NAMES, columns=NAMES)
    shuffled = frame.loc[rows, columns]
    before = shuffled.copy()
    assert_array_equal(fit_with_matrix(shuffled).transition_matrix_, frame.to_numpy())
    pd.testing.assert_frame_equal(shuffled, before)


@pytest.mark.parametrize("labels", [pd.RangeIndex(3), pd.Index([2, 0, 1]), [0.0, 2.0, 1.0]])
def test_a_frame_of_numbered_classes(labels):
    matrix = np.array([[0.7, 0.3, 0], [0, 1, 0], [0.1, 0, 0.9]])
    frame = pd.DataFrame(matrix, columns=range(3)).loc[list(labels)]
    assert_array_equal(fit_with_matrix(frame, (0, 1, 2)).transition_matrix_, matrix)


@pytest.mark.parametrize(
    ("frame", "error", "match"),
    [
        (
            pd.DataFrame(np.eye(3)),
            ValueError,
            r"with the classes \['a', 'b', 'c'\], .*; got missing \['a', 'b', 'c'\] in the index; "
            r"unknown \[0, 1, 2\] in the index; missing .* in the columns; .*pass its to_numpy",
        ),
        (
            pd.DataFrame(np.eye(3), index=["a", "b", "b"], columns=["c", "b", "x"]),
            ValueError,
            r"got missing \['c'\] in the index; repeated \['b'\] in the index; missing \['a'\] in "
            r"the columns; unknown \['x'\] in the columns; label it so",
        ),
        (
            pd.DataFrame(np.eye(2), index=["a", "b"], columns=["a", "b"]),
            ValueError,
            r"missing \['c'\] in the index; missing \['c'\] in the columns",
        ),
        (
            pd.DataFrame([["1"] * 2 + ["x"]] * 3, index=NAMES, columns=NAMES),
            TypeError,
            "must be an array of numbers; got DataFrame",
        ),
        (
            pd.DataFrame(np.eye(3) * [[1], [2], [1]], index=[*"cab"], columns=[*"cab"]),
            ValueError,
            r"got row 0 \(class 'a'\) with sum 2; make",
        ),
    ],
)
def test_bad_frame(frame, error, match):
    with pytest.raises(error, match=match):
        fit_with_matrix(frame)


# --- dicts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        ({}, np.eye(3)),
        ({"a": {}}, np.eye(3)),
        ({"c": {"a": 0.25}}, [[1, 0, 0], [0, 1, 0], [0.25, 0, 0.75]]),
        ({"b": {"b": 0.5, "c": 0.5}, "a": {"c": 0}}, [[1, 0, 0], [0, 0.5, 0.5], [0, 0, 1]]),
        ({"a": {"b": 0.25, "c": 0.25}, "c": {"c": 1}}, [[0.5, 0.25, 0.25], [0, 1, 0], [0, 0, 1]]),
        ({"a": {"b": 0.3, "c": 0.7 + 1e-9}}, [[0, 0.3, 0.7 + 1e-9], [0, 1, 0], [0, 0, 1]]),
    ],
)
def test_a_dict_names_what_is_not_kept(mapping, expected):
    before = copy.deepcopy(mapping)
    noise = fit_with_matrix(mapping)
    assert_allclose(noise.transition_matrix_, expected, rtol=0, atol=1e-15)
    assert noise.transition_matrix_.min() >= 0
    assert mapping == before
    assert noise.transition_matrix is mapping
    assert clone(noise).transition_matrix == mapping


@settings(max_examples=40)
@given(weights, st.lists(st.booleans(), min_size=3, max_size=3))
def test_a_dict_says_the_same_as_an_array(values, has_diagonal):
    matrix = values / values.sum(axis=1, keepdims=True)
    mapping = {
        np.str_(NAMES[i]): {
            np.str_(NAMES[j]): np.float32(matrix[i, j])
            for j in range(3)
            if i != j or has_diagonal[i]
        }
        for i in range(3)
    }
    assert_allclose(fit_with_matrix(mapping).transition_matrix_, matrix, atol=1e-6)


def test_keys_of_a_dict_may_be_numpy_scalars():
    mapping = {np.int64(7): {np.int8(3): 0.25}}
    fitted = fit_with_matrix(mapping, (3, 5, 7)).transition_matrix_
    assert_array_equal(fitted, [[1, 0, 0], [0, 1, 0], [0.25, 0, 0.75]])


@pytest.mark.parametrize(
    ("mapping", "error", "match"),
    [
        (
            {"x": {"a": 0.1}, "a": {"y": 0.5, "b": 2}, "b": {"c": -0.5, "a": 1.75}},
            ValueError,
            r"name the classes of y .*; got unknown classes \['x', 'y'\]; -0.5 in row 1 \(class "
            r"'b'\), column 2; row 1 \(class 'b'\) with sum 1.25; name classes out of \['a'",
        ),
        (
            {"a": {"a": 0.5, "b": 0.25}, "b": {"c": 1.5}},
            ValueError,
            r"got row 0 \(class 'a'\) with sum 0.75; row 1 \(class 'b'\) with sum 1.5; make the",
        ),
        ({"a": {"b": float("nan")}}, ValueError, r"got row 0 \(class 'a'\) with sum nan; make"),
        ({0: {1: 0.5}}, ValueError, r"got unknown classes \[0, 1\]; name classes out of"),
        (
            {"a": 0.5, "b": {"c": "0.5", "a": True}},
            TypeError,
            "got float for 'a'; '0.5' for 'b' given 'c'; True for 'b' given 'a'; pass for instance "
            "{'a': {'b': 0.2}}",
        ),
    ],
)
def test_bad_dict(mapping, error, match):
    with pytest.raises(error, match=match):
        fit_with_matrix(mapping)


@pytest.mark.parametrize(
    "mapping",
    [
        {"a": {"a": 0.8, "b": 0.3}, "b": {"a": 0.2, "b": 0.7}, "c": {"c": 1.0}},
        {"a": {"a": 0.8, "b": 0.3}, "b": {"a": 0.2, "b": 0.7}},
    ],
)
def test_cleanlab_orientation_is_recognised_in_a_dict(mapping):
    with pytest.raises(ValueError, match=r"cleanlab's noise_matrix .*; pass its transpose"):
        fit_with_matrix(mapping)
    transposed = {}
    for given_label, row in mapping.items():
        for true_label, value in row.items():
            transposed.setdefault(true_label, {})[given_label] = value
    assert_allclose(fit_with_matrix(transposed).transition_matrix_.sum(axis=1), 1)


@pytest.mark.parametrize(
    "mapping",
    [
        {"a": {"b": 0.6, "c": 0.6}},
        {"b": {"a": 0.6, "c": 0.6}, "a": {"a": 0.4}},
        {"a": {"a": 0.5, "b": 0.2}, "b": {"a": 0.5}},
    ],
)
def test_a_dict_without_diagonals_may_be_wrong_in_two_ways(mapping):
    match = "; correct these sums, or, if the outer keys are given labels, transpose the dict.$"
    with pytest.raises(ValueError, match=match):
        fit_with_matrix(mapping)


@pytest.mark.parametrize(
    "matrix",
    [
        [[1.2, -0.2, 0], [-0.2, 1.2, 0.2], [0, 0, 0.8]],  # columns that sum to 1, but for the sign
        [[0.5, -0.5, 0], [0.5, 1.5, 0], [0, 0, 1]],
        {"a": {"b": -0.5, "c": 1.75}},
        {"a": {"b": 0.6, "c": 1.2}},
    ],
)
def test_plain_mistakes_are_not_taken_for_the_other_orientation(matrix):
    match = "; make the probabilities of each true class non-negative, with sum 1: none is resc"
    with pytest.raises(ValueError, match=match):
        fit_with_matrix(matrix)
