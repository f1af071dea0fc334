"""What the inner classifier gets to see: which rows and labels, and which parameters with them."""

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.pipeline import make_pipeline as make_imblearn_pipeline
from imblearn.under_sampling import RandomUnderSampler
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import AdaBoostClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from classifier_cases import blobs, global_random_states, quick
from corruption_cases import FOLDS, MASK, N, Plain, Watch, X, Y, by_number, imbalance, noise
from skgdw._rows import n_rows, take_rows
from skgdw.corruption import CorruptedClassifier
from skgdw.model_selection import make_meta_pipeline


def drop_first(sampler, X, y):
    return X[1:], y[1:]


def backwards(sampler, X, y):
    sampler.sample_indices_ = np.arange(n_rows(X) - 1, 0, -2)
    return take_rows(X, sampler.sample_indices_), take_rows(y, sampler.sample_indices_)


def same_rows(sampler, X, y):
    return X, (y + 1) % 3


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


def test_samplers_are_applied_in_their_order_to_clones():
    samplers = [imbalance(), noise()]
    fitted = CorruptedClassifier(Watch(), samplers).fit(X, Y)
    X_few, y_few = imbalance().fit_resample(X, Y)
    assert_array_equal(fitted.estimator_.X_, X_few)
    assert_array_equal(fitted.estimator_.y_, noise().fit_resample(X_few, y_few)[1])
    assert_array_equal(fitted.sample_indices_, by_number(X_few))
    assert [name for name, _ in fitted.corruption_] == ["classimbalance", "labelnoise"]
    assert not any(hasattr(sampler, "classes_") for sampler in samplers)
    assert not hasattr(fitted.estimator, "X_")


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


CONTAINERS = {
    "array": (X, Y),
    "images": (np.broadcast_to(X[:, :1, None, None], (N, 1, 2, 2)).copy(), Y),
    "frame": (
        pd.DataFrame({"number": X[:, 0], "kind": pd.Categorical(Y)}, index=range(500, 500 + N)),
        pd.Series(np.array(["a", "b", "c"])[Y], index=range(500, 500 + N), dtype="category"),
    ),
    "csr": (sparse.csr_array(X), Y.astype(np.int8)),
    "csc": (sparse.csc_matrix(X), np.eye(3, dtype=int)[Y]),
    "lists": (X.tolist(), Y.tolist()),
    "tuples": (tuple(X.tolist()), tuple(Y.tolist())),
    "tensors": (torch.tensor(X), torch.tensor(Y)),
    "texts": (X, np.array(["a", "bb", "ccc"])[Y]),
}
CORRUPTIONS = {
    "noise": noise(),
    "imbalance": imbalance(),
    "both": [imbalance(), noise()],
    "foreign": RandomUnderSampler(sampling_strategy={0: 5, 1: 6, 2: 7}, random_state=0),
    "foreign adds": RandomOverSampler(sampling_strategy={0: 40, 1: 40, 2: 40}, random_state=0),
    "foreign, then noise": [RandomUnderSampler(sampling_strategy={0: 9}, random_state=0), noise()],
    "unordered": Plain(backwards),
}


def to_list(data):
    return data.toarray().tolist() if sparse.issparse(data) else np.asarray(data).tolist()


@pytest.mark.parametrize(
    ("rows", "labels", "corruption"),
    [
        pytest.param(*data, corruption, id=f"{kind}-{name}")
        for kind, data in CONTAINERS.items()
        for name, corruption in CORRUPTIONS.items()
        # imbalanced-learn's are told sizes by integer label, and take no images.
        if kind == "array" or not name.startswith("foreign")
    ],
)
def test_trusted_rows_stay_as_they_are(rows, labels, corruption):
    trusted = MASK.copy()
    fitted = CorruptedClassifier(Watch(), corruption).fit(rows, labels, meta_mask=trusted)
    inner, origin = fitted.estimator_, fitted.sample_indices_
    assert type(inner.X_) is type(rows)
    assert (inner.X_ is rows) == (corruption is CORRUPTIONS["noise"])
    assert type(inner.y_) is type(labels)
    assert_array_equal(trusted, MASK)
    # Rows come in the order of the input, and the mask has gone along.
    assert_array_equal(origin, np.sort(origin))
    assert_array_equal(inner.mask_, MASK[origin])
    assert_array_equal(origin[inner.mask_], np.flatnonzero(MASK))
    assert to_list(inner.X_) == [to_list(rows)[i] for i in origin]
    given, true = to_list(inner.y_), to_list(labels)
    assert all(given[j] == true[i] for j, i in enumerate(origin) if MASK[i])
    changed = [given[j] != true[i] for j, i in enumerate(origin) if not MASK[i]]
    has_noise = "LabelNoise" in repr(corruption)
    assert any(changed) == has_noise
    for name in ("dtype", "dtypes"):
        if hasattr(rows, name):
            assert np.all(getattr(inner.X_, name) == getattr(rows, name))
        if hasattr(labels, name):
            assert np.all(getattr(inner.y_, name) == getattr(labels, name))
    if hasattr(rows, "iloc"):
        assert_array_equal(inner.X_.index, rows.index[origin])
        assert_array_equal(inner.y_.index, labels.index[origin])


