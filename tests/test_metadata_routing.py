"""The meta set on its way through scikit-learn's searches, cross-validation and pipelines."""

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, VotingClassifier
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 (makes the next import work)
from sklearn.metrics import log_loss
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    HalvingGridSearchCV,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from classifier_cases import Net, blobs, quick
from skgdw import GDWClassifier
from skgdw.corruption import ClassImbalance, CorruptedClassifier
from skgdw.exceptions import MetaScaleWarning, MetaSlicedWarning
from skgdw.model_selection import make_meta_pipeline

DATA = blobs(60, 12)
X, Y, X_META, Y_META = DATA
WRAPPED = {"X_meta": (X_META,), "y_meta": (Y_META,)}
MASK = {"meta_mask": np.arange(60) % 5 == 0}
FOLDS = StratifiedKFold(3, shuffle=True, random_state=0)

# Fits of one run, with how many rows and meta rows each saw, and their means; and their X_val.
SEEN, SEEN_VALID = [], []


class Watched(GDWClassifier):
    """Writes down what reaches it."""

    def fit(self, X, y=None, X_meta=None, y_meta=None, *, meta_mask=None, X_val=None, y_val=None):
        n_meta = None if meta_mask is None else int(np.sum(meta_mask))
        mean = None
        if X_meta is not None:
            n_meta = len(np.asarray(X_meta[0] if isinstance(X_meta, tuple) else X_meta))
            mean = float(np.mean(X_meta))
        SEEN.append((len(X), n_meta, float(np.mean(X)), mean))
        SEEN_VALID.append(X_val)
        valid = {"X_val": X_val, "y_val": y_val}
        return super().fit(X, y, X_meta, y_meta, meta_mask=meta_mask, **valid)


def watched(**params):
    given = {"weighting": "class", "max_epochs": 1, "verbose": 0, "random_state": 0, **params}
    return Watched(Net, **given)


@pytest.fixture(autouse=True)
def _nothing_seen():
    SEEN.clear()
    SEEN_VALID.clear()


@pytest.fixture(params=[True, False], ids=["routing on", "routing off"])
def routing(request):
    with sklearn.config_context(enable_metadata_routing=request.param):
        yield request.param


@pytest.fixture
def routing_on():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@pytest.mark.parametrize("meta", [WRAPPED, MASK], ids=["tuples", "mask"])
def test_grid_search(routing, meta):
    search = GridSearchCV(watched(), {"meta_lr": [0.03, 0.3]}, cv=FOLDS, error_score="raise")
    search.fit(X, Y, **meta)
    folds, refit = SEEN[:-1], SEEN[-1]
    assert len(folds) == 6
    assert {rows for rows, *_ in folds} == {40}
    n_meta = [n for _, n, *_ in folds]
    if meta is WRAPPED:
        assert n_meta == [12] * 6
    else:  # each fold leaves its share out: two thirds of 12 rows, for three folds and two values
        assert sum(n_meta) == 2 * 2 * 12
        assert max(n_meta) < 12
    assert refit[:2] == (60, 12)
    assert search.predict(X).shape == (60,)
    assert search.best_params_["meta_lr"] in (0.03, 0.3)


def test_bare_arrays_of_another_length_are_not_cut(routing):
    search = GridSearchCV(watched(), {"meta_lr": [0.1]}, cv=FOLDS, error_score="raise")
    search.fit(X, Y, X_meta=X_META, y_meta=Y_META)
    assert {n for _, n, *_ in SEEN} == {12}


def test_bare_arrays_of_the_same_length_are_cut_and_reported(routing):
    data = blobs(60, 60)
    with pytest.warns(MetaSlicedWarning, match="as many rows as X, 40") as caught:
        cross_val_score(
            watched(), X, Y, cv=FOLDS, params={"X_meta": data.X_meta, "y_meta": data.y_meta}
        )
    assert {n for _, n, *_ in SEEN} == {40}
    assert len(caught) == 3


def test_wrapped_arrays_of_the_same_length_stay_whole_and_quiet(routing):
    data = blobs(60, 60)
    cross_val_score(
        watched(), X, Y, cv=FOLDS, params={"X_meta": (data.X_meta,), "y_meta": (data.y_meta,)}
    )
    assert {n for _, n, *_ in SEEN} == {60}


