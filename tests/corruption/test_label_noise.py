"""LabelNoise: realised noise against the matrix, exact counts, seeds, warnings."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.base import clone

from sampler_cases import corrupt_labels as corrupt
from sampler_cases import labels_of
from skgdw.corruption import LabelNoise, transition_matrix
from skgdw.exceptions import NoiseNotLearnableWarning

seeds = st.integers(0, 2**32 - 1)
kinds = st.sampled_from(["pair", "symmetric", "uniform"])
class_counts = st.lists(st.integers(1, 40), min_size=2, max_size=8)
learnable_rates = st.floats(0, 0.45)


@settings(max_examples=30)
@given(kinds, st.integers(2, 6), learnable_rates, seeds)
def test_drawn_noise_follows_the_matrix(kind, n_classes, rate, seed):
    n = 3000
    y = labels_of([n] * n_classes)
    _, y_noisy = corrupt(y, kind=kind, noise_rate=rate, random_state=seed)
    expected = transition_matrix(kind, n_classes, rate)
    for i in range(n_classes):
        realised = np.bincount(y_noisy[y == i], minlength=n_classes) / n
        # Seven standard deviations of a binomial share, and a row for the smallest shares.
        bound = 7 * np.sqrt(expected[i] * (1 - expected[i]) / n) + 7 / n * (expected[i] > 0)
        assert (abs(realised - expected[i]) <= bound + 1e-12).all()


@settings(max_examples=60)
@given(class_counts, kinds, learnable_rates, seeds)
def test_attributes_say_what_was_done(counts, kind, rate, seed):
    y = labels_of(counts)
    noise, y_noisy = corrupt(y, kind=kind, noise_rate=rate, random_state=seed)
    assert_array_equal(noise.classes_, np.arange(len(counts)))
    assert_array_equal(noise.noise_mask_, y_noisy != y)
    assert noise.noise_mask_.dtype == bool
    assert noise.noise_rate_ == (y_noisy != y).mean()
    assert_array_equal(noise.sample_indices_, np.arange(len(y)))
    assert noise.sampling_strategy_ == {k: (y_noisy == k).sum() for k in range(len(counts))}
    assert_array_equal(noise.transition_matrix_, transition_matrix(kind, len(counts), rate))


def given_and_expected(y, exact_noise, y_noisy):
    """Numbers of changed labels by true and given class, as they are and as the matrix has them."""
    n_classes = len(exact_noise.classes_)
    counts = np.zeros((n_classes, n_classes), dtype=int)
    np.add.at(counts, (y, y_noisy), 1)
    expected = np.bincount(y)[:, None] * exact_noise.transition_matrix_
    is_other = ~np.eye(n_classes, dtype=bool)
    return counts * is_other, expected * is_other


def test_no_label_is_passed_over_in_one_class_after_the_other():
    n_classes = 60
    matrix = 0.9 * np.eye(n_classes)
    for i in range(n_classes):  # one change in each class, for which the first label is likelier
        matrix[i, [j for j in range(3) if j != i][:2]] = 0.06, 0.04
    y = labels_of([10] * n_classes)
    noise, y_noisy = corrupt(y, transition_matrix=matrix, exact=True, random_state=0)
    changes, expected = given_and_expected(y, noise, y_noisy)
    assert (changes.sum(axis=1) == 1).all()
    assert abs(changes.sum(axis=0) - expected.sum(axis=0)).max() < 1


@pytest.mark.parametrize("exact", [False, True])
def test_labels_without_a_chance_are_never_given(exact):
    matrix = [[0.6, 0.4, 0.0], [0.0, 0.6, 0.4], [0.0, 0.0, 1.0]]
    y = labels_of([500] * 3)
    _, y_noisy = corrupt(y, transition_matrix=matrix, exact=exact, random_state=0)
    given_labels = np.array([np.bincount(y_noisy[y == i], minlength=3) for i in range(3)])
    assert_array_equal(given_labels > 0, np.array(matrix) > 0)


@pytest.mark.parametrize("exact", [False, True])
def test_matrix_of_ones_maps_every_row(exact):
    y = labels_of([7, 5, 9])
    swap = [[0, 1, 0], [1, 0, 0], [0, 0, 1]]
    with pytest.warns(NoiseNotLearnableWarning):
        noise, y_noisy = corrupt(y, transition_matrix=swap, exact=exact, random_state=0)
    assert_array_equal(y_noisy, np.array([1, 0, 2])[y])
    assert noise.noise_rate_ == 12 / 21


@pytest.mark.parametrize("exact", [False, True])
def test_no_noise_changes_nothing(exact):
    y = labels_of([30] * 4)
    noise, y_noisy = corrupt(y, noise_rate=0.0, exact=exact, random_state=0)
    assert_array_equal(y_noisy, y)
    assert noise.noise_rate_ == 0.0


@settings(max_examples=30)
@given(class_counts, kinds, learnable_rates, seeds, st.booleans())
def test_same_seed_same_labels(counts, kind, rate, seed, exact):
    y = labels_of(counts)
    params = {"kind": kind, "noise_rate": rate, "exact": exact}
    noise, first = corrupt(y, **params, random_state=seed)
    _, again = clone(noise).fit_resample(np.zeros((len(y), 1)), y)
    assert_array_equal(first, again)
    states = (np.random.RandomState(seed) for _ in range(2))
    drawn, drawn_again = (corrupt(y, **params, random_state=state)[1] for state in states)
    assert_array_equal(drawn, drawn_again)


@settings(max_examples=30)
@given(kinds, st.floats(0, 0.4), st.floats(0, 0.4), seeds)
def test_rows_changed_at_a_low_rate_are_changed_at_a_higher_one(kind, rate, other, seed):
    y = labels_of([60] * 5)
    low, high = sorted([rate, other])
    masks = [
        corrupt(y, kind=kind, noise_rate=r, random_state=seed)[0].noise_mask_ for r in (low, high)
    ]
    assert not (masks[0] & ~masks[1]).any()


@settings(max_examples=100)
@given(class_counts, kinds, learnable_rates, learnable_rates, seeds)
def test_so_they_are_in_exact_numbers_but_for_a_row_per_class(counts, kind, rate, other, seed):
    y = labels_of(counts)
    low, high = (
        corrupt(y, kind=kind, noise_rate=r, exact=True, random_state=seed)[0].noise_mask_
        for r in sorted([rate, other])
    )
    assert np.bincount(y[low & ~high], minlength=1).max() <= 1


@pytest.mark.parametrize("exact", [False, True])
def test_every_row_is_as_likely_to_change(exact):
    y = labels_of([10] * 4)
    n_seeds = 400
    masks = [
        corrupt(y, kind="pair", noise_rate=0.3, exact=exact, random_state=seed)[0].noise_mask_
        for seed in range(n_seeds)
    ]
    deviation = np.mean(masks, axis=0) - 0.3
    assert abs(deviation).max() < 5 * np.sqrt(0.3 * 0.7 / n_seeds)


@pytest.mark.parametrize("kind", ["uniform", "flip2"])
@pytest.mark.parametrize("seed", [0, None])
def test_global_random_state_is_left_alone(kind, seed):
    y = labels_of([50] * 4)
    np.random.seed(3)  # noqa: NPY002 (the state under test)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first = corrupt(y, kind=kind, random_state=seed)[1]
    assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    np.random.seed(3)  # noqa: NPY002
    same = (corrupt(y, kind=kind, random_state=seed)[1] == first).all()
    assert same == (seed is not None)


@pytest.mark.parametrize(
    ("params", "error", "match"),
    [
        ({"kind": "flips"}, ValueError, "`kind` must be one of"),
        ({"noise_rate": 1.1}, ValueError, "`noise_rate` must lie in"),
        ({"noise_rate": None}, TypeError, "`noise_rate` must be a number; got None"),
        ({"exact": "yes"}, TypeError, "`exact` must be a bool; got 'yes'; pass True or False"),
        ({"transition_matrix": np.eye(4)}, ValueError, "`transition_matrix` must have shape"),
    ],
)
def test_parameters_are_checked_when_used(params, error, match):
    noise = LabelNoise(**params)
    for method in (noise.fit, noise.fit_resample):
        with pytest.raises(error, match=match):
            method(np.zeros(6), [0, 1, 2] * 2)


def test_kind_and_rate_are_ignored_beside_a_matrix():
    _, y = corrupt(labels_of([3, 3]), kind="?", noise_rate=7, transition_matrix=np.eye(2))
    assert_array_equal(y, labels_of([3, 3]))


# --- flips ----------------------------------------------------------------------------------------

flips = pytest.mark.parametrize("kind", ["flip1", "flip2"])


@flips
@pytest.mark.parametrize("exact", [False, True])
def test_flips_go_to_the_same_classes_at_every_rate(kind, exact):
    y = labels_of([200] * 6)
    low, high = (
        corrupt(y, kind=kind, noise_rate=rate, exact=exact, random_state=4)[0]
        for rate in (0.2, 0.4)
    )
    assert_array_equal(low.transition_matrix_ > 0, high.transition_matrix_ > 0)
    expected = transition_matrix(kind, 6, 0.4, random_state=4)
    assert_array_equal(high.transition_matrix_, expected)
    other = corrupt(y, kind=kind, noise_rate=0.4, random_state=5)[0]
    assert (other.transition_matrix_ != expected).any()
    if not exact:
        assert not (low.noise_mask_ & ~high.noise_mask_).any()


@flips
def test_flips_give_the_labels_in_the_matrix(kind):
    y = labels_of([50] * 5)
    noise, y_noisy = corrupt(y, kind=kind, noise_rate=0.4, exact=True, random_state=0)
    counts = np.array([np.bincount(y_noisy[y == i], minlength=5) for i in range(5)])
    assert_array_equal(counts, np.round(50 * noise.transition_matrix_).astype(int))
    assert noise.noise_rate_ == 0.4


@flips
def test_fit_takes_nothing_from_a_generator(kind):
    X, y = np.zeros(90), labels_of([30] * 3)
    outputs = []
    for fits_first in (False, True):
        noise = LabelNoise(kind=kind, random_state=np.random.RandomState(6))
        if fits_first:
            matrix = noise.fit(X, y).transition_matrix_
        outputs.append(noise.fit_resample(X, y)[1])
    assert_array_equal(outputs[0], outputs[1])
    assert_array_equal(noise.transition_matrix_, matrix)
    seeded = LabelNoise(kind=kind, random_state=6).fit(X, y)
    assert_array_equal(seeded.transition_matrix_, matrix)
    seeded.fit_resample(X, y)
    assert_array_equal(seeded.transition_matrix_, matrix)
    # The generator goes on, as with the other kinds.
    assert (noise.fit_resample(X, y)[1] != outputs[0]).any()


def test_flip2_needs_three_classes():
    noise = LabelNoise(kind="flip2")
    for method in (noise.fit, noise.fit_resample):
        with pytest.raises(ValueError, match="at least 3 for the kind 'flip2'; got 2; use 'flip1'"):
            method(np.zeros(6), ["a", "b"] * 3)
