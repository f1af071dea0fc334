"""Predictions for classes as frequent as they are somewhere."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from classifier_cases import blobs, quick
from skgdw._net._class_prior import at_class_shares, class_shares, log_shares

PAIR = np.array(["no", "yes"])
P = np.array([[0.2, 0.8], [0.5, 0.5], [1.0, 0.0]], dtype=np.float32)


def test_probabilities_follow_bayes():
    shares = class_shares([3, 1], PAIR, None)
    found = at_class_shares(P, shares)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[0.6 / 1.4, 0.8 / 1.4], [0.75, 0.25], [1, 0]], rtol=1e-6)
    assert at_class_shares(P, class_shares("meta", PAIR, None)) is P
    np.testing.assert_array_equal(class_shares("train", PAIR, np.array([3, 1])), shares)
    logits = np.array([[1.0, 2.0]])
    moved = np.exp(logits + log_shares(shares))
    balanced = np.exp(logits) / np.exp(logits).sum()
    expected = at_class_shares(balanced, shares)
    np.testing.assert_allclose(moved / moved.sum(), expected, rtol=1e-12)


def test_what_is_too_small_for_a_number_is_zero():
    with np.errstate(all="raise"):
        found = at_class_shares(np.float32([[1, 1e-40]]), np.array([1.0, 1e-6]))
    assert found.tolist() == [[1, 0]]


def test_certainty_of_a_class_that_is_not_there_stays():
    assert at_class_shares(P, np.array([0.0, 1.0]))[2].tolist() == [1, 0]


def test_the_world_can_be_chosen_after_fit():
    X, y, *meta = blobs()
    few = np.flatnonzero((y != 2) | (np.arange(len(y)) % 12 == 2))
    net = quick(weighting="class_pair", max_epochs=20).fit(X[few], y[few], *meta)
    balanced = net.predict_proba(X)
    assert net.class_prior_[2] < 0.2
    net.set_params(class_prior="train")
    as_trained = net.predict_proba(X)
    expected = balanced * net.class_prior_
    np.testing.assert_allclose(
        as_trained, expected / expected.sum(axis=1, keepdims=True), rtol=1e-4
    )
    assert as_trained[:, 2].mean() < balanced[:, 2].mean()
    np.testing.assert_allclose(np.exp(net.predict_log_proba(X)), as_trained, rtol=1e-4)
    z = np.exp(net.decision_function(X))
    np.testing.assert_allclose(z / z.sum(axis=1, keepdims=True), as_trained, rtol=1e-4)
    net.set_params(class_prior=[0.01, 0.01, 0.98])
    assert net.predict_proba(X)[:, 2].mean() > balanced[:, 2].mean()


def test_what_is_found_out_of_the_labels():
    """Two fifths of class 0 are called 1."""
    X, y, *meta = blobs(600, 60)
    given = np.where((y == 0) & (np.arange(600) % 5 < 2), 1, y)
    net = quick(weighting="class_pair", max_epochs=20, batch_size=32).fit(X, given, *meta)
    assert net.transition_matrix_.shape == (3, 3)
    np.testing.assert_allclose(net.transition_matrix_.sum(axis=1), 1, rtol=1e-4)
    assert net.transition_matrix_[0, 1] == pytest.approx(0.4, abs=0.1)
    assert net.noise_rate_ == pytest.approx(float((given != y).mean()), abs=0.05)
    np.testing.assert_allclose(net.class_prior_, np.full(3, 1 / 3), atol=0.05)


def test_other_weightings_know_nothing_of_it():
    net = quick().fit(*blobs())
    assert net.transition_matrix_ is net.class_prior_ is net.noise_rate_ is None
    with pytest.raises(ValueError, match="does not estimate"):
        net.set_params(class_prior="train").predict(blobs().X)
    with pytest.raises(ValueError, match="`class_prior` must be"):
        quick(class_prior="balanced").fit(*blobs())
    assert not hasattr(quick(), "transition_matrix_")


@pytest.mark.parametrize("labels", [[0, 1, 2], ["ash", "elm", "oak"]])
def test_shares_by_label_go_by_label(labels):
    X, y, X_meta, y_meta = blobs()
    names = np.array(labels)
    net = quick(weighting="class_pair").fit(X, names[y], X_meta, names[y_meta])
    expected = net.set_params(class_prior=[0.2, 0.1, 0.7]).predict_proba(X)
    by_frequency = pd.Series([0.7, 0.2, 0.1], index=[names[2], names[0], names[1]])
    for given in (by_frequency, by_frequency.to_dict(), pd.Series([0.2, 0.1, 0.7])):
        found = net.set_params(class_prior=given).predict_proba(X)
        np.testing.assert_array_equal(found, expected)
    clone(net).fit(X, names[y], X_meta, names[y_meta])


@pytest.mark.parametrize(
    ("prior", "weighting", "words"),
    [
        ([0.5, 0.5], "class_pair", r"one share for each of the 3 classes.*got 2"),
        ("train", "class", r'that does not estimate.*got "train"'),
        ({0: 0.5, 1: 0.5}, "class_pair", r"a share for each of \[0, 1, 2\]; got \[0, 1\]. Name"),
        ({0: 1, 1: 1, 2: 0}, "class_pair", r"numbers > 0; got .*1, .*1, .*0"),
        (pd.Series([1, 1, 1], index=[1, 2, 3]), "class_pair", r"got \[1, 2, 3\]"),
    ],
)
def test_shares_that_cannot_be_are_told_before_training(prior, weighting, words):
    net = quick(weighting=weighting, class_prior=prior)
    with pytest.raises(ValueError, match=words):
        net.fit(*blobs())
    assert not hasattr(net, "module_")
    kept = quick(weighting=weighting).fit(*blobs()).set_params(class_prior=prior)
    X, y, *meta = blobs()
    for call in (lambda: kept.partial_fit(X, y, None, *meta), lambda: kept.predict(X)):
        with pytest.raises(ValueError, match=words):
            call()
    assert len(kept.history) == 1
