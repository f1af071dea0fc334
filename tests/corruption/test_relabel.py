"""When label noise hides the truth, by definition, and who is told."""

import re
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampler_cases import corrupt_labels as corrupt
from sampler_cases import labels_of
from skgdw.corruption import LabelNoise
from skgdw.exceptions import NoiseNotLearnableWarning

seeds = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"kind": "pair", "noise_rate": 0.5}, r"\['a', 'b', 'c'\]"),
        ({"kind": "uniform", "noise_rate": 1.0}, r"\['a', 'b', 'c'\]"),
        ({"kind": "symmetric", "noise_rate": 2 / 3}, r"\['a', 'b', 'c'\]"),
        ({"transition_matrix": [[1, 0, 0], [0.6, 0.4, 0], [0, 0, 1]]}, r"\['b'\]"),
    ],
)
def test_hidden_truth_is_warned_of_at_the_caller(params, named):
    y = ["a", "b", "c"] * 5
    name, remedy = "noise_rate", "lower the noise rate"
    if "transition_matrix" in params:
        name, remedy = "transition_matrix", "lower the probabilities of wrong labels"
    match = f"^`{name}` must give .* for {named}; {remedy}.$"
    with pytest.warns(NoiseNotLearnableWarning, match=match) as record:
        LabelNoise(**params, random_state=0).fit_resample(np.zeros(15), y)
    assert len(record) == 1
    assert record[0].filename == __file__


OFTEN_GIVEN = [[0.4, 0.3, 0.3], [0.45, 0.5, 0.05], [0, 0, 1]]


@pytest.mark.parametrize(
    ("matrix", "counts", "named"),
    [
        (OFTEN_GIVEN, [20, 960, 20], [0]),
        (OFTEN_GIVEN, [400, 300, 300], None),
        # Without the rows of class 2, nobody is left who gets label 0 less often.
        (OFTEN_GIVEN, [20, 60, 0], [0]),
        # A tie, by rounding just above.
        ([[0.4, 0.3, 0.3], [0.45, 0.5, 0.05], [0.35, 0.1, 0.55]], [3, 3, 3], [0]),
        # One class of each kind.
        ([[0.4, 0.3, 0.3], [0.5, 0.5, 0], [0, 0, 1]], [20, 960, 20], [0, 1]),
        # A class alone is given its label as often as all rows are.
        (OFTEN_GIVEN, [0, 60, 0], None),
    ],
)
@pytest.mark.parametrize("exact", [False, True])
def test_labels_given_to_other_classes_as_often_are_warned_of(matrix, counts, named, exact):
    y = np.repeat(np.arange(3), np.maximum(counts, 1))
    # The rows that keep a class in y are trusted, and not counted.
    trusted = np.isin(y, np.flatnonzero(np.array(counts) == 0))
    noise = LabelNoise(transition_matrix=matrix, exact=exact, random_state=0)
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        noise.fit_resample(np.zeros(len(y)), y, meta_mask=trusted)
    words = f"rows of other classes get it, .*; got as often or less for {re.escape(str(named))}; l"
    assert len(record) == (named is not None)
    assert all(re.search(words, str(entry.message)) for entry in record)


@given(seed=seeds, n_classes=st.integers(2, 5))
def test_hidden_truth_is_what_the_definitions_say(seed, n_classes):
    rng = np.random.default_rng(seed)
    matrix = rng.dirichlet(np.ones(n_classes), n_classes) + np.eye(n_classes) * rng.random()
    matrix /= matrix.sum(axis=1, keepdims=True)
    y = np.repeat(np.arange(n_classes), rng.integers(1, 30, n_classes))
    joint = np.bincount(y)[:, None] / len(y) * matrix
    hidden = [
        k
        for k in range(n_classes)
        if joint[k].argmax() != k or joint[k, k] <= joint[k].sum() * joint[:, k].sum()
    ]
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        corrupt(y, transition_matrix=matrix, random_state=0)
    assert [f"less for {hidden};" in str(entry.message) for entry in record] == [True] * bool(
        hidden
    )


@pytest.mark.parametrize(
    "params", [{"kind": "pair", "noise_rate": 0.49}, {"noise_rate": 0.99}, {"noise_rate": 0.0}]
)
def test_learnable_noise_is_not_warned_of(params):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        corrupt(labels_of([5] * 3), **params, random_state=0)


@pytest.mark.parametrize(("kind", "limit"), [("flip1", 0.5), ("flip2", 2 / 3)])
def test_flips_hide_the_truth_from_some_rate_on(kind, limit):
    y = labels_of([5] * 4)
    corrupt(y, kind=kind, noise_rate=limit - 0.01, random_state=0)
    with pytest.warns(NoiseNotLearnableWarning, match=r"for \[0, 1, 2, 3\]; lower"):
        corrupt(y, kind=kind, noise_rate=limit, random_state=0)