@pytest.mark.parametrize("make", [noise, imbalance])
def test_a_sampler_without_the_mask_gets_the_other_rows_alone(make):
    def returns(sampler, X, y):
        inner = make()
        result = inner.fit_resample(X, y)
        sampler.sample_indices_ = inner.sample_indices_
        return result

    fitted = CorruptedClassifier(Watch(), Plain(returns)).fit(X, Y, meta_mask=MASK).estimator_
    X_alone, y_alone = make().fit_resample(X[~MASK], Y[~MASK])
    assert_array_equal(fitted.X_[~fitted.mask_], X_alone)
    assert_array_equal(fitted.y_[~fitted.mask_], y_alone)


def test_rows_that_are_made_up_follow_the_trusted_ones():
    few = np.flatnonzero((Y > 0) | (np.arange(N) < 60))
    smote = SMOTE(k_neighbors=2, random_state=0)
    fitted = CorruptedClassifier(Watch(), smote).fit(X[few], Y[few], meta_mask=MASK[few])
    inner = fitted.estimator_
    X_new, y_new = smote.fit_resample(X[few][~MASK[few]], Y[few][~MASK[few]])
    n_trusted = int(MASK[few].sum())
    assert len(X_new) > len(few) - n_trusted
    assert_array_equal(inner.X_, np.vstack([X[few][MASK[few]], X_new]))
    assert_array_equal(inner.y_, np.concatenate([Y[few][MASK[few]], y_new]))
    assert_array_equal(inner.mask_, np.arange(len(inner.X_)) < n_trusted)
    assert_array_equal(fitted.sample_indices_[inner.mask_], np.flatnonzero(MASK[few]))
    assert (fitted.sample_indices_[~inner.mask_] == -1).all()


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


def test_a_sampler_that_takes_the_mask_gets_it():
    class Shift(BaseEstimator):
        def fit_resample(self, X, y, *, meta_mask=None):
            self.sample_indices_ = np.flatnonzero(meta_mask | (y != 2))
            return X[self.sample_indices_], np.where(meta_mask, y, 0)[self.sample_indices_]

    samplers = [Plain(backwards), Shift()]
    fitted = CorruptedClassifier(Watch(), samplers).fit(X, Y, meta_mask=MASK)
    inner, origin = fitted.estimator_, fitted.sample_indices_
    kept = np.flatnonzero(~MASK)[:0:-2]
    assert_array_equal(origin, np.sort([*np.flatnonzero(MASK), *kept[Y[kept] != 2]]))
    assert_array_equal(by_number(inner.X_), origin)
    assert_array_equal(inner.y_, np.where(MASK, Y, 0)[origin])
    assert_array_equal(inner.mask_, MASK[origin])


def test_a_mask_of_no_rows_changes_nothing():
    fitted = CorruptedClassifier(Watch(), noise()).fit(X, Y, meta_mask=np.zeros(N, bool))
    assert fitted.estimator_.X_ is X
    assert_array_equal(fitted.estimator_.y_, noise().fit_resample(X, Y)[1])


def test_steps_of_a_pipeline_get_their_mask_without_routing():
    pipe = make_pipeline(StandardScaler(), Watch())
    fitted = CorruptedClassifier(pipe, [imbalance(), noise()]).fit(X, Y, watch__meta_mask=MASK)
    inner = fitted.estimator_[-1]
    assert_array_equal(inner.mask_, MASK[fitted.sample_indices_])
    assert_array_equal(inner.y_[inner.mask_], Y[MASK])
    outer = make_pipeline(StandardScaler(), CorruptedClassifier(Watch(), imbalance()))
    outer.fit(X, Y, corruptedclassifier__meta_mask=MASK)
    assert outer[-1].estimator_.mask_.sum() == MASK.sum()


# --- other fit parameters -------------------------------------------------------------------------


def test_entries_for_each_row_go_along_with_the_rows():
    weight = np.arange(N) / N
    params = {"sample_weight": weight, "extra": pd.Series(np.arange(N), index=range(N, 2 * N))}
    for sampler in (imbalance(), RandomOverSampler(sampling_strategy={0: 50}, random_state=0)):
        fitted = CorruptedClassifier(Watch(), sampler).fit(X, Y, **params).estimator_
        assert len(fitted.X_) != N
        assert_array_equal(fitted.weight_, by_number(fitted.X_) / N)
        assert_array_equal(fitted.extra_, by_number(fitted.X_))
        assert_array_equal(fitted.extra_.index, N + by_number(fitted.X_))


