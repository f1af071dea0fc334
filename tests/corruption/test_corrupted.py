"""What the inner classifier gets to see: which rows and labels, and which parameters with them."""

import numpy as np
import pytest
import sklearn
from imblearn.pipeline import make_pipeline as make_imblearn_pipeline
from imblearn.under_sampling import RandomUnderSampler
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.ensemble import AdaBoostClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from classifier_cases import blobs, global_random_states, quick
from corruption_cases import FOLDS, MASK, N, Plain, Watch, X, Y, imbalance, noise
from skgdw.corruption import CorruptedClassifier
from skgdw.model_selection import make_meta_pipeline


@pytest.fixture(params=[True, False], ids=["routing on", "routing off"])
def routing(request):
    with sklearn.config_context(enable_metadata_routing=request.param):
        yield request.param


# --- what is corrupted ----------------------------------------------------------------------------


def test_training_parts_are_corrupted_and_validation_parts_are_not():
    noisy = CorruptedClassifier(Watch(), noise())
    found = cross_validate(noisy, X, Y, cv=FOLDS, return_estimator=True, error_score="raise")
    # Predictions are the truth: one wrong label in a validation part would show.
    assert_array_equal(found["test_score"], [1, 1, 1])
    for (train, _), estimator in zip(FOLDS.split(X, Y), found["estimator"], strict=True):
        assert_array_equal(estimator.estimator_.X_, X[train])
        assert_array_equal(estimator.estimator_.y_, noise().fit_resample(X[train], Y[train])[1])
        (name, sampler), *others = estimator.corruption_
        assert (name, others) == ("labelnoise", [])
        assert_array_equal(sampler.noise_mask_, estimator.estimator_.y_ != Y[train])
        assert 0.3 < sampler.noise_rate_ < 0.7


def test_a_search_over_the_rate_gives_the_scores_found_by_hand():
    data = blobs(90, 3, seed=1)
    rates, own = [0, 0.3, 0.6], LogisticRegression(C=100)
    noisy = CorruptedClassifier(own, noise(kind="uniform"))
    search = GridSearchCV(noisy, {"corruption__noise_rate": rates}, cv=FOLDS, error_score="raise")
    search.fit(data.X, data.y)
    by_hand = np.empty((3, 3))
    for i, rate in enumerate(rates):
        for k, (train, test) in enumerate(FOLDS.split(data.X, data.y)):
            y_noisy = noise(rate, kind="uniform").fit_resample(data.X[train], data.y[train])[1]
            model = clone(own).fit(data.X[train], y_noisy)
            by_hand[i, k] = model.score(data.X[test], data.y[test])
    scores = [search.cv_results_[f"split{k}_test_score"] for k in range(3)]
    assert_array_equal(np.transpose(scores), by_hand)
    assert by_hand[0].mean() > by_hand[2].mean()
    assert search.best_params_ == {"corruption__noise_rate": 0}


@pytest.mark.parametrize("corruption", [None, [], (), [None], [("off", "passthrough")]], ids=str)
def test_nothing_is_corrupted_without_samplers(corruption):
    fitted = CorruptedClassifier(Watch(), corruption).fit(X, Y, meta_mask=np.ones(N, bool))
    assert fitted.estimator_.X_ is X
    assert fitted.estimator_.y_ is Y
    assert fitted.corruption_ == []
    assert_array_equal(fitted.sample_indices_, np.arange(N))


def test_a_class_may_vanish():
    def drop(sampler, X, y):
        return X[y < 2], y[y < 2]

    fitted = CorruptedClassifier(GaussianNB(), Plain(drop)).fit(X, Y)
    assert fitted.classes_.tolist() == [0, 1]
    assert fitted.predict_proba(X).shape == (N, 2)
    assert_array_equal(fitted.sample_indices_, np.full(60, -1))


# --- trusted rows ---------------------------------------------------------------------------------


def test_the_mask_is_left_out_where_the_estimator_has_no_use_for_it(routing):
    model = Watch().set_fit_request(meta_mask=True) if routing else Watch()
    y_noisy = CorruptedClassifier(model, noise())
    y_noisy = y_noisy.fit(X, Y, meta_mask=MASK).estimator_.y_
    assert (y_noisy != Y).any()
    for model in (GaussianNB(), make_pipeline(StandardScaler(), GaussianNB())):
        noisy = CorruptedClassifier(model, noise()).fit(X, Y, meta_mask=MASK)
        by_hand = clone(model).fit(X, y_noisy)
        assert_array_equal(noisy.predict_proba(X), by_hand.predict_proba(X))


