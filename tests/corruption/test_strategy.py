"""Class sizes that are asked for one by one: given exactly, and every complaint about them."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from imblearn.datasets import make_imbalance
from numpy.testing import assert_array_equal
from sklearn.base import clone

from sampler_cases import unbalance
from skgdw.corruption import ClassImbalance

seeds = st.integers(0, 2**32 - 1)
class_counts = st.lists(st.integers(1, 60), min_size=2, max_size=8)


@settings(max_examples=100)
@given(class_counts, st.data(), st.booleans(), seeds)
def test_sizes_asked_for_are_given(counts, data, is_callable, seed):
    asked = {
        np.int64(k): data.draw(st.integers(1, n))
        for k, n in enumerate(counts)
        if data.draw(st.booleans())
    }
    imbalance, y, rows, y_kept = unbalance(
        counts, sampling_strategy=(lambda y: asked) if is_callable else asked, random_state=seed
    )
    sizes = [asked.get(k, n) for k, n in enumerate(counts)]
    assert np.bincount(y_kept, minlength=len(counts)).tolist() == sizes
    assert imbalance.sampling_strategy_ == dict(enumerate(sizes))
    assert imbalance.imbalance_ratio_ == max(sizes) / min(sizes)
    by_size = sorted(range(len(counts)), key=lambda k: -sizes[k])
    assert imbalance.class_order_.tolist() == by_size
    assert_array_equal(imbalance.sample_indices_, rows)
    assert (np.diff(rows) > 0).all()
    assert_array_equal(y_kept, y[rows])


def test_profile_ratio_and_order_are_ignored_beside_a_strategy():
    imbalance = ClassImbalance(
        profile="?", imbalance_ratio=0, class_order="?", sampling_strategy={"b": 2}, random_state=0
    )
    imbalance.fit_resample(np.zeros(12), ["a", "b", "c"] * 4)
    assert imbalance.sampling_strategy_ == {"a": 4, "b": 2, "c": 4}
    assert imbalance.class_order_.tolist() == ["a", "c", "b"]


def test_the_callable_gets_the_labels():
    seen = []

    def halve(y):
        seen.append(y)
        labels, counts = np.unique(y, return_counts=True)
        return dict(zip(labels, counts // 2, strict=True))

    y = ["a", "b", "b", "a", "b", "b"]
    imbalance = ClassImbalance(sampling_strategy=halve, random_state=0)
    _, y_kept = imbalance.fit_resample(np.zeros(6), y)
    assert sorted(y_kept) == ["a", "b", "b"]
    assert_array_equal(seen, [y])
    assert clone(imbalance).sampling_strategy is halve


def test_the_strategy_is_a_parameter_like_others():
    asked = {0: 3}
    imbalance = ClassImbalance().set_params(sampling_strategy=asked)
    assert clone(imbalance).get_params()["sampling_strategy"] == asked
    imbalance.fit_resample(np.zeros(20), [0, 1] * 10)
    assert imbalance.sampling_strategy is asked
    assert asked == {0: 3}


def test_rows_kept_for_a_small_number_are_kept_for_a_larger_one():
    few, many = (
        unbalance([40, 40, 40], sampling_strategy={0: n, 2: 50 - n}, random_state=0)[2:]
        for n in (10, 20)
    )
    for label, (fewer, more) in {0: (few, many), 2: (many, few), 1: (few, many)}.items():
        assert set(fewer[0][fewer[1] == label]) <= set(more[0][more[1] == label])


def test_sizes_are_those_of_make_imbalance():
    X, y = np.arange(90.0).reshape(90, 1), np.arange(90) % 3
    asked = {0: 5, 2: 11}
    _, y_theirs = make_imbalance(X, y, sampling_strategy=asked, random_state=0)
    _, y_ours = ClassImbalance(sampling_strategy=asked, random_state=0).fit_resample(X, y)
    assert_array_equal(np.bincount(y_ours), np.bincount(y_theirs))
