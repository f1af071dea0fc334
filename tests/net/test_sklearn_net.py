"""What makes a net one of scikit-learn's classifiers: prediction, data types, its display."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import config_context
from sklearn.base import BaseEstimator, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback
from torch import nn

from classifier_cases import Net, blobs, quick
from skgdw import GDWClassifier
from skgdw.model_selection import make_meta_pipeline
from skgdw.weighting import ClassWeighting

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


@pytest.mark.parametrize("container", [np.asarray, list, pd.DataFrame])
def test_score_of_one_hot_labels(container):
    """What `fit` takes for labels, it takes too."""
    one_hot, data = np.eye(3, dtype=int), blobs()
    net = quick().fit(data.X, container(one_hot[data.y]), data.X_meta, data.y_meta)
    assert net.score(data.X, container(one_hot[data.y])) == net.score(data.X, data.y)


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


def test_decision_function_returns_logits(net):
    assert is_classifier(net)
    logits = net.forward(torch.tensor(X, dtype=torch.float32)).numpy()
    assert net.decision_function(X).shape == (48, 3)
    assert np.array_equal(net.decision_function(X), logits)


def test_the_decision_between_two_classes_is_a_difference_of_logits():
    few = np.isin(Y, (0, 1)), np.isin(Y_META, (0, 1))
    two = quick(max_epochs=5, module__n_classes=2).fit(
        X[few[0]], Y[few[0]], X_META[few[1]], Y_META[few[1]]
    )
    logits = two.forward(torch.tensor(X, dtype=torch.float32)).numpy()
    decision = two.decision_function(X)
    assert np.array_equal(decision, logits[:, 1] - logits[:, 0])
    assert np.array_equal(decision > 0, two.predict(X) == two.classes_[1])
    found = 1 / (1 + np.exp(-decision))
    assert np.allclose(found, two.predict_proba(X)[:, 1], atol=1e-6)


def test_logarithms_of_probabilities_do_not_end_at_zero(net):
    log_proba = net.predict_log_proba(X)
    assert log_proba.dtype == np.float32
    assert np.allclose(np.exp(log_proba), net.predict_proba(X), atol=1e-6)
    with np.errstate(all="raise"):
        far = net.predict_log_proba(1e4 * X)
    assert (net.predict_proba(1e4 * X) == 0).any()
    assert np.isfinite(far).all()


class Chances(Net):
    """Returns probabilities, as NLLLoss takes them in skorch."""

    def forward(self, X):
        return super().forward(X).softmax(dim=1)


def test_no_decision_function_where_the_module_returns_no_logits():
    net = quick(Chances, weighting="uniform", criterion=nn.NLLLoss)
    for _ in range(2):
        assert not hasattr(net, "decision_function")
        with pytest.raises(AttributeError, match="has no attribute 'decision_function'") as error:
            net.decision_function(X)
        assert "NLLLoss" in str(error.value.__cause__)
        net.fit(X, Y)
    assert np.allclose(net.predict_log_proba(X), np.log(net.predict_proba(X)))


def test_a_nonlinearity_of_the_users_is_what_logarithms_are_taken_of(net):
    other = quick(predict_nonlinearity=lambda logits: (logits / 2).softmax(dim=-1)).fit(*DATA)
    assert np.allclose(other.predict_log_proba(X), np.log(other.predict_proba(X)))


class Focal(nn.Module):
    """A criterion on logits that is not torch's."""

    reduction = "mean"

    def forward(self, logits, y):
        losses = nn.functional.cross_entropy(logits, y, reduction="none")
        focal = (1 - (-losses).exp()) * losses
        return focal if self.reduction == "none" else focal.mean()


@pytest.mark.parametrize("criterion", [Focal, Focal()])
def test_weightings_take_logits_whatever_the_criterion(criterion):
    net = quick(criterion=criterion)
    assert hasattr(net, "decision_function")
    net.fit(*DATA)
    probability = net.predict_proba(X)
    assert np.allclose(probability.sum(axis=1), 1, atol=1e-6)
    assert np.array_equal(net.decision_function(X).argmax(axis=1), net.predict(X))
    assert not hasattr(quick(criterion=criterion, weighting="uniform"), "decision_function")
    assert not hasattr(quick(criterion=criterion, weighting="no such"), "decision_function")


def test_epochs_are_counted():
    net = quick(max_epochs=3)
    assert not hasattr(net, "n_iter_")
    assert net.fit(*DATA).n_iter_ == 3
    assert net.fit(*DATA).n_iter_ == 3
    assert net.partial_fit(X, Y, **META).n_iter_ == 6
    stages = quick(max_epochs=2, fine_tune=True).fit(*DATA)
    assert stages.n_iter_ == len(stages.history_) > 2


