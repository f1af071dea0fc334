"""ClassImbalance: class sizes against the profile's formula, order, seeds, complaints."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imblearn.datasets import make_imbalance
from numpy.testing import assert_array_equal
from sklearn.base import clone

from skgdw.corruption import ClassImbalance

seeds = st.integers(0, 2**32 - 1)
profiles = st.sampled_from(["exp", "step"])
class_counts = st.lists(st.integers(1, 60), min_size=2, max_size=8)
ratios = st.floats(1, 200)


def wanted_sizes(profile, n_max, ratio, n_classes):
    sizes = []
    for k in range(n_classes):
        if profile == "exp":
            size = n_max / ratio ** (k / (n_classes - 1))
        else:
            size = n_max if k < math.ceil(n_classes / 2) else n_max / ratio
        # 24 / 32**0.8 is 1.5, whatever floating point makes of it.
        sizes.append(max(1, math.floor(round(size, 9) + 0.5)))
    return sizes


def unbalance(counts, **params):
    y = np.random.RandomState(0).permutation(np.repeat(np.arange(len(counts)), counts))
    imbalance = ClassImbalance(**params)
    rows, y_kept = imbalance.fit_resample(np.arange(len(y)), y)
    return imbalance, y, rows, y_kept


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


# --- sizes asked for ------------------------------------------------------------------------------


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
