"""Where random numbers come from: not out of the stream that the data came from."""

import numpy as np
import pytest

from skgdw.corruption import ClassImbalance, InstanceDependentNoise, LabelNoise
from skgdw.corruption._draws import make_draws

N = 4000
COLUMN = np.zeros((N, 1))


def labels_by_hand(seed, kind):
    stream = np.random.RandomState(seed)
    if kind == "threshold":
        return (stream.random_sample(N) > 0.5).astype(int)
    if kind == "binomial":
        return stream.binomial(1, 0.5, N)
    return stream.choice(3, N, p=[0.2, 0.3, 0.5])


@pytest.mark.parametrize("labels", ["threshold", "binomial", "choice"])
@pytest.mark.parametrize("kind", ["uniform", "symmetric", "pair"])
def test_labels_made_under_the_same_seed_are_changed_as_others(labels, kind):
    y = labels_by_hand(3, labels)
    noise = LabelNoise(kind=kind, noise_rate=0.4, random_state=3)
    noise.fit_resample(COLUMN, y)
    for label in np.unique(y):
        of_class = y == label
        expected = 1 - noise.transition_matrix_[label, label]
        assert noise.noise_mask_[of_class].mean() == pytest.approx(expected, abs=0.06)


def test_features_made_under_the_same_seed_tell_nothing_of_the_noise():
    feature = np.random.RandomState(3).random_sample(N)
    y = np.arange(N) % 2
    for sampler in (
        LabelNoise(kind="symmetric", noise_rate=0.4, random_state=3),
        InstanceDependentNoise(noise_rate=0.4, random_state=3),
    ):
        sampler.fit_resample(COLUMN, y)
        noisy = sampler.noise_mask_
        assert abs(feature[noisy].mean() - feature[~noisy].mean()) < 0.05
    imbalance = ClassImbalance(imbalance_ratio=10, random_state=3).fit(COLUMN, y)
    imbalance.fit_resample(COLUMN, y)
    kept = imbalance.sample_indices_[y[imbalance.sample_indices_] == 1]
    assert abs(feature[kept].mean() - 0.5) < 0.1


@pytest.mark.parametrize("second", ["symmetric", "pair", "uniform"])
def test_a_second_step_with_the_same_seed_is_drawn_anew(second):
    y = np.arange(N) % 4
    first = LabelNoise(kind="symmetric", noise_rate=0.3, random_state=0)
    after = LabelNoise(kind=second, noise_rate=0.3, random_state=0)
    once = first.fit_resample(COLUMN, y)[1]
    twice = after.fit_resample(COLUMN, once)[1]
    expected = first.transition_matrix_ @ after.transition_matrix_
    assert np.mean(twice != y) == pytest.approx(1 - expected[0, 0], abs=0.04)


def test_more_noise_under_one_seed_changes_the_same_rows_and_more():
    y = np.arange(N) % 4
    masks = []
    for rate in (0.1, 0.3):
        noise = LabelNoise(kind="symmetric", noise_rate=rate, random_state=5)
        noise.fit_resample(COLUMN, y)
        masks.append(noise.noise_mask_)
    assert (masks[1] >= masks[0]).all()
    assert masks[1].sum() > masks[0].sum()


def test_what_is_drawn_of_classes_does_not_hang_on_the_rows():
    y = np.arange(N) % 5
    some = np.arange(N) % 7 < 3
    for kind in ("flip1", "flip2"):
        noise, other = (LabelNoise(kind=kind, noise_rate=0.4, random_state=1) for _ in range(2))
        noise.fit_resample(COLUMN, y)
        other.fit_resample(COLUMN[some], y[some])
        assert np.array_equal(noise.transition_matrix_, other.transition_matrix_)
    orders = []
    for rows in (np.full(N, fill_value=True), some):
        imbalance = ClassImbalance(imbalance_ratio=10, class_order="random", random_state=1)
        imbalance.fit_resample(COLUMN[rows], y[rows])
        orders.append(imbalance.class_order_.tolist())
    assert orders[0] == orders[1]


def test_a_random_state_is_drawn_from_as_it_is():
    codes = np.arange(6) % 2
    given = np.random.RandomState(0)
    draws = make_draws(given, "LabelNoise", codes)
    assert draws.of_rows is given
    assert draws.of_classes is given
    own, other = (make_draws(0, name, codes).of_rows for name in ("LabelNoise", "Other"))
    assert own.random_sample() != other.random_sample()
    again = make_draws(np.int32(0), "LabelNoise", codes.astype(np.int32)).of_rows
    assert make_draws(0, "LabelNoise", codes).of_rows.random_sample() == again.random_sample()