class Stop(Callback):
    """Ends training in the midst of an epoch, or where one ends."""

    def __init__(self, where):
        self.where = where

    def _stop(self, net):
        if len(net.history_) == 2:
            raise KeyboardInterrupt

    def on_batch_begin(self, net, training=None, **kwargs):
        if self.where == "within" and training:
            self._stop(net)

    def on_epoch_end(self, net, **kwargs):
        if self.where == "end":
            self._stop(net)


@pytest.mark.parametrize(("where", "n_epochs"), [("within", 1), ("end", 2)])
def test_an_epoch_that_was_cut_off_does_not_count(where, n_epochs):
    net = quick(max_epochs=5, callbacks=[Stop(where)]).fit(*DATA)
    assert net.n_iter_ == n_epochs


@pytest.mark.parametrize("attribute", ["classes_", "n_features_in_", "module_"])
def test_nothing_is_there_before_fit(attribute):
    net = GDWClassifier()
    assert not hasattr(net, attribute)
    for method in (
        net.predict,
        net.predict_proba,
        net.predict_log_proba,
        net.decision_function,
    ):
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


# --- displays ------------------------------------------------------------------------------------


@pytest.mark.parametrize("fitted", [False, True])
def test_repr_tells_what_differs_from_the_defaults(fitted):
    net = GDWClassifier(max_epochs=1, verbose=0, module__hidden=(8,))
    if fitted:
        net.fit(*DATA)
    assert repr(net) == "GDWClassifier(max_epochs=1, module__hidden=(8,), verbose=0)"
    assert repr(GDWClassifier()) == "GDWClassifier()"


def test_repr_can_tell_everything():
    with config_context(print_changed_only=False):
        text = repr(GDWClassifier())
    assert text.startswith("GDWClassifier(balance_meta=True, batch_size=128, callbacks=None,")


def test_repr_inside_others():
    net = GDWClassifier(max_epochs=1, optimizer__momentum=0.5, min_gradient_share=0.25, verbose=0)
    assert repr(make_pipeline(StandardScaler(), net)).splitlines() == [
        "Pipeline(steps=[('standardscaler', StandardScaler()),",
        "                ('gdwclassifier',",
        "                 GDWClassifier(max_epochs=1, min_gradient_share=0.25,",
        "                               optimizer__momentum=0.5, verbose=0))])",
    ]


class Own(GDWClassifier):
    """Names some parameters anew."""

    def __init__(self, module="auto", *, verbose=0, **kwargs):
        super().__init__(module, verbose=verbose, **kwargs)


def test_subclasses_have_the_defaults_of_their_own():
    assert repr(Own()) == "Own()"
    assert repr(Own(verbose=1, lr=0.2)) == "Own(lr=0.2, verbose=1)"


ODD = {
    "module": Net(),
    "callbacks": [lambda net: None],
    "criterion__weight": torch.ones(3),
    "classes": np.arange(3),
    "device": torch.device("cpu"),
    "lr": torch.tensor(0.1),
    "random_state": np.random.RandomState(0),
    "weighting": ClassWeighting(nn.Linear(1, 1)),
    "max_epochs": float("nan"),
    "dataset": object(),
}


@pytest.mark.parametrize("name", ODD)
def test_displays_stand_odd_parameters(name):
    net = GDWClassifier(**{name: ODD[name]})
    assert repr(net).startswith(f"GDWClassifier({name}=")
    assert name in net._repr_html_()
    assert repr(make_pipeline(StandardScaler(), net)).startswith("Pipeline(")


def test_repr_of_a_net_in_the_making():
    assert repr(GDWClassifier.__new__(GDWClassifier)) == "GDWClassifier()"


@pytest.mark.parametrize("fitted", [False, True])
def test_shows_itself_in_notebooks(fitted):
    net = quick().fit(*DATA) if fitted else quick()
    assert {"fit", "predict_proba"} <= set(dir(net))
    assert ("module_" in dir(net)) == fitted
    shown = net._repr_html_()
    assert "GDWClassifier" in shown
    lists_fitted = hasattr(BaseEstimator, "_get_fitted_attr_html")  # scikit-learn does since 1.9
    assert ("n_iter_" in shown) == (fitted and lists_fitted)
    assert "iterator_valid" in shown  # skorch's parameters, too


@pytest.mark.parametrize("fitted", [False, True])
def test_shows_itself_inside_others(fitted):
    pipe = make_meta_pipeline(StandardScaler(), quick())
    search = GridSearchCV(quick(), {"lr": [0.1]}, cv=2)
    meta = {"X_meta": (X_META,), "y_meta": (Y_META,)}
    for tool in (pipe, search):
        if fitted:
            tool.fit(X, Y, **meta)
        assert "GDWClassifier" in tool._repr_html_()
        assert "GDWClassifier(" in repr(tool)
