"""Exact numbers of rows: rounded as a whole, and every class gets its share."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sampler_cases import corrupt_labels as corrupt
from sampler_cases import labels_of

seeds = st.integers(0, 2**32 - 1)
class_counts = st.lists(st.integers(1, 40), min_size=2, max_size=8)
learnable_rates = st.floats(0, 0.45)


def given_and_expected(y, exact_noise, y_noisy):
    """Numbers of changed labels by true and given class, as they are and as the matrix has them."""
    n_classes = len(exact_noise.classes_)
    counts = np.zeros((n_classes, n_classes), dtype=int)
    np.add.at(counts, (y, y_noisy), 1)
    expected = np.bincount(y)[:, None] * exact_noise.transition_matrix_
    is_other = ~np.eye(n_classes, dtype=bool)
    return counts * is_other, expected * is_other


@settings(max_examples=100)
@given(class_counts, st.sampled_from(["pair", "symmetric", "uniform", None]), st.data(), seeds)
def test_exact_numbers_are_rounded_as_a_whole_and_then_by_class(counts, kind, data, seed):
    y = labels_of(counts)
    if kind is None:
        weights = arrays(float, (len(counts),) * 2, elements=st.sampled_from([0, 0.01, 0.1, 1]))
        matrix = data.draw(weights) + len(counts) * np.eye(len(counts))
        params = {"transition_matrix": matrix / matrix.sum(axis=1, keepdims=True)}
    else:
        params = {"kind": kind, "noise_rate": data.draw(learnable_rates)}
    noise, y_noisy = corrupt(y, **params, exact=True, random_state=seed)
    changes, expected = given_and_expected(y, noise, y_noisy)
    assert changes.sum() == np.floor(round(expected.sum(), 9) + 0.5)
    assert (abs(changes - expected) < 1).all()
    assert not changes[expected == 0].any()

    of_class, shares = changes.sum(axis=1), expected.sum(axis=1)
    over = of_class - np.floor(shares + 1e-9)
    assert set(over.tolist()) <= {0, 1}
    remainders = shares - np.floor(shares + 1e-9)
    if 0 < over.sum() < len(counts):
        assert remainders[over == 1].min() >= remainders[over == 0].max() - 1e-8


@pytest.mark.parametrize(("kind", "n_changed"), [("symmetric", 30), ("uniform", 30), ("pair", 30)])
def test_classes_of_a_few_rows_get_their_share_of_exact_noise(kind, n_changed):
    y = labels_of([3] * 100)
    noise, _ = corrupt(y, kind=kind, noise_rate=0.1, exact=True, random_state=0)
    assert noise.noise_mask_.sum() == n_changed  # "uniform": of 29.7
    assert np.bincount(y[noise.noise_mask_]).max() == 1
    # Which ones is drawn: not always the first classes, nor those of another seed.
    assert (np.unique(y[noise.noise_mask_]) >= 50).any()
    other, _ = corrupt(y, kind=kind, noise_rate=0.1, exact=True, random_state=1)
    assert (other.noise_mask_ != noise.noise_mask_).any()


def test_exact_noise_gives_the_rate_asked_for_in_small_classes():
    y = labels_of([10] * 100)
    noise, y_noisy = corrupt(y, kind="symmetric", noise_rate=0.2, exact=True, random_state=0)
    assert noise.noise_rate_ == 0.2
    # Two rows of each class go to two of 99 labels, all equally likely: not always the next ones.
    assert len(np.unique((y_noisy - y)[noise.noise_mask_] % 100)) > 50
