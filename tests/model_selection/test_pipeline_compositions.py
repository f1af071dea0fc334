"""`make_meta_pipeline` with a classifier inside everything that fits it again."""

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    StratifiedKFold,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_validate,
)
from sklearn.preprocessing import StandardScaler

from classifier_cases import blobs, quick
from skgdw import GDWClassifier
from skgdw.model_selection import make_meta_pipeline

# Far from zero: a meta set that is not scaled along is seen by the classifier, which warns.
DATA = blobs(60, 12)
X, Y = 100 + 10 * DATA.X, DATA.y
X_META, Y_META = 100 + 10 * DATA.X_meta, DATA.y_meta
META = {"X_meta": (X_META,), "y_meta": (Y_META,)}
FOLDS = StratifiedKFold(3, shuffle=True, random_state=0)
GRID = {"gdwclassifier__meta_lr": [0.03, 0.3]}
OPTIONS = {"scoring": "neg_log_loss", "cv": FOLDS, "error_score": "raise"}


@pytest.fixture(params=[False, True], ids=["routing off", "routing on"], autouse=True)
def _routing(request):
    with sklearn.config_context(enable_metadata_routing=request.param):
        yield


def pipeline(**params):
    return make_meta_pipeline(StandardScaler(), quick("auto", **params))


def by_hand(train, test, **params):
    scaler = StandardScaler().fit(X[train])
    net = quick("auto", **params)
    net.fit(scaler.transform(X[train]), Y[train], scaler.transform(X_META), Y_META)
    return net.predict_proba(scaler.transform(X[test]))


def as_memmap(array, folder):
    np.save(folder / "rows.npy", array)
    return np.load(folder / "rows.npy", mmap_mode="r")


CONTAINERS = {
    "array": lambda a, folder: a,
    "list": lambda a, folder: a.tolist(),
    "frame or series": lambda a, folder: pd.DataFrame(a) if a.ndim == 2 else pd.Series(a),
    "tensor": lambda a, folder: torch.tensor(a),
    "memory map": as_memmap,
}


@pytest.mark.parametrize("wrap", [lambda a: a, lambda a: (a,)], ids=["bare", "1-tuple"])
@pytest.mark.parametrize("kind", CONTAINERS)
def test_containers_of_the_meta_set(kind, wrap, tmp_path):
    (tmp_path / "X").mkdir()
    (tmp_path / "y").mkdir()
    rows = CONTAINERS[kind](X_META, tmp_path / "X")
    labels = CONTAINERS[kind](Y_META, tmp_path / "y")
    if kind == "frame or series":
        scale = StandardScaler().fit(pd.DataFrame(X))
        pipe, data = make_meta_pipeline(scale, quick("auto")), pd.DataFrame(X)
    else:
        pipe, data = pipeline(), X
    found = cross_val_predict(
        pipe, data, Y, cv=FOLDS, params={"X_meta": wrap(rows), "y_meta": wrap(labels)},
        method="predict_proba",
    )  # fmt: skip
    for train, test in FOLDS.split(X, Y):
        np.testing.assert_allclose(found[test], by_hand(train, test), rtol=1e-6)


def test_grid_search():
    search = GridSearchCV(pipeline(), GRID, **OPTIONS).fit(X, Y, **META)
    train, test = next(FOLDS.split(X, Y))
    for i, meta_lr in enumerate([0.03, 0.3]):
        probability = by_hand(train, test, meta_lr=meta_lr)
        expected = np.log(probability[np.arange(len(test)), Y[test]]).mean()
        assert np.isclose(search.cv_results_["split0_test_score"][i], expected, rtol=1e-5)


def test_calibration():
    net = CalibratedClassifierCV(pipeline(), cv=FOLDS).fit(X, Y, **META)
    train, test = next(FOLDS.split(X, Y))
    inner = net.calibrated_classifiers_[0].estimator
    np.testing.assert_allclose(inner.predict_proba(X[test]), by_hand(train, test), rtol=1e-6)


def two_classes(labels=(0, 1)):
    two, two_meta = Y < 2, Y_META < 2
    labels = np.array(labels)
    meta = {"X_meta": (X_META[two_meta],), "y_meta": (labels[Y_META[two_meta]],)}
    return X[two], labels[Y[two]], meta


@pytest.mark.parametrize("wrapper", [TunedThresholdClassifierCV, FixedThresholdClassifier])
def test_thresholds(wrapper):
    X_two, y_two, meta = two_classes()
    if not sklearn.get_config()["enable_metadata_routing"]:
        # These two take no metadata without routing, whatever they wrap.
        with pytest.raises(ValueError, match="enable_metadata_routing=True"):
            wrapper(pipeline()).fit(X_two, y_two, **meta)
        return
    net = wrapper(pipeline(max_epochs=5)).fit(X_two, y_two, **meta)
    alone = pipeline(max_epochs=5).fit(X_two, y_two, **meta)
    np.testing.assert_allclose(net.predict_proba(X_two), alone.predict_proba(X_two), rtol=1e-6)
    assert net.score(X_two, y_two) > 0.9


