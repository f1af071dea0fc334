"""The rows of a class-balanced meta set: sizes, balance, halves, seeds."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from skgdw._intake._balanced import balanced_meta_indices

seeds = st.integers(0, 2**32 - 1)
class_counts = st.lists(st.integers(0, 40), min_size=1, max_size=8).filter(lambda c: max(c) > 1)


def labels_of(counts):
    return np.random.RandomState(0).permutation(np.repeat(np.arange(len(counts)), counts))


def spread_one_by_one(counts, n_meta):
    """The slow way: give rows one at a time to the class that has given least, while it may."""
    quota = [0] * len(counts)
    for _ in range(n_meta):
        free = [k for k, count in enumerate(counts) if quota[k] < count // 2]
        if not free:
            break
        k = min(free, key=lambda k: (quota[k], -(counts[k] // 2), k))
        quota[k] += 1
    return quota


@settings(max_examples=200)
@given(class_counts, st.integers(8, 200), seeds)
def test_rows_are_spread_evenly_within_the_halves(counts, n_meta, seed):
    codes = labels_of(counts)
    meta = balanced_meta_indices(codes, len(counts), n_meta, seed)
    assert (np.diff(meta) > 0).all()
    taken = np.bincount(codes[meta], minlength=len(counts))
    assert taken.tolist() == spread_one_by_one(counts, n_meta)
    assert len(meta) == min(n_meta, sum(count // 2 for count in counts))
    assert all(t == 0 or t < count for t, count in zip(taken, counts, strict=True))


@settings(max_examples=100)
@given(st.integers(2, 6), st.integers(10, 40), st.floats(0.001, 0.4), seeds)
def test_share_is_rounded_up_and_to_a_row_per_class(n_classes, n, share, seed):
    codes = labels_of([n] * n_classes)
    meta = balanced_meta_indices(codes, n_classes, share, seed)
    assert len(meta) == max(n_classes, math.ceil(round(share * n * n_classes, 9)))
    taken = np.bincount(codes[meta])
    assert taken.max() - taken.min() <= 1


def test_share_that_rounding_lifts_over_an_integer():
    assert 0.07 * 100 > 7
    assert len(balanced_meta_indices(labels_of([50, 50]), 2, 0.07, 0)) == 7


@settings(max_examples=50)
@given(class_counts, st.integers(8, 100), st.integers(8, 100), seeds)
def test_smaller_meta_set_is_part_of_a_larger_one(counts, n_meta, other, seed):
    codes = labels_of(counts)
    small, large = (
        set(balanced_meta_indices(codes, len(counts), n, seed).tolist())
        for n in sorted([n_meta, other])
    )
    assert small <= large


def test_classes_without_rows_do_not_raise_the_least_size():
    codes = np.array([0, 0, 2, 2])
    assert len(balanced_meta_indices(codes, 50, 2, 0)) == 2