def test_what_has_no_entry_for_each_row_stays():
    X_meta, y_meta = np.ones((N, 2)), np.zeros(N)
    for extra in (("text",), {i: i for i in range(N)}, "x" * N, 5, np.ones(3), None):
        params = {"X_meta": X_meta, "y_meta": (y_meta,), "extra": extra}
        fitted = CorruptedClassifier(Watch(), imbalance()).fit(X, Y, **params).estimator_
        assert fitted.X_meta_ is X_meta
        assert fitted.y_meta_ is params["y_meta"]
        assert fitted.extra_ is extra


def test_nothing_is_touched_while_all_rows_stay():
    weight = np.arange(N) / N
    fitted = CorruptedClassifier(Watch(), noise()).fit(X, Y, sample_weight=weight).estimator_
    assert fitted.weight_ is weight
    assert fitted.X_ is X


def test_entries_are_refused_where_a_sampler_does_not_tell_its_rows():
    noisy = CorruptedClassifier(Watch(), Plain(drop_first))
    with pytest.raises(
        ValueError,
        match=r"here \['sample_weight', 'extra'\], must be carried along .*; got 89 rows of unkno.*"
        "; leave the parameters out, or use samplers that set sample_indices_",
    ):
        noisy.fit(X, Y, sample_weight=np.ones(N), extra=np.ones(N), X_meta=np.ones((N, 2)))
    assert_array_equal(noisy.fit(X, Y, extra=np.ones(3)).estimator_.X_, X[1:])
    same = CorruptedClassifier(Watch(), Plain(same_rows)).fit(X, Y, sample_weight=np.ones(N))
    assert_array_equal(same.sample_indices_, np.arange(N))


# --- seeds ----------------------------------------------------------------------------------------


def labels_seen(**params):
    return CorruptedClassifier(Watch(), **params).fit(X, Y).estimator_.y_.tolist()


def test_seeds_are_set_where_there_is_none():
    free = noise(random_state=None)
    first = labels_seen(corruption=free, random_state=3)
    assert labels_seen(corruption=free, random_state=3) == first
    assert labels_seen(corruption=free, random_state=4) != first
    assert labels_seen(corruption=free) != labels_seen(corruption=free)
    assert free.random_state is None
    assert labels_seen(corruption=noise(), random_state=3) == labels_seen(corruption=noise())


def test_one_seed_does_not_hang_on_the_others():
    def second(first):
        fitted = CorruptedClassifier(
            Watch(), [first, noise(random_state=None)], random_state=0
        ).fit(X, Y)
        return fitted.corruption_[1][1].random_state

    free = second(noise(random_state=None))
    assert second(noise(random_state=7)) == free
    fitted = CorruptedClassifier(Watch(), [noise(random_state=None)] * 2, random_state=0).fit(X, Y)
    seeds = [sampler.random_state for _, sampler in fitted.corruption_]
    assert len({*seeds}) == 2


@pytest.mark.parametrize("seed", [None, 0, np.random.RandomState(0)], ids=["none", "int", "state"])
def test_global_random_states_stay(seed):
    before = global_random_states()
    samplers = [RandomUnderSampler(sampling_strategy={0: 9}), noise(random_state=None)]
    CorruptedClassifier(GaussianNB(), samplers, random_state=seed).fit(X, Y).predict(X)
    assert global_random_states() == before


# --- samplers that go wrong -----------------------------------------------------------------------


def with_indices(*indices):
    def returns(sampler, X, y):
        sampler.sample_indices_ = np.array(indices)
        return X[:2], y[:2]

    return returns


@pytest.mark.parametrize(
    ("returns", "error", "match"),
    [
        (lambda s, X, y: (X[:5], y[:4]), ValueError, "5 rows and 4 labels from 'plain'; mend"),
        (lambda s, X, y: X, TypeError, "return X and y; got ndarray from 'plain'; return"),
        (lambda s, X, y: (X, y, y), TypeError, "return X and y; got tuple from 'plain'; return"),
        (with_indices(0), ValueError, r"got int64 of shape \(1,\) for 2 rows out of 90 from 'p"),
        (with_indices(0, N), ValueError, "sample_indices_ name a row of X for each row returned"),
        (with_indices(-1, 1), ValueError, "sample_indices_ name a row of X for each row returned"),
        (with_indices(True, False), ValueError, r"got bool of shape \(2,\) for 2 rows"),
    ],
)
def test_what_samplers_return_is_checked(returns, error, match):
    with pytest.raises(error, match=match):
        CorruptedClassifier(GaussianNB(), Plain(returns)).fit(X, Y)


def test_a_sampler_that_takes_the_mask_must_tell_its_rows():
    class Silent(BaseEstimator):
        def fit_resample(self, X, y, meta_mask=None):
            return X[1:], y[1:]

    noisy = CorruptedClassifier(GaussianNB(), Silent()).fit(X, Y)
    with pytest.raises(ValueError, match="set sample_indices_ if they take meta_mask; got none"):
        noisy.fit(X, Y, meta_mask=MASK)


@pytest.mark.parametrize(
    ("mask", "error", "match"),
    [
        (np.flatnonzero(MASK), TypeError, "`meta_mask` must be boolean; got dtype int64; row num"),
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