@pytest.mark.parametrize("wrapper", [TunedThresholdClassifierCV, FixedThresholdClassifier])
def test_routing_around_the_fit_alone_is_enough_for_thresholds(wrapper):
    X_two, y_two, meta = two_classes()
    with sklearn.config_context(enable_metadata_routing=True):
        net = wrapper(pipeline(max_epochs=5)).fit(X_two, y_two, **meta)
    assert net.score(X_two, y_two) > 0.9


@pytest.mark.parametrize("kind", ["array", "frame or series"])
@pytest.mark.parametrize("labels", [(0, 1), ("no", "yes")], ids=["numbers", "strings"])
@pytest.mark.parametrize("make", [pipeline, lambda: quick("auto")], ids=["pipeline", "classifier"])
def test_thresholds_of_what_is_fitted_already(make, labels, kind):
    """No meta set has to pass the wrapper, so routing does not matter."""
    X_two, y_two, meta = two_classes(labels)
    if kind == "frame or series":
        X_two, y_two = pd.DataFrame(X_two), pd.Series(y_two)
        meta["X_meta"] = (pd.DataFrame(meta["X_meta"][0]),)
    fitted = make().fit(X_two[:30], y_two[:30], **meta)
    X_clean, y_clean = X_two[30:], y_two[30:]
    probability = fitted.predict_proba(X_clean)
    tuned = TunedThresholdClassifierCV(fitted, cv="prefit", refit=False).fit(X_clean, y_clean)
    frozen = FrozenEstimator(fitted)
    fixed = FixedThresholdClassifier(
        frozen, threshold=tuned.best_threshold_, pos_label=labels[1]
    ).fit(X_clean, y_clean)
    expected = np.array(labels)[(probability[:, 1] >= tuned.best_threshold_).astype(int)]
    for net in (tuned, fixed):
        assert np.array_equal(net.predict_proba(X_clean), probability)
        assert np.array_equal(net.predict(X_clean), expected)


def test_nested_search():
    search = GridSearchCV(pipeline(), GRID, **OPTIONS)
    found = cross_validate(search, X, Y, cv=2, params=META, error_score="raise")
    assert np.isfinite(found["test_score"]).all()


@pytest.mark.parametrize(
    "backend", ["threading", pytest.param("loky", marks=pytest.mark.long)], ids=str
)
def test_workers_give_the_serial_scores(backend):
    search = GridSearchCV(pipeline(), GRID, **OPTIONS)
    serial = clone(search).fit(X, Y, **META).cv_results_["mean_test_score"]
    with joblib.parallel_config(backend=backend):
        parallel = search.set_params(n_jobs=2).fit(X, Y, **META)
    assert np.array_equal(parallel.cv_results_["mean_test_score"], serial)


@pytest.mark.parametrize(
    "pick", [{"X_meta", "y_meta"}, {"meta_mask"}, {"X_meta", "y_meta", "X_val", "y_val"}]
)
def test_arguments_may_bear_the_name_of_the_last_step(pick):
    """As scikit-learn's own pipelines take them; they mean the same."""
    given = {**META, "X_val": (X_META + 0.1,), "y_val": (Y_META,), "meta_mask": np.arange(60) < 12}
    given = {name: value for name, value in given.items() if name in pick}
    pipes = [make_meta_pipeline(StandardScaler(), quick(random_state=0)) for _ in range(2)]
    pipes[0].fit(X, Y, **given)
    pipes[1].fit(X, Y, **{f"gdwclassifier__{name}": value for name, value in given.items()})
    assert np.array_equal(pipes[1].predict_proba(X), pipes[0].predict_proba(X))


def test_arguments_under_both_names_are_refused():
    pipe = make_meta_pipeline(StandardScaler(), quick())
    with pytest.raises(TypeError, match=r"each once, .*; got X_meta, y_meta twice"):
        pipe.fit(X, Y, **META, gdwclassifier__X_meta=X_META, gdwclassifier__y_meta=Y_META)


def test_steps_are_instances():
    pipe = make_meta_pipeline(PCA, StandardScaler(), GDWClassifier)
    words = r"`steps` must be instances; got the classes PCA, GDWClassifier; pass PCA\(\), GDWC"
    with pytest.raises(TypeError, match=words):
        pipe.fit(X, Y, **META)
    with pytest.raises(TypeError, match="got the class PCA; pass"):
        make_meta_pipeline(PCA, quick()).fit(X, Y, **META)
