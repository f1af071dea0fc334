"""The meta-estimator among scikit-learn's tools: routing, searches, parameters, its own checks."""

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.testing import assert_array_equal
from sklearn.base import clone, is_classifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import NotFittedError, UnsetMetadataPassedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils import estimator_html_repr, get_tags
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    parametrize_with_checks,
)

from classifier_cases import blobs, quick
from corruption_cases import FOLDS, MASK, N, Watch, X, Y, by_number, imbalance, noise
from skgdw import GDWClassifier
from skgdw.corruption import ClassImbalance, CorruptedClassifier, LabelNoise
from skgdw.model_selection import make_meta_pipeline


@pytest.fixture(params=[True, False], ids=["routing on", "routing off"])
def routing(request):
    with sklearn.config_context(enable_metadata_routing=request.param):
        yield request.param


@pytest.fixture
def _routing_on():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


# --- routing, pipelines, searches -----------------------------------------------------------------


DATA = blobs(60, 12)
META = {"X_meta": (DATA.X_meta,), "y_meta": (DATA.y_meta,)}


def test_the_meta_set_reaches_the_classifier(routing):
    noisy = CorruptedClassifier(quick(), noise()).fit(DATA.X, DATA.y, **META)
    y_noisy = noise().fit_resample(DATA.X, DATA.y)[1]
    by_hand = quick().fit(DATA.X, y_noisy, DATA.X_meta, DATA.y_meta)
    assert_array_equal(noisy.predict_proba(DATA.X), by_hand.predict_proba(DATA.X))
    assert_array_equal(noisy.classes_, [0, 1, 2])


def test_the_mask_reaches_the_classifier(routing):
    trusted = np.arange(60) % 5 == 0
    noisy = CorruptedClassifier(quick(), [imbalance(), noise()])
    noisy.fit(DATA.X, DATA.y, meta_mask=trusted)
    kept, row_weights = noisy.sample_indices_, noisy.estimator_.row_weights_
    assert_array_equal(np.isnan(row_weights), trusted[kept])
    assert set(np.flatnonzero(trusted)) <= set(kept)


@pytest.mark.parametrize("place", ["around", "inside"])
def test_meta_pipelines(routing, place):
    data = DATA._replace(X=100 + 10 * DATA.X, X_meta=100 + 10 * DATA.X_meta)
    meta = {"X_meta": (data.X_meta,), "y_meta": (data.y_meta,)}
    if place == "around":
        pipe = CorruptedClassifier(make_meta_pipeline(StandardScaler(), quick()), noise())
        grid = {"estimator__gdwclassifier__meta_lr": [0.03, 0.3], "corruption__noise_rate": [0.2]}
    else:
        pipe = make_meta_pipeline(StandardScaler(), CorruptedClassifier(quick(), noise()))
        grid = {
            "corruptedclassifier__estimator__meta_lr": [0.03, 0.3],
            "corruptedclassifier__corruption__noise_rate": [0.2],
        }
    pipe.fit(data.X, data.y, **meta)
    scale = StandardScaler().fit(data.X)
    y_noisy = noise().fit_resample(data.X, data.y)[1]
    by_hand = quick().fit(
        scale.transform(data.X), y_noisy, scale.transform(data.X_meta), data.y_meta
    )
    expected = by_hand.predict_proba(scale.transform(data.X))
    assert_array_equal(pipe.predict_proba(data.X), expected)

    search = GridSearchCV(pipe, grid, cv=FOLDS, error_score="raise").fit(data.X, data.y, **meta)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_params_.keys() == grid.keys()
    scores = cross_validate(pipe, data.X, data.y, cv=FOLDS, params=meta, error_score="raise")
    assert np.isfinite(scores["test_score"]).all()


@pytest.mark.long
@pytest.mark.parametrize("place", ["around", "inside"])
def test_search_by_workers(routing, place):
    if place == "around":
        pipe = CorruptedClassifier(make_meta_pipeline(StandardScaler(), quick("auto")), noise())
        name = "corruption__noise_rate"
    else:
        pipe = make_meta_pipeline(StandardScaler(), CorruptedClassifier(quick("auto"), noise()))
        name = "corruptedclassifier__corruption__noise_rate"
    search = GridSearchCV(pipe, {name: [0.1, 0.5]}, scoring="neg_log_loss", cv=FOLDS)
    serial = clone(search).fit(DATA.X, DATA.y, **META).cv_results_["mean_test_score"]
    parallel = search.set_params(n_jobs=2).fit(DATA.X, DATA.y, **META)
    assert np.isfinite(serial).all()
    assert_array_equal(parallel.cv_results_["mean_test_score"], serial)


def test_the_mask_is_cut_with_the_folds(routing):
    model = Watch().set_fit_request(meta_mask=True) if routing else Watch()
    noisy = CorruptedClassifier(model, [imbalance(), noise()])
    options = {"cv": FOLDS, "params": {"meta_mask": MASK}, "error_score": "raise"}
    found = cross_validate(noisy, X, Y, return_estimator=True, **options)["estimator"]
    for (train, _), fitted in zip(FOLDS.split(X, Y), found, strict=True):
        seen = fitted.estimator_
        assert_array_equal(seen.mask_, MASK[by_number(seen.X_)])
        assert_array_equal(seen.y_[seen.mask_], Y[train][MASK[train]])
        assert len(seen.X_) < len(train)