@pytest.mark.parametrize("meta", [WRAPPED, MASK], ids=["tuples", "mask"])
def test_cross_validation(routing, meta):
    options = {"scoring": "neg_log_loss", "cv": FOLDS, "params": meta}
    found = cross_validate(watched(), X, Y, **options)["test_score"]
    assert [rows for rows, *_ in SEEN] == [40, 40, 40]
    train, test = next(FOLDS.split(X, Y))
    own = meta if meta is WRAPPED else {"meta_mask": MASK["meta_mask"][train]}
    by_hand = quick().fit(X[train], Y[train], **own)
    assert np.isclose(found[0], -log_loss(Y[test], by_hand.predict_proba(X[test])))
    predicted = cross_val_predict(watched(), X, Y, cv=FOLDS, params=meta)
    assert np.array_equal(predicted[test], by_hand.predict(X[test]))


def test_nested_search(routing):
    search = GridSearchCV(watched(), {"lr": [0.1, 0.01]}, cv=2, error_score="raise")
    scores = cross_val_score(search, X, Y, cv=2, params=WRAPPED)
    assert np.isfinite(scores).all()
    assert {n for _, n, *_ in SEEN} == {12}


def test_halving_search(routing_on):
    search = HalvingGridSearchCV(
        watched(), {"lr": [0.1, 0.01, 0.001]}, cv=2, min_resources=20, error_score="raise"
    )
    search.fit(X, Y, **WRAPPED)
    assert {n for _, n, *_ in SEEN} == {12}


def test_groups_beside_the_meta_set(routing_on):
    groups = np.arange(60) // 6
    search = GridSearchCV(watched(), {"lr": [0.1]}, cv=GroupKFold(3), error_score="raise")
    search.fit(X, Y, groups=groups, **WRAPPED)
    assert {n for _, n, *_ in SEEN} == {12}


@pytest.mark.parametrize(
    "backend", ["threading", pytest.param("loky", marks=pytest.mark.long)], ids=str
)
def test_search_by_workers(routing, backend):
    options = {"scoring": "neg_log_loss", "cv": FOLDS, "error_score": "raise"}
    search = GridSearchCV(quick("auto"), {"meta_lr": [0.03, 0.3]}, **options)
    serial = clone(search).fit(X, Y, **WRAPPED).cv_results_["mean_test_score"]
    with joblib.parallel_config(backend=backend):
        parallel = search.set_params(n_jobs=2).fit(X, Y, **WRAPPED)
    assert np.array_equal(parallel.cv_results_["mean_test_score"], serial)


def test_a_fold_without_meta_rows_is_refused_in_words(routing):
    late = {"meta_mask": np.arange(60) >= 50}
    with pytest.raises(ValueError, match=r"got no true row. Under cross-validation every fold"):
        cross_val_score(
            watched(),
            X,
            Y,
            cv=[(np.arange(50), np.arange(50, 60))],
            params=late,
            error_score="raise",
        )


# --- validation rows ------------------------------------------------------------------------------

X_VAL, Y_VAL = blobs(60, 3, seed=1)[:2]
VALID = {"X_val": (X_VAL,), "y_val": (Y_VAL,)}


@pytest.mark.parametrize("meta", [WRAPPED, MASK], ids=["tuples", "mask"])
def test_searches_and_cross_validation_never_cut_validation_rows(routing, meta):
    search = GridSearchCV(watched(), {"meta_lr": [0.03, 0.3]}, cv=FOLDS, error_score="raise")
    search.fit(X, Y, **meta, **VALID)
    cross_validate(watched(), X, Y, cv=FOLDS, params={**meta, **VALID}, error_score="raise")
    cross_val_score(search, X, Y, cv=2, params={**meta, **VALID}, error_score="raise")
    assert len(SEEN_VALID) == 7 + 3 + 2 * 7
    assert all(X_val[0] is X_VAL for X_val in SEEN_VALID)


def test_bare_validation_rows_of_the_same_length_are_cut_and_reported(routing):
    params = {**WRAPPED, "X_val": X_VAL, "y_val": Y_VAL}
    with pytest.warns(MetaSlicedWarning, match=r"`X_val` has as many rows as X, 40: .* X_val=\(X_"):
        cross_validate(watched(), X, Y, cv=FOLDS, params=params, error_score="raise")
    assert {len(X_val) for X_val in SEEN_VALID} == {40}


