"""Tools that hand no metadata on, or only in a way of their own: what docs/wrappers.rst says."""

import numpy as np
import pytest
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.feature_selection import SequentialFeatureSelector
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score

import test_wrappers as wrappers
from test_wrappers import FOLDS, LABELS, SEEN, means_the_same


class Taught(wrappers.Watched):
    """Brings its trusted rows along, as on the page."""

    def __init__(self, trusted=None, module="auto", **kwargs):
        self.trusted = trusted
        super().__init__(module, **kwargs)

    def fit(self, X, y):
        X_meta, y_meta = self.trusted
        return super().fit(X, y, (X_meta,), (y_meta,))


def taught(labels):
    data = wrappers.make("X_meta", labels, 3, 1)
    trusted = tuple(values[0] for values in data.meta.values())
    SEEN.clear()
    return Taught(trusted, **OPTIONS), data


OPTIONS = {
    "module__hidden": (16,),
    "max_epochs": 5,
    "batch_size": 16,
    "random_state": 0,
    "verbose": 0,
}
CODING = {
    "bagging": lambda net: BaggingClassifier(net, n_estimators=2, random_state=0),
    "voting": lambda net: VotingClassifier([("net", net)], voting="soft"),
    "stacking": lambda net: StackingClassifier([("net", net)], cv=FOLDS),
}


def all_right(data):
    return bool(SEEN) and all(means_the_same(data, seen) for seen in SEEN)


@pytest.mark.parametrize("kind", LABELS)
def test_searches_and_folds_keep_it_whatever_the_labels(kind):
    net, data = taught(LABELS[kind])
    assert cross_val_score(net, data.X, data.y, cv=FOLDS).min() > 0.9
    search = GridSearchCV(net, {"meta_lr": [0.1]}, cv=FOLDS, error_score="raise")
    assert search.fit(data.X, data.y).score(data.X, data.y) > 0.9
    assert len(SEEN) == 2 + 3
    assert all_right(data)


@pytest.mark.parametrize("wrap", CODING.values(), ids=CODING)
def test_tools_that_encode_labels_take_codes(wrap):
    net, data = taught(LABELS["0, 1, 2"])
    assert wrap(net).fit(data.X, data.y).score(data.X, data.y) > 0.9
    assert all_right(data)


@pytest.mark.parametrize("wrap", CODING.values(), ids=CODING)
def test_tools_that_encode_labels_refuse_strings(wrap):
    net, data = taught(LABELS["strings"])
    with pytest.raises(ValueError, match="`y_meta` must hold labels of the same kind as y's"):
        wrap(net).fit(data.X, data.y)


def test_tools_that_cut_columns_are_refused():
    net, data = taught(LABELS["0, 1, 2"])
    selector = SequentialFeatureSelector(net, n_features_to_select=1, cv=FOLDS)
    with pytest.raises(ValueError, match="`X_meta` must have the columns of X"):
        selector.fit(data.X, data.y)


def test_cleanlab_hands_the_meta_set_on():
    """Run where cleanlab is installed; the page names the version."""
    classification = pytest.importorskip("cleanlab.classification")
    data = wrappers.make("X_meta", LABELS["0, 1, 2"], 3, 1)
    SEEN.clear()
    clean = classification.CleanLearning(wrappers.watched(), cv_n_folds=2, seed=0)
    clean.fit(data.X, data.y, clf_kwargs=data.meta)
    assert np.mean(clean.predict(data.X) == data.y) > 0.9
    assert len(SEEN) == 3
    assert all_right(data)
    masked = wrappers.make("meta_mask", LABELS["0, 1, 2"], 3, 1)
    with pytest.raises(ValueError, match="`meta_mask` must have one entry for each row"):
        classification.CleanLearning(wrappers.watched(), cv_n_folds=2, seed=0).fit(
            masked.X, masked.y, clf_kwargs=masked.meta
        )


def test_probabilities_of_folds_find_wrong_labels():
    """What cleanlab's `find_label_issues` is given."""
    data = wrappers.make("X_meta", LABELS["0, 1, 2"], 3, 1)
    y = data.y.copy()
    y[::10] = (y[::10] + 1) % 3
    found = cross_val_predict(
        wrappers.watched(), data.X, y, cv=FOLDS, method="predict_proba", params=data.meta
    )
    least = found[np.arange(len(y)), y].argsort()[:8]
    assert np.isin(least, np.arange(0, len(y), 10)).all()
