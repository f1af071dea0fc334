"""ClassImbalance: class sizes against the profile's formula, order, seeds, complaints."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.base import clone

from sampler_cases import unbalance, wanted_sizes
from skgdw.corruption import ClassImbalance

seeds = st.integers(0, 2**32 - 1)
profiles = st.sampled_from(["exp", "step"])
class_counts = st.lists(st.integers(1, 60), min_size=2, max_size=8)


@settings(max_examples=100)
@given(class_counts, profiles, st.floats(1, 1e12), st.randoms(use_true_random=False), seeds)
def test_no_class_is_lost_whatever_the_order(counts, profile, ratio, random, seed):
    order = random.sample(range(len(counts)), len(counts))
    for class_order in (order, "random"):
        imbalance, y, rows, y_kept = unbalance(
            counts,
            profile=profile,
            imbalance_ratio=ratio,
            class_order=class_order,
            random_state=seed,
        )
        from_head = imbalance.class_order_.tolist()
        assert sorted(from_head) == list(range(len(counts)))
        if class_order is order:
            assert from_head == order
        sizes = np.bincount(y_kept, minlength=len(counts))
        assert sizes.min() >= 1
        wanted = wanted_sizes(profile, sizes[from_head[0]], ratio, len(counts))
        assert sizes[from_head].tolist() == wanted
        assert_array_equal(y_kept, y[rows])


@pytest.mark.parametrize(
    "order", [["b", "c", "a"], np.array(["b", "c", "a"], dtype=object), ("b", "c", "a")]
)
def test_class_order_runs_from_head_to_tail(order):
    y = ["a", "b", "c"] * 16
    imbalance = ClassImbalance(imbalance_ratio=16, class_order=order, random_state=0)
    imbalance.fit_resample(np.zeros(48), y)
    assert imbalance.sampling_strategy_ == {"a": 1, "b": 16, "c": 4}
    assert imbalance.class_order_.tolist() == ["b", "c", "a"]


def test_random_class_order_depends_on_the_seed_alone():
    counts = [64] * 6
    orders = []
    for seed in range(6):
        imbalance, *_ = unbalance(counts, class_order="random", random_state=seed)
        assert sorted(imbalance.class_order_) == list(range(6))
        sizes = [imbalance.sampling_strategy_[k] for k in imbalance.class_order_.tolist()]
        assert sizes == wanted_sizes("exp", 64, 10, 6)
        again, *_ = unbalance(counts, class_order="random", random_state=seed)
        assert_array_equal(again.sample_indices_, imbalance.sample_indices_)
        orders.append(tuple(imbalance.class_order_))
    assert len(set(orders)) > 1


@settings(max_examples=30)
@given(class_counts, profiles, seeds)
def test_same_seed_same_rows(counts, profile, seed):
    imbalance, y, rows, _ = unbalance(counts, profile=profile, random_state=seed)
    again, _ = clone(imbalance).fit_resample(np.arange(len(y)), y)
    assert_array_equal(again, rows)


@given(st.floats(1, 50), st.floats(1, 50), seeds)
@settings(max_examples=30)
def test_rows_kept_at_a_high_ratio_are_kept_at_a_lower_one(ratio, other, seed):
    low, high = sorted([ratio, other])
    rows = [set(unbalance([30] * 4, imbalance_ratio=r, random_state=seed)[2]) for r in (low, high)]
    assert rows[1] <= rows[0]


def test_another_seed_other_rows():
    rows = [unbalance([50] * 3, random_state=seed)[2] for seed in (0, 1)]
    assert rows[0].tolist() != rows[1].tolist()


@pytest.mark.parametrize("seed", [0, None])
def test_global_random_state_is_left_alone(seed):
    before = np.random.get_state()  # noqa: NPY002 (the state under test)
    unbalance([50] * 3, class_order="random", random_state=seed)
    after = np.random.get_state()  # noqa: NPY002
    assert_array_equal(after[1], before[1])
    assert after[2] == before[2]


@pytest.mark.parametrize(
    ("params", "error", "match"),
    [
        ({"profile": "linear"}, ValueError, r"`profile` must be one of \['exp', 'step'\]; got 'li"),
        ({"profile": None}, ValueError, "`profile` must be one of .*got None"),
        (
            {"imbalance_ratio": 0.01},
            ValueError,
            r"got 0.01; that is min/max \(imb_factor\); pass 1/value = 100\.",
        ),
        ({"imbalance_ratio": 0}, ValueError, "`imbalance_ratio` must be finite and .*; got 0.0;"),
        ({"imbalance_ratio": -3}, ValueError, "at least 1; got -3.0;"),
        ({"imbalance_ratio": math.inf}, ValueError, "must be finite and at least 1; got inf;"),
        ({"imbalance_ratio": math.nan}, ValueError, "must be finite and at least 1; got nan;"),
        ({"imbalance_ratio": "10"}, TypeError, "`imbalance_ratio` must be a number; got '10';"),
        ({"imbalance_ratio": True}, TypeError, "`imbalance_ratio` must be a number; got True;"),
        (
            {"class_order": [2, 2, 7]},
            ValueError,
            r"got missing \[0, 1\]; unknown \[7\]; repeated \[2\]; order the classes \[0, 1, 2\]",
        ),
        ({"class_order": ["0", "1", "2"]}, ValueError, r"missing \[0, 1, 2\]; unknown \['0', "),
        ({"class_order": "shuffle"}, ValueError, "must be None, 'random' or .*got 'shuffle';"),
        ({"class_order": 3}, ValueError, "must be None, 'random' or .*got 3;"),
        (
            {"class_order": np.array("random")},
            ValueError,
            r"; got array\('random', .*\); order the",
        ),
        ({"class_order": np.array(2)}, ValueError, r"must be None, .*; got array\(2\); order the"),
        (
            {"sampling_strategy": 0.5},
            TypeError,
            "must be None, a dict .*; got 0.5; pass a dict, or",
        ),
        ({"sampling_strategy": "auto"}, TypeError, "`sampling_strategy` must .*; got 'auto';"),
        (
            {"sampling_strategy": lambda y: [1, 1]},
            TypeError,
            r"must return a dict .*; got \[1, 1\]; return for instance \{0: 10\}",
        ),
        (
            {"sampling_strategy": {0: 3, "x": 1, 1: 0, 2: -1}},
            ValueError,
            r"from 1 to as many .*; got 3 for 0 with 2 rows; unknown class 'x'; 0 for 1 with 2 rows"
            r"; -1 for 2 with 2 rows; choose at most \{0: 2, 1: 2, 2: 2\}, or leave classes out",
        ),
        (
            {"sampling_strategy": lambda y: {0: 1.0, 1: True, 2: "1"}},
            ValueError,
            "got 1.0, no integer, for 0; True, no integer, for 1; '1', no integer, for 2; choose",
        ),
    ],
)
def test_parameters_are_checked_when_used(params, error, match):
    imbalance = ClassImbalance(**params)
    for method in (imbalance.fit, imbalance.fit_resample):
        with pytest.raises(error, match=match):
            method(np.zeros(6), [0, 1, 2] * 2)