@pytest.mark.parametrize(
    "make", [CalibratedClassifierCV, BaggingClassifier], ids=lambda c: c.__name__
)
def test_meta_estimators_hand_validation_rows_on(routing_on, make):
    make(watched()).fit(X, Y, **WRAPPED, **VALID)
    assert SEEN_VALID
    assert all(X_val[0] is X_VAL for X_val in SEEN_VALID)


def test_labels_that_a_meta_estimator_encoded_anew_are_refused_for_validation_rows(routing_on):
    meta = {"meta_mask": MASK["meta_mask"]}
    net = VotingClassifier([("a", watched())])
    names = np.array([*"abc"])
    with pytest.raises(
        ValueError, match=r"`y_val` must hold labels of the same kind.*encoded y anew"
    ):
        net.fit(X, names[Y], **meta, X_val=(X_VAL,), y_val=(names[Y_VAL],))
    with pytest.raises(ValueError, match=r"y or y_meta hold, \[0, 1, 2\]; got \[3\] in 20 rows"):
        net.fit(X, Y + 1, **meta, X_val=(X_VAL,), y_val=(Y_VAL + 1,))


def test_pipelines_transform_validation_rows(routing):
    scaled = {"X_meta": (100 + 10 * X_META,), "y_meta": (Y_META,)}
    valid = {"X_val": (100 + 10 * X_VAL,), "y_val": (Y_VAL,)}
    pipe = make_meta_pipeline(StandardScaler(), watched())
    search = GridSearchCV(pipe, {"watched__meta_lr": [0.03, 0.3]}, cv=FOLDS, error_score="raise")
    search.fit(100 + 10 * X, Y, **scaled, **valid)
    assert len(SEEN_VALID) == 7
    assert all(X_val[0].shape == (60, 4) for X_val in SEEN_VALID)
    expected = search.best_estimator_[0].transform(100 + 10 * X_VAL)
    assert np.array_equal(SEEN_VALID[-1][0], expected)


def test_a_pipeline_that_leaves_validation_rows_as_they_were_is_reported(routing_on):
    pipe = make_pipeline(StandardScaler(), watched(), transform_input=["X_meta"])
    with pytest.warns(MetaScaleWarning, match="The validation set should be on the scale of X"):
        pipe.fit(
            100 + 10 * X, Y, X_meta=(100 + 10 * X_META,), y_meta=(Y_META,),
            X_val=(100 + 10 * X_VAL,), y_val=(Y_VAL,),
        )  # fmt: skip


def test_corrupted_classifier_leaves_validation_rows_as_they_are(routing):
    noisy = CorruptedClassifier(watched(), ClassImbalance(imbalance_ratio=3, random_state=0))
    noisy.fit(X, Y, **WRAPPED, X_val=X_VAL, y_val=Y_VAL)  # as many rows as X
    assert SEEN[0][0] < 60
    assert SEEN_VALID[0] is X_VAL


def test_requests_for_validation_rows_can_be_changed(routing_on):
    net = watched().set_fit_request(X_val="X_clean", y_val="y_clean")
    search = GridSearchCV(net, {"lr": [0.1]}, cv=FOLDS, error_score="raise")
    search.fit(X, Y, **WRAPPED, X_clean=(X_VAL,), y_clean=(Y_VAL,))
    assert all(X_val[0] is X_VAL for X_val in SEEN_VALID)


# --- requests -------------------------------------------------------------------------------------


def test_metadata_is_requested_without_a_call():
    requests = quick().get_metadata_routing()
    names = {"X_meta", "y_meta", "meta_mask", "X_val", "y_val"}
    for method in ("fit", "partial_fit"):
        assert requests.consumes(method, [*names, "classes", "sample_weight"]) == names
    assert clone(quick()).get_metadata_routing().consumes("fit", names) == names


def test_requests_can_be_changed(routing_on):
    net = watched().set_fit_request(X_meta="X_trusted", y_meta="y_trusted")
    search = GridSearchCV(net, {"lr": [0.1]}, cv=FOLDS, error_score="raise")
    search.fit(X, Y, X_trusted=(X_META,), y_trusted=(Y_META,))
    assert {n for _, n, *_ in SEEN} == {12}


def test_an_unset_request_is_reported(routing_on):
    net = watched().set_fit_request(X_meta=None, y_meta=None, meta_mask=None)
    with pytest.raises(UnsetMetadataPassedError, match="X_meta"):
        GridSearchCV(net, {"lr": [0.1]}, cv=FOLDS).fit(X, Y, **WRAPPED)


