"""InstanceDependentNoise: the algorithm row by row, its rates, what of X matters, complaints."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.stats import kstest, truncnorm
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from classifier_cases import blobs
from corruption_cases import FOLDS, MASK, N
from sampler_cases import corrupt_rows as corrupt
from sampler_cases import table
from skgdw.corruption import (
    CorruptedClassifier,
    InstanceDependentNoise,
    _instance_noise,
)
from skgdw.exceptions import NoiseNotLearnableWarning

seeds = st.integers(0, 2**32 - 1)
rates = st.floats(0, 0.45)
stds = st.floats(0, 0.3)
class_counts = st.lists(st.integers(1, 40), min_size=3, max_size=6)
booleans = pytest.mark.parametrize("exact", [False, True])


def by_hand(X, y, rate, std, seed):
    """Rates, probabilities (n, c) and labels of one row after the other."""
    n, n_classes = len(y), y.max() + 1
    generator = np.random.RandomState(seed)
    level, threshold, pick = generator.random_sample((3, n))
    generator.permutation(n_classes)
    weights = [
        np.random.RandomState(s).standard_normal((X.shape[1], n_classes))
        for s in generator.randint(2**31 - 1, size=n_classes)
    ]
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    rates = truncnorm.ppf(level, -rate / std, (1 - rate) / std, loc=rate, scale=std)
    chances, labels = np.zeros((n, n_classes)), y.copy()
    for i in range(n):
        others = np.array([j for j in range(n_classes) if j != y[i]])
        exponentials = np.exp(Z[i] @ weights[y[i]][:, others])
        shares = exponentials / exponentials.sum()
        chances[i, others] = rates[i] * shares
        chances[i, y[i]] = 1 - rates[i]
        if threshold[i] < rates[i]:
            labels[i] = others[np.searchsorted(np.cumsum(shares), pick[i], side="right")]
    return rates, chances, labels


# --- the algorithm --------------------------------------------------------------------------------


@settings(max_examples=40)
@given(st.lists(st.integers(2, 30), min_size=2, max_size=5), rates, st.floats(0.01, 0.3), seeds)
def test_the_algorithm_row_by_row(counts, rate, std, seed):
    rate = rate + 0.01
    X, y = table(counts)
    state = np.random.RandomState(seed)
    noise, y_noisy = corrupt(X, y, noise_rate=rate, noise_rate_std=std, random_state=state)
    row_rates, chances, labels = by_hand(X, y, rate, std, seed)
    assert_allclose(noise.row_noise_rate_, row_rates, atol=1e-9)
    assert_array_equal(y_noisy, labels)
    for k in range(len(counts)):
        assert_allclose(noise.transition_matrix_[k], chances[y == k].mean(axis=0), atol=1e-9)


@settings(max_examples=60)
@given(class_counts, rates, stds, seeds, st.booleans())
@example([1] * 6, 0.25, 0.0, 0, True)  # rounding leaves a sum of chances above 1
def test_attributes_say_what_was_done(counts, rate, std, seed, exact):
    X, y = table(counts)
    noise, y_noisy = corrupt(
        X, y, noise_rate=rate, noise_rate_std=std, exact=exact, random_state=seed
    )
    assert_array_equal(noise.classes_, np.arange(len(counts)))
    assert_array_equal(noise.noise_mask_, y_noisy != y)
    assert noise.noise_rate_ == (y_noisy != y).mean()
    assert_array_equal(noise.sample_indices_, np.arange(len(y)))
    assert noise.sampling_strategy_ == {k: (y_noisy == k).sum() for k in range(len(counts))}
    assert noise.row_noise_rate_.shape == y.shape
    assert noise.row_noise_rate_.min() >= 0
    assert noise.row_noise_rate_.max() <= 1
    assert noise.transition_matrix_.min() >= 0
    assert_allclose(noise.transition_matrix_.sum(axis=1), 1)
    kept = np.diagonal(noise.transition_matrix_)
    changing = noise.noise_mask_ if exact else noise.row_noise_rate_
    expected = [1 - changing[y == k].mean() for k in range(len(counts))]
    assert_allclose(kept, expected, atol=1e-12)


@pytest.mark.parametrize(
    ("rate", "mean"),
    [
        (1e-9, 0.080),
        (0.01, 0.084),
        (0.05, 0.101),
        (0.1, 0.129),
        (0.2, 0.206),
        (0.4, 0.4),
        (0.9, 0.871),
    ],
)
def test_rates_of_rows_are_a_cut_normal(rate, mean):
    X, y = table([2000] * 3)
    noise, _ = corrupt(X, y, noise_rate=rate, random_state=0)
    cut = truncnorm(-rate / 0.1, (1 - rate) / 0.1, loc=rate, scale=0.1)
    assert round(cut.mean(), 3) == mean  # as the docstring says
    assert kstest(noise.row_noise_rate_, cut.cdf).pvalue > 1e-3
    bound = 5 * np.sqrt(mean * (1 - mean) / len(y))
    assert abs(noise.noise_rate_ - cut.mean()) < bound


def test_the_first_and_the_last_label_with_a_chance_can_be_drawn():
    chances = np.array([[0, 0.25, 0.5, 0.25, 0]] * 4)
    pick = np.array([0, 0.25, np.nextafter(0.75, 0), np.nextafter(1, 0)])
    assert _instance_noise._pick_labels(chances, pick).tolist() == [1, 2, 2, 3]
    # Sums that rounding leaves beside 1.
    for total in (np.nextafter(1, 2), np.nextafter(1, 0), 1 - 1e-15):
        assert _instance_noise._pick_labels(np.array([[0, total, 0]]), pick[-1:]).tolist() == [1]


@booleans
def test_labels_are_given_as_often_as_the_matrix_says(exact):
    n = 4000
    # Rows of a class are equal, so that its probabilities are those of each row but for the rate.
    y = np.repeat(np.arange(4), n)
    noise, y_noisy = corrupt(np.eye(4)[y], y, noise_rate=0.3, exact=exact, random_state=3)
    for k in range(4):
        expected = noise.transition_matrix_[k]
        realised = np.bincount(y_noisy[y == k], minlength=4) / n
        assert (abs(realised - expected) <= 6 * np.sqrt(expected * (1 - expected) / n)).all()


def test_without_deviation_all_rows_have_the_rate():
    X, y = table([20] * 3)
    noise, _ = corrupt(X, y, noise_rate=0.25, noise_rate_std=0, random_state=0)
    assert_array_equal(noise.row_noise_rate_, np.full(60, 0.25))


@booleans
def test_no_noise_changes_nothing(exact):
    X, y = table([20] * 3)
    noise, y_noisy = corrupt(X, y, noise_rate=0, exact=exact, random_state=0)
    assert_array_equal(y_noisy, y)
    assert not noise.row_noise_rate_.any()
    assert_array_equal(noise.transition_matrix_, np.eye(3))


def test_a_rate_of_one_changes_every_row():
    X, y = table([20] * 3)
    for params in ({"noise_rate_std": 0}, {"exact": True}):
        noise, _ = corrupt(X, y, noise_rate=1, random_state=0, **params)
        assert noise.noise_mask_.all()


# --- exact numbers --------------------------------------------------------------------------------


@settings(max_examples=100)
@given(class_counts, st.floats(0, 1), stds, seeds)
def test_exact_numbers_are_shared_out_by_size(counts, rate, std, seed):
    X, y = table(counts)
    noise, _ = corrupt(X, y, noise_rate=rate, noise_rate_std=std, exact=True, random_state=seed)
    changed = np.bincount(y[noise.noise_mask_], minlength=len(counts))
    assert abs(changed.sum() - rate * len(y)) <= 0.5 + 1e-6
    shares = rate * np.array(counts)
    over = changed - np.floor(shares + 1e-9)
    assert set(over.tolist()) <= {0, 1}
    remainders = shares - np.floor(shares + 1e-9)
    if 0 < over.sum() < len(counts):
        assert remainders[over == 1].min() >= remainders[over == 0].max() - 1e-8


def test_small_classes_get_their_share_of_exact_noise():
    X, y = table([4] * 100)
    noise, _ = corrupt(X, y, noise_rate=0.1, exact=True, random_state=0)
    assert noise.noise_rate_ == 0.1
    assert np.bincount(y[noise.noise_mask_]).max() == 1


@booleans
def test_rows_change_in_proportion_to_their_rates(exact):
    X, y = table([300] * 3)
    runs = [
        corrupt(X, y, noise_rate=0.3, noise_rate_std=0.15, exact=exact, random_state=seed)[0]
        for seed in range(60)
    ]
    q = np.concatenate([noise.row_noise_rate_ for noise in runs])
    changed = np.concatenate([noise.noise_mask_ for noise in runs])
    assert abs(changed.mean() - (0.3 if exact else q.mean())) < 0.01
    # Picked in proportion to q, rows have the mean E[q^2] / E[q]; picked alike, that of all.
    wanted = (q**2).mean() / q.mean()
    assert wanted > q.mean() + 0.05
    assert abs(q[changed].mean() - wanted) < 0.005


# --- what of X matters ----------------------------------------------------------------------------


def test_alike_rows_get_the_same_wrong_label():
    rng = np.random.RandomState(0)
    centres = rng.normal(size=(8, 300))
    cluster, y = np.arange(4000) % 8, np.arange(4000) // 8 % 10
    X = centres[cluster] + 0.01 * rng.normal(size=(4000, 300))
    noise, y_noisy = corrupt(X, y, noise_rate=0.4, random_state=0)
    shares, favourites = [], []
    for k in range(10):
        wrong = [y_noisy[noise.noise_mask_ & (y == k) & (cluster == j)] for j in range(8)]
        counts = np.array([np.bincount(labels, minlength=10) for labels in wrong])
        shares += (counts.max(axis=1) / counts.sum(axis=1)).tolist()
        favourites.append(len({*counts.argmax(axis=1).tolist()}))
    # With 300 columns the exponents leave nearly one label; other rows of the class get others.
    assert np.mean(shares) > 0.9  # of labels drawn alike: about 0.2
    assert min(favourites) > 1


NUMBERS = np.random.RandomState(0).randint(-8, 8, size=(N, 6)) * (np.arange(N) % 3 > 0)[:, None]
FRAME = pd.DataFrame(NUMBERS, index=range(7, 7 + N)).rename(columns=str)
CONTAINERS = {
    "float32": NUMBERS.astype(np.float32),
    "int8": NUMBERS.astype(np.int8),
    "objects": NUMBERS.astype(object),
    "fortran": np.asfortranarray(NUMBERS),
    "images": NUMBERS.reshape(N, 1, 2, 3),
    "list": NUMBERS.tolist(),
    "nested list": NUMBERS.reshape(N, 3, 2).tolist(),
    "list of arrays": list(NUMBERS),
    "tuple": tuple(NUMBERS.tolist()),
    "tensor": torch.tensor(NUMBERS),
    "bfloat16": torch.tensor(NUMBERS, dtype=torch.bfloat16).reshape(N, 2, 3).requires_grad_(),
    "frame": FRAME,
    "mixed frame": FRAME.astype({"0": "float32", "1": "Int64", "2": "Float32", "3": "int8"}),
    "sparse frame": FRAME.astype(pd.SparseDtype(float, 0)),
    "csr": sparse.csr_array(NUMBERS),
    "csr float32": sparse.csr_matrix(NUMBERS.astype(np.float32)),
    "csc": sparse.csc_matrix(NUMBERS),
    "coo": sparse.coo_array(NUMBERS),
    "dok": sparse.dok_array(NUMBERS),
}


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("X", CONTAINERS.values(), ids=CONTAINERS)
def test_containers_do_not_matter(X, exact):
    y = np.arange(N) // 3 % 3
    expected, y_expected = corrupt(NUMBERS.astype(float), y, exact=exact, random_state=0)
    noise = InstanceDependentNoise(exact=exact, random_state=0)
    X_out, y_noisy = noise.fit_resample(X, y)
    assert X_out is X
    assert_array_equal(y_noisy, y_expected)
    assert_allclose(noise.transition_matrix_, expected.transition_matrix_, atol=1e-9)
    masked, y_expected = clone(noise), clone(noise).fit_resample(NUMBERS, y, meta_mask=MASK)[1]
    assert_array_equal(masked.fit_resample(X, y, meta_mask=MASK)[1], y_expected)


# --- seeds ----------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(class_counts, rates, rates, stds, seeds)
def test_rows_changed_at_a_low_rate_go_the_same_way_at_a_higher_one(counts, rate, other, std, seed):
    X, y = table(counts)
    (low, y_low), (high, y_high) = (
        corrupt(X, y, noise_rate=r, noise_rate_std=std, random_state=seed)
        for r in sorted([rate, other])
    )
    assert (low.row_noise_rate_ <= high.row_noise_rate_ + 1e-9).all()
    assert not (low.noise_mask_ & ~high.noise_mask_).any()
    assert_array_equal(y_low[low.noise_mask_], y_high[low.noise_mask_])


def test_most_rows_changed_in_exact_numbers_go_the_same_way():
    X, y = table([200] * 4)
    (low, y_low), (high, y_high), (drawn, y_drawn) = (
        corrupt(X, y, noise_rate=rate, exact=exact, random_state=0)
        for rate, exact in ((0.2, True), (0.3, True), (0.3, False))
    )
    assert (low.noise_mask_ & ~high.noise_mask_).mean() < 0.02
    assert (high.noise_mask_ != drawn.noise_mask_).mean() < 0.05
    both = low.noise_mask_ & high.noise_mask_ & drawn.noise_mask_
    assert both.sum() > 100
    assert_array_equal(y_low[both], y_high[both])
    assert_array_equal(y_low[both], y_drawn[both])


@booleans
def test_seeds(exact):
    X, y = table([30] * 3)
    noise, first = corrupt(X, y, exact=exact, random_state=5)
    state = np.random.RandomState(5)
    assert_array_equal(clone(noise).fit(X, y).fit_resample(X, y)[1], first)
    from_state = InstanceDependentNoise(exact=exact, random_state=state)
    drawn = from_state.fit(X, y).fit_resample(X, y)[1]
    again = corrupt(X, y, exact=exact, random_state=np.random.RandomState(5))[1]
    assert_array_equal(drawn, again)
    assert (from_state.fit_resample(X, y)[1] != drawn).any()
    assert (corrupt(X, y, exact=exact, random_state=6)[1] != first).any()
    assert (corrupt(X, y, exact=exact)[1] != corrupt(X, y, exact=exact)[1]).any()


@pytest.mark.parametrize("seed", [0, None])
def test_global_random_state_and_inputs_are_left_alone(seed):
    X, y = table([30] * 3)
    copies = X.copy(), y.copy()
    before = np.random.get_state()  # noqa: NPY002 (the state under test)
    corrupt(X, y, random_state=seed)
    after = np.random.get_state()  # noqa: NPY002
    assert_array_equal(after[1], before[1])
    assert after[2] == before[2]
    assert_array_equal(X, copies[0])
    assert_array_equal(y, copies[1])


# --- warnings and errors --------------------------------------------------------------------------


def test_hidden_truth_is_warned_of_at_the_caller():
    X, y = table([40, 40])
    noise = InstanceDependentNoise(noise_rate=0.7, random_state=0)
    with pytest.warns(
        NoiseNotLearnableWarning, match=r"`noise_rate` must give .* for \[0, 1\]; lower the noise"
    ) as record:
        noise.fit_resample(X, y)
    assert record[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        noise.set_params(noise_rate=0.4).fit_resample(X, y)


def test_a_label_that_other_classes_get_as_often_is_warned_of():
    y = np.repeat([0, 1, 2], [50, 50, 2])
    X = np.where(y == 1, 1.0, -1.0)[:, None] * np.ones(3)
    state = np.random.RandomState(18)
    noise = InstanceDependentNoise(noise_rate=0.53, noise_rate_std=0, random_state=state)
    with pytest.warns(NoiseNotLearnableWarning, match=r"for \[0, 1\]; lower the noise rate"):
        noise.fit_resample(X, y)
    # The rows of class 1 keep their label more often than get another, but those of 0 get it.
    matrix = noise.transition_matrix_
    assert matrix[1].argmax() == 1
    assert matrix[0, 1] > matrix[1, 1]


@pytest.mark.parametrize(
    ("params", "error", "match"),
    [
        ({"noise_rate": 40}, ValueError, r"`noise_rate` must lie in \[0, 1\]; got 40.0; .*per cen"),
        ({"noise_rate": "0.4"}, TypeError, "`noise_rate` must be a number; got '0.4'"),
        ({"noise_rate_std": -0.1}, ValueError, "finite and not negative; got -0.1; pass 0 for the"),
        ({"noise_rate_std": np.inf}, ValueError, "finite and not negative; got inf;"),
        ({"noise_rate_std": np.nan}, ValueError, "finite and not negative; got nan;"),
        ({"noise_rate_std": None}, TypeError, "`noise_rate_std` must be a number; got None; pass"),
        ({"noise_rate_std": True}, TypeError, "`noise_rate_std` must be a number; got True"),
        ({"exact": 1}, TypeError, "`exact` must be a bool; got 1; pass True or False"),
    ],
)
def test_parameters_are_checked_when_used(params, error, match):
    noise = InstanceDependentNoise(**params)
    for method in (noise.fit, noise.fit_resample):
        with pytest.raises(error, match=match):
            method(np.zeros((6, 1)), [0, 1, 2] * 2)


# --- trusted rows and searches --------------------------------------------------------------------


@booleans
def test_trusted_rows_are_not_looked_at(exact):
    X, y = table([30] * 3)
    alone = corrupt(X[~MASK], y[~MASK], exact=exact, random_state=0)[0]
    X[MASK] = np.nan
    noise = InstanceDependentNoise(exact=exact, random_state=0).fit(X, y, meta_mask=MASK)
    noise.fit_resample(X, y, meta_mask=MASK)
    assert_array_equal(noise.row_noise_rate_[~MASK], alone.row_noise_rate_)
    assert not noise.row_noise_rate_[MASK].any()
    assert_array_equal(noise.noise_mask_[~MASK], alone.noise_mask_)


def test_a_class_of_trusted_rows_keeps_its_label():
    X, y = table([30] * 3)
    noise = InstanceDependentNoise(noise_rate=0.3, random_state=0)
    _, y_out = noise.fit_resample(X, y, meta_mask=y == 1)
    assert_array_equal(noise.transition_matrix_[1], [0, 1, 0])
    assert_array_equal(y_out[y == 1], 1)
    assert set(y_out[y == 0]) == {0, 1, 2}


def test_a_search_over_the_rate_gives_the_scores_found_by_hand():
    data = blobs(90, 3, seed=1)
    noise = InstanceDependentNoise(noise_rate_std=0, random_state=0)
    noisy = CorruptedClassifier(LogisticRegression(C=100), noise)
    search = GridSearchCV(
        noisy, {"corruption__noise_rate": [0, 0.2, 0.45]}, cv=FOLDS, error_score="raise"
    ).fit(data.X, data.y)
    by_hand = np.empty((3, 3))
    for i, rate in enumerate([0, 0.2, 0.45]):
        for k, (train, test) in enumerate(FOLDS.split(data.X, data.y)):
            _, y_noisy = corrupt(
                data.X[train], data.y[train], **(noise.get_params() | {"noise_rate": rate})
            )
            model = LogisticRegression(C=100).fit(data.X[train], y_noisy)
            by_hand[i, k] = model.score(data.X[test], data.y[test])
    scores = [search.cv_results_[f"split{k}_test_score"] for k in range(3)]
    assert_array_equal(np.transpose(scores), by_hand)