@pytest.mark.usefixtures("_routing_on")
def test_requests():
    noisy = CorruptedClassifier(Watch(), noise())
    with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
        noisy.fit(X, Y, sample_weight=np.ones(N))
    with pytest.raises(TypeError, match="unexpected argument"):
        noisy.fit(X, Y, other=1)
    noisy.estimator.set_fit_request(sample_weight="weight", meta_mask=False)
    assert_array_equal(noisy.fit(X, Y, weight=np.ones(N)).estimator_.weight_, np.ones(N))
    inner = noisy.fit(X, Y, meta_mask=MASK).estimator_
    assert inner.mask_ is None
    assert_array_equal(inner.y_[MASK], Y[MASK])
    assert (inner.y_ != Y).any()
    pipe = make_pipeline(StandardScaler(), noisy).fit(X, Y)
    assert pipe.score(X, Y) <= 1
    with pytest.raises(UnsetMetadataPassedError, match="set_score_request"):
        pipe.score(X, Y, sample_weight=np.ones(N))


# --- the estimator's contract ---------------------------------------------------------------------


def test_methods_are_those_of_the_estimator():
    svm = CorruptedClassifier(LinearSVC(), noise())
    assert hasattr(svm, "decision_function")
    assert not hasattr(svm, "predict_proba")
    with pytest.raises(AttributeError, match="has no attribute 'predict_log_proba'"):
        svm.predict_log_proba(X)
    with pytest.raises(NotFittedError):
        svm.predict(X)
    svm.fit(X, Y)
    assert_array_equal(svm.decision_function(X), svm.estimator_.decision_function(X))
    assert_array_equal(svm.predict(X), svm.estimator_.predict(X))
    assert svm.score(X, Y) == svm.estimator_.score(X, Y)
    bayes = CorruptedClassifier(GaussianNB(), noise()).fit(X, Y)
    assert_array_equal(bayes.predict_proba(X), bayes.estimator_.predict_proba(X))
    assert_array_equal(bayes.predict_log_proba(X), bayes.estimator_.predict_log_proba(X))
    assert not hasattr(bayes, "partial_fit")


def test_what_fit_learns_of_the_columns_is_forgotten_by_the_next():
    frame = pd.DataFrame(X, columns=["number", "kind"])
    noisy = CorruptedClassifier(GaussianNB(), noise()).fit(frame, Y)
    assert noisy.feature_names_in_.tolist() == ["number", "kind"]
    assert noisy.n_features_in_ == 2
    assert not hasattr(noisy.fit(X[:, :1], Y), "feature_names_in_")
    assert noisy.n_features_in_ == 1
    assert not hasattr(noisy.set_params(estimator=Watch()).fit(X, Y), "n_features_in_")


def test_tags_are_those_of_the_estimator():
    tags = get_tags(CorruptedClassifier(HistGradientBoostingClassifier(), noise()))
    assert tags.input_tags.allow_nan
    assert is_classifier(CorruptedClassifier(GaussianNB()))
    assert not get_tags(CorruptedClassifier(GaussianNB())).input_tags.sparse
    images = get_tags(CorruptedClassifier(GDWClassifier()))
    assert images.input_tags == get_tags(GDWClassifier()).input_tags


def test_pickles_and_shows_itself():
    noisy = CorruptedClassifier(GaussianNB(), [imbalance(), ("mine", noise())]).fit(X, Y)
    again = pickle.loads(pickle.dumps(noisy))
    assert_array_equal(again.predict_proba(X), noisy.predict_proba(X))
    assert_array_equal(again.corruption_[1][1].noise_mask_, noisy.corruption_[1][1].noise_mask_)
    assert "ClassImbalance" in repr(noisy)
    assert "LabelNoise" in estimator_html_repr(noisy)


def test_a_refused_fit_leaves_the_one_before():
    noisy = CorruptedClassifier(GaussianNB(), noise()).fit(X, Y)
    before = noisy.predict_proba(X)
    with pytest.raises(ValueError, match="at least two classes"):
        noisy.fit(X, np.zeros(N))
    assert_array_equal(noisy.predict_proba(X), before)


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [None, 5, StandardScaler, "text"])
def test_the_estimator_is_checked(wrong):
    with pytest.raises(
        TypeError, match=r"`estimator` must be an instance of a classifier with fit; got .*; pass"
    ):
        CorruptedClassifier(wrong).fit(X, Y)


def test_lengths_are_checked():
    with pytest.raises(ValueError, match="`X` and `y` must have the same number of rows; got 90"):
        CorruptedClassifier(GaussianNB()).fit(X, Y[:5])


# --- scikit-learn's own checks --------------------------------------------------------------------


@pytest.fixture
def _array_api(monkeypatch):
    """Run the check of array API inputs as well, which is skipped without this."""
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")


QUIET = LabelNoise(noise_rate=0)
CHECKED = [
    CorruptedClassifier(LogisticRegression()),
    CorruptedClassifier(LogisticRegression(), QUIET),
    CorruptedClassifier(
        make_pipeline(StandardScaler(), LogisticRegression()),
        [("few", ClassImbalance(imbalance_ratio=1)), ("noise", QUIET), ("off", None)],
        random_state=0,
    ),
]


@pytest.mark.usefixtures("_array_api")
@parametrize_with_checks(CHECKED)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", CHECKED, ids=["none", "one", "list"])
def test_column_names(estimator):
    check_dataframe_column_names_consistency("CorruptedClassifier", estimator)


@pytest.mark.long
@pytest.mark.usefixtures("_array_api")
@pytest.mark.filterwarnings("ignore::skgdw.exceptions.NoMetaSetWarning")
@parametrize_with_checks(
    [CorruptedClassifier(GDWClassifier(max_epochs=3, random_state=0, verbose=0), QUIET)]
)
def test_scikit_learn_checks_of_our_classifier(estimator, check):
    check(estimator)
