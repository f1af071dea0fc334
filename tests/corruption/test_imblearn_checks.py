"""imbalanced-learn's own checks of samplers, and its pipeline, with every sampler of ours."""

import warnings

import numpy as np
import pytest
from imblearn.pipeline import Pipeline
from imblearn.utils import estimator_checks
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.preprocessing import StandardScaler

from classifier_cases import blobs
from corruption_cases import FOLDS, Watch, X, Y
from skgdw.corruption import ClassImbalance, InstanceDependentNoise, LabelNoise

# Seeded: the checks compare two runs.
SAMPLERS = [
    LabelNoise(random_state=0),
    LabelNoise(kind="flip1", exact=True, noise_rate=0.3, random_state=0),
    InstanceDependentNoise(random_state=0),
    InstanceDependentNoise(exact=True, noise_rate=0.2, noise_rate_std=0, random_state=0),
    ClassImbalance(random_state=0),
    ClassImbalance(profile="step", imbalance_ratio=3, class_order="random", random_state=0),
]
every_sampler = pytest.mark.parametrize("sampler", SAMPLERS, ids=repr)


# Its own parametrize_with_checks hands pytest a generator, which is deprecated. None may fail.
@pytest.mark.parametrize(
    ("sampler", "check"),
    [
        pytest.param(*case, id=f"{case[1].func.__name__}-{case[0]!r}")
        for sampler in SAMPLERS
        for case in estimator_checks.estimator_checks_generator(sampler)
    ],
)
def test_imbalanced_learn_accepts_the_sampler(sampler, check):
    check(sampler)


@every_sampler
def test_frames_give_feature_names(sampler):
    # A check that it runs on its own classes only.
    estimator_checks.check_dataframe_column_names_consistency(type(sampler).__name__, sampler)


@every_sampler
def test_no_check_is_left_out(sampler):
    generated = estimator_checks.estimator_checks_generator(sampler)
    names = {check.func.__name__ for _, check in generated}
    every = {name for name in vars(estimator_checks) if name.startswith("check_sampler")}
    # Rows of text, or with gaps, are not for the sampler that computes with them.
    reads = isinstance(sampler, InstanceDependentNoise)
    left_out = {"check_samplers_string", "check_samplers_nan"} if reads else set()
    assert every - names == left_out
    assert len(every) > 10


# --- its pipeline ---------------------------------------------------------------------------------


@every_sampler
def test_only_training_parts_are_corrupted(sampler):
    pipe = Pipeline([("sampler", sampler), ("watch", Watch())])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = cross_validate(pipe, X, Y, cv=FOLDS, return_estimator=True, error_score="raise")
    # Predictions are the truth: one wrong label in a validation part would show.
    assert_array_equal(found["test_score"], [1, 1, 1])
    for (train, _), fitted in zip(FOLDS.split(X, Y), found["estimator"], strict=True):
        X_wanted, y_wanted = clone(sampler).fit_resample(X[train], Y[train])
        assert_array_equal(fitted["watch"].X_, X_wanted)
        assert_array_equal(fitted["watch"].y_, y_wanted)
        assert len(y_wanted) < len(train) or (y_wanted != Y[train]).any()


@every_sampler
def test_scaler_and_classifier_follow_the_sampler(sampler):
    data = blobs(90, 3, seed=1)
    X, y = data.X * [1, 100, 0.01, 1][: data.X.shape[1]] + 5, data.y
    scaler, model = StandardScaler(), LogisticRegression(C=100)
    pipe = Pipeline([("sampler", clone(sampler)), ("scaler", scaler), ("model", model)])
    found = cross_validate(pipe, X, y, cv=FOLDS, error_score="raise")
    by_hand = []
    for train, test in FOLDS.split(X, y):
        X_few, y_few = clone(sampler).fit_resample(X[train], y[train])
        scaler.fit(X_few)
        fitted = clone(model).fit(scaler.transform(X_few), y_few)
        by_hand.append(fitted.score(scaler.transform(X[test]), y[test]))
    assert_array_equal(found["test_score"], by_hand)


@pytest.mark.parametrize(
    ("sampler", "name", "values"),
    [
        (LabelNoise(random_state=0), "noise_rate", [0, 0.3, 0.6]),
        (InstanceDependentNoise(random_state=0), "noise_rate", [0, 0.2, 0.4]),
        (ClassImbalance(random_state=0), "sampling_strategy", [None, {1: 2}, {0: 20, 2: 1}]),
    ],
    ids=repr,
)
def test_searches_reach_the_parameters(sampler, name, values):
    pipe = Pipeline([("sampler", sampler), ("watch", Watch())])
    search = GridSearchCV(pipe, {f"sampler__{name}": values}, cv=FOLDS, error_score="raise")
    search.fit(X, Y)
    assert search.cv_results_["params"] == [{f"sampler__{name}": value} for value in values]
    fitted = search.best_estimator_  # all are equally good, so the first
    assert fitted["sampler"].get_params()[name] == values[0]
    labels = clone(sampler).set_params(**{name: values[0]}).fit_resample(X, Y)[1]
    assert_array_equal(fitted["watch"].y_, labels)
    assert np.bincount(labels).min() >= 1
