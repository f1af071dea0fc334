"""What makes a net one of scikit-learn's classifiers: prediction, data types, its display."""

import numpy as np
import pytest
import torch
from sklearn.base import is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score
from torch import nn

from classifier_cases import blobs, quick
from skgdw import GDWClassifier

DATA = blobs()
X, Y, X_META, Y_META = DATA
META = {"X_meta": X_META, "y_meta": Y_META}


# --- prediction -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def net():
    learner = quick(max_epochs=15, batch_size=16)
    return learner.fit(*DATA.labelled(["dog", "cat", "ox"]))


def test_probabilities(net):
    probability = net.predict_proba(X)
    assert probability.shape == (48, 3)
    assert probability.dtype == np.float32
    assert (probability >= 0).all()
    assert np.abs(probability.sum(axis=1) - 1).max() < 1e-6
    logits = net.forward(torch.tensor(X, dtype=torch.float32))
    torch.testing.assert_close(torch.from_numpy(probability), logits.softmax(dim=1))


def test_predictions(net):
    predicted = net.predict(X)
    assert predicted.shape == (48,)
    assert predicted.dtype.kind == "U"
    assert set(predicted) == {"dog", "cat", "ox"}


def test_score_is_accuracy(net):
    y = np.array(["dog", "cat", "ox"])[Y]
    y[:10] = "cat"
    assert net.score(X, y) == accuracy_score(y, net.predict(X))
    sample_weight = np.arange(48)
    expected = accuracy_score(y, net.predict(X), sample_weight=sample_weight)
    assert net.score(X, y, sample_weight=sample_weight) == expected


def test_one_row(net):
    assert np.allclose(net.predict_proba(X[:1]), net.predict_proba(X)[:1], atol=1e-6)
    assert net.predict(X[:1]).shape == (1,)


def test_predictions_do_not_hang_on_training_mode(net):
    before = net.predict_proba(X)
    net.module_.train()
    assert np.array_equal(net.predict_proba(X), before)
    assert not net.module_.training


def test_more_rows_than_a_prediction_step(net):
    many = np.tile(X, (60, 1))
    assert np.allclose(net.predict_proba(many), np.tile(net.predict_proba(X), (60, 1)), atol=1e-6)


def test_decision_is_left_to_probabilities(net):
    assert is_classifier(net)
    assert not hasattr(net, "decision_function")


@pytest.mark.parametrize("attribute", ["classes_", "n_features_in_", "module_"])
def test_nothing_is_there_before_fit(attribute):
    net = GDWClassifier()
    assert not hasattr(net, attribute)
    for method in (net.predict, net.predict_proba):
        with pytest.raises(NotFittedError, match="Call `fit` with training rows before predicting"):
            method(X)


# --- data types -----------------------------------------------------------------------------------


def test_tables_with_large_offsets():
    generator = np.random.RandomState(0)
    y = np.arange(300) % 2
    X = np.c_[1.7e9 + 20 * y + generator.randn(300), np.ones(300)]
    net = GDWClassifier(weighting="class", max_epochs=30, batch_size=32, random_state=0, verbose=0)
    net.fit(X[:240], y[:240], X[240:], y[240:])
    assert net.score(X, y) > 0.95
    assert net.module_.layers[0].weight.dtype is torch.float32


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.out = nn.Embedding(20, 6), nn.Linear(6, 3)

    def forward(self, X):
        return self.out(self.words(X).mean(1))


def test_integers_are_codes_to_an_embedding():
    codes = np.random.RandomState(0).randint(20, size=(60, 5))
    net = quick(Words).fit(codes[:48], Y, codes[48:], Y_META)
    assert net.predict(codes).shape == (60,)


# --- notebooks ------------------------------------------------------------------------------------


def test_repr():
    net = quick()
    assert repr(net).startswith(("GDWClassifier(", "<class 'skgdw"))
    assert "Net" in repr(net.fit(*DATA))


@pytest.mark.parametrize("fitted", [False, True])
def test_shows_itself_in_notebooks(fitted):
    net = quick().fit(*DATA) if fitted else quick()
    assert {"fit", "predict_proba"} <= set(dir(net))
    assert ("module_" in dir(net)) == fitted
    assert "GDWClassifier" in net._repr_html_()