def test_other_metadata_is_refused():
    with pytest.raises(TypeError, match="groups"):
        quick().fit(*DATA, groups=np.ones(60))


# --- pipelines ------------------------------------------------------------------------------------


def test_pipeline_transforms_the_meta_set(routing_on):
    pipe = make_pipeline(StandardScaler(), watched(), transform_input=["X_meta"])
    pipe.fit(100 + 10 * X, Y, X_meta=(100 + 10 * X_META,), y_meta=(Y_META,))
    rows, n_meta, mean, meta_mean = SEEN[0]
    assert (rows, n_meta) == (60, 12)
    assert abs(mean) < 1e-6
    assert abs(meta_mean) < 0.5
    assert pipe.predict(100 + 10 * X).shape == (60,)


def test_pipeline_in_a_search(routing_on):
    pipe = Pipeline([("scale", StandardScaler()), ("net", watched())], transform_input=["X_meta"])
    search = GridSearchCV(pipe, {"net__meta_lr": [0.03, 0.3]}, cv=FOLDS, error_score="raise")
    search.fit(100 + 10 * X, Y, X_meta=(100 + 10 * X_META,), y_meta=(Y_META,))
    assert {n for _, n, *_ in SEEN} == {12}
    assert max(abs(meta_mean) for *_, meta_mean in SEEN) < 0.5


def test_pipeline_that_leaves_the_meta_set_as_it_was_is_reported(routing_on):
    pipe = make_pipeline(StandardScaler(), watched())
    with pytest.warns(match="The meta set should be on the scale of X.*make_meta_pipeline"):
        pipe.fit(100 + 10 * X, Y, X_meta=(100 + 10 * X_META,), y_meta=(Y_META,))


def test_pipeline_without_routing_takes_the_mask():
    pipe = Pipeline([("scale", StandardScaler()), ("net", watched())])
    pipe.fit(100 + 10 * X, Y, net__meta_mask=MASK["meta_mask"])
    assert SEEN[0][:2] == (60, 12)
    scores = cross_val_score(
        pipe, 100 + 10 * X, Y, cv=FOLDS, params={"net__meta_mask": MASK["meta_mask"]}
    )
    assert np.isfinite(scores).all()


def test_pipeline_of_frames(routing_on):
    frame, meta = (pd.DataFrame(a, columns=[*"abcd"]) for a in (X, X_META))
    scale = StandardScaler().set_output(transform="pandas")
    pipe = make_pipeline(scale, quick(), transform_input=["X_meta"])
    pipe.fit(frame, Y, X_meta=(meta,), y_meta=(Y_META,))
    assert pipe[-1].feature_names_in_.tolist() == [*"abcd"]
    assert pipe.predict(frame).shape == (60,)


def test_pipeline_of_images(routing_on):
    rng = np.random.default_rng(0)
    images, meta = rng.integers(0, 256, (60, 1, 4, 4)), rng.integers(0, 256, (12, 1, 4, 4))
    pipe = make_pipeline(
        FunctionTransformer(lambda a: np.asarray(a) / 255),
        quick("auto"),
        transform_input=["X_meta"],
    )
    pipe.fit(images, Y, X_meta=(meta,), y_meta=(Y_META,))
    assert pipe.predict(images).shape == (60,)


# --- other meta-estimators ------------------------------------------------------------------------


@pytest.mark.parametrize("meta", [WRAPPED, MASK], ids=["tuples", "mask"])
def test_calibration(routing_on, meta):
    net = CalibratedClassifierCV(watched(), cv=FOLDS)
    assert net.fit(X, Y, **meta).predict_proba(X).shape == (60, 3)
    assert len(SEEN) == 3


@pytest.mark.parametrize("meta", [WRAPPED, MASK], ids=["tuples", "mask"])
@pytest.mark.filterwarnings("ignore::skgdw.exceptions.MetaClassWarning")
def test_bagging(routing_on, meta):
    net = BaggingClassifier(watched(), n_estimators=2, random_state=0).fit(X, Y, **meta)
    assert net.predict(X).shape == (60,)
    assert len(SEEN) == 2


def test_voting(routing_on):
    net = VotingClassifier([("a", watched()), ("b", watched(lr=0.01))], voting="soft")
    assert net.fit(X, Y, **WRAPPED).predict(X).shape == (60,)
    assert {n for _, n, *_ in SEEN} == {12}
