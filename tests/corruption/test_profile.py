"""Profiles of class sizes: the formula of each, as large as the classes allow."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from sampler_cases import unbalance, wanted_sizes

seeds = st.integers(0, 2**32 - 1)
profiles = st.sampled_from(["exp", "step"])
class_counts = st.lists(st.integers(1, 60), min_size=2, max_size=8)
ratios = st.floats(1, 200)


@settings(max_examples=100)
@given(class_counts, profiles, ratios, seeds)
def test_sizes_follow_the_profile_as_large_as_they_can(counts, profile, ratio, seed):
    imbalance, y, rows, y_kept = unbalance(
        counts, profile=profile, imbalance_ratio=ratio, random_state=seed
    )
    kept = np.bincount(y_kept, minlength=len(counts)).tolist()
    assert kept == wanted_sizes(profile, kept[0], ratio, len(counts))
    one_more = wanted_sizes(profile, kept[0] + 1, ratio, len(counts))
    assert any(size > count for size, count in zip(one_more, counts, strict=True))

    assert imbalance.sampling_strategy_ == dict(enumerate(kept))
    assert imbalance.imbalance_ratio_ == max(kept) / min(kept)
    assert_array_equal(imbalance.class_order_, np.arange(len(counts)))
    assert_array_equal(imbalance.sample_indices_, rows)
    assert (np.diff(rows) > 0).all()
    assert_array_equal(y_kept, y[rows])


@given(st.integers(1, 60), st.integers(2, 8), profiles, ratios)
def test_head_of_balanced_classes_keeps_all_rows(n, n_classes, profile, ratio):
    imbalance, *_ = unbalance([n] * n_classes, profile=profile, imbalance_ratio=ratio)
    assert imbalance.sampling_strategy_[0] == n
    assert min(imbalance.sampling_strategy_.values()) >= 1


@pytest.mark.parametrize(
    ("profile", "counts", "ratio", "expected"),
    [
        ("exp", [100] * 3, 100, [100, 10, 1]),
        ("exp", [100, 100], 8, [100, 13]),  # 12.5 goes up
        ("exp", [24] * 6, 32, [24, 12, 6, 3, 2, 1]),  # 1.5 too, though computed as 1.4999...
        ("exp", [30] * 5 + [1], 32, [30, 15, 8, 4, 2, 1]),
        ("exp", [100] * 4 + [1, 9], 32, [23, 12, 6, 3, 1, 1]),  # a head of 24 would ask for 2
        ("step", [100] * 5, 10, [100, 100, 100, 10, 10]),
        ("step", [100] * 4, 10, [100, 100, 10, 10]),
        ("exp", [1000, 1000, 5], 100, [549, 55, 5]),  # a small tail scales all down
        ("exp", [20, 1000, 1000], 100, [20, 2, 1]),  # a small head too; no class is lost
        ("exp", [5, 5, 5], 1, [5, 5, 5]),
    ],
)
def test_known_sizes(profile, counts, ratio, expected):
    imbalance, *_ = unbalance(counts, profile=profile, imbalance_ratio=ratio, random_state=0)
    assert list(imbalance.sampling_strategy_.values()) == expected