def test_estimators_without_routing_are_no_obstacle():
    noisy = CorruptedClassifier(AdaBoostClassifier(n_estimators=2), noise())
    assert noisy.fit(X, Y, meta_mask=MASK).predict(X).shape == (N,)


@pytest.mark.parametrize("make", [make_pipeline, make_imblearn_pipeline])
@pytest.mark.parametrize("model", [Watch(), quick("auto")], ids=["any", "ours"])
def test_a_pipeline_gets_the_mask_by_name_or_by_routing(make, model):
    noisy = CorruptedClassifier(make(StandardScaler(), clone(model)), noise())
    name = type(model).__name__.lower()
    by_name = {f"{name}__meta_mask": MASK}
    with pytest.raises(
        ValueError,
        match=rf"^`meta_mask` must be routed .*; got a Pipeline with steps that take it, \['{name}"
        rf"'\]; pass {name}__meta_mask instead, or switch routing on by sklearn.set_config\(",
    ):
        noisy.fit(X, Y, meta_mask=MASK)

    # What the text advises works, and routing takes nothing else.
    def marked(fitted):
        inner = fitted.estimator_[-1]
        return inner.mask_ if isinstance(inner, Watch) else np.isnan(inner.row_weights_)

    assert_array_equal(marked(noisy.fit(X, Y, **by_name)), MASK)
    with sklearn.config_context(enable_metadata_routing=True):
        if isinstance(model, Watch):
            noisy.estimator[-1].set_fit_request(meta_mask=True)
        assert_array_equal(marked(noisy.fit(X, Y, meta_mask=MASK)), MASK)
        with pytest.raises(TypeError, match=f"{name}__meta_mask"):
            noisy.fit(X, Y, **by_name)


def test_a_sampler_in_a_pipeline_gets_the_mask_by_routing_alone():
    inner = make_imblearn_pipeline(noise(), GaussianNB())
    noisy = CorruptedClassifier(inner, imbalance())
    with pytest.raises(
        ValueError, match=r"steps that take it, \['labelnoise'\]; switch routing on by sklearn.set"
    ):
        noisy.fit(X, Y, meta_mask=MASK)
    with sklearn.config_context(enable_metadata_routing=True):
        noisy.fit(X, Y, meta_mask=MASK)
    changed = noisy.estimator_[0].noise_mask_
    assert changed.any()
    assert not changed[MASK[noisy.sample_indices_]].any()


def test_a_pipeline_that_routes_by_itself_gets_the_mask(routing):
    pipe = make_meta_pipeline(StandardScaler(), quick("auto"))
    noisy = CorruptedClassifier(pipe, noise()).fit(X, Y, meta_mask=MASK)
    assert_array_equal(np.isnan(noisy.estimator_[-1].row_weights_), MASK)


def test_steps_of_a_pipeline_get_their_mask_without_routing():
    pipe = make_pipeline(StandardScaler(), Watch())
    fitted = CorruptedClassifier(pipe, [imbalance(), noise()]).fit(X, Y, watch__meta_mask=MASK)
    inner = fitted.estimator_[-1]
    assert_array_equal(inner.mask_, MASK[fitted.sample_indices_])
    assert_array_equal(inner.y_[inner.mask_], Y[MASK])
    outer = make_pipeline(StandardScaler(), CorruptedClassifier(Watch(), imbalance()))
    outer.fit(X, Y, corruptedclassifier__meta_mask=MASK)
    assert outer[-1].estimator_.mask_.sum() == MASK.sum()


# --- seeds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [None, 0, np.random.RandomState(0)], ids=["none", "int", "state"])
def test_global_random_states_stay(seed):
    before = global_random_states()
    samplers = [RandomUnderSampler(sampling_strategy={0: 9}), noise(random_state=None)]
    CorruptedClassifier(GaussianNB(), samplers, random_state=seed).fit(X, Y).predict(X)
    assert global_random_states() == before


# --- samplers that go wrong -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mask", "error", "match"),
    [
        (np.flatnonzero(MASK), TypeError, "`meta_mask` must be boolean; got dtype int64; zeros"),
        (MASK[:5], ValueError, r"entry for each row of X, shape \(90,\); got \(5,\); mark"),
        (np.ones(N, bool), ValueError, "must leave rows to be corrupted; got only true rows, 90;"),
    ],
)
def test_the_mask_is_checked(mask, error, match):
    with pytest.raises(error, match=match):
        CorruptedClassifier(GaussianNB(), noise()).fit(X, Y, meta_mask=mask)
    pipe = make_pipeline(Watch())
    with pytest.raises(error, match=match.replace("`meta_mask`", "`watch__meta_mask`")):
        CorruptedClassifier(pipe, noise()).fit(X, Y, watch__meta_mask=mask)
