import inspect
import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import BaseEstimator, clone
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler, TargetEncoder

from classifier_cases import blobs, quick
from skgdw import GDWClassifier
from skgdw.model_selection import MetaPipeline, make_meta_pipeline

rng = np.random.default_rng(0)
X, Y = 10 + 3 * rng.normal(size=(60, 4)), np.arange(60) % 3
X_META, Y_META = 10 + 3 * rng.normal(size=(15, 4)), np.arange(15) % 3
META = {"X_meta": (X_META,), "y_meta": (Y_META,)}


class Watch(BaseEstimator):
    """Remembers what reached its fit."""

    __metadata_request__fit = {"X_meta": True, "y_meta": True}  # noqa: RUF012

    def fit(self, X, y, X_meta=None, y_meta=None):
        self.X_, self.X_meta_, self.y_meta_ = X, X_meta, y_meta
        return self


@pytest.fixture(params=[False, True], ids=["routing off", "routing on"])
def _routing(request):
    with sklearn.config_context(enable_metadata_routing=request.param):
        yield


@pytest.mark.usefixtures("_routing")
def test_meta_rows_are_transformed_by_steps_fitted_on_the_training_rows():
    pipe = make_meta_pipeline(StandardScaler(), Watch()).fit(X, Y, **META)
    expected = (X_META - X.mean(axis=0)) / X.std(axis=0)
    np.testing.assert_allclose(pipe[-1].X_meta_[0], expected, rtol=1e-12)
    np.testing.assert_allclose(pipe[0].mean_, X.mean(axis=0))
    assert pipe[-1].y_meta_[0] is Y_META


@pytest.mark.usefixtures("_routing")
def test_the_same_scores_as_by_hand_in_searches_and_nested():
    pipe = make_meta_pipeline(StandardScaler(), quick(random_state=0))
    search = GridSearchCV(pipe, {"gdwclassifier__meta_lr": [0.05, 0.5]}, cv=3)
    search.fit(X, Y, **META)
    assert search.best_params_.keys() == {"gdwclassifier__meta_lr"}
    scaler = StandardScaler().fit(X)
    by_hand = clone(pipe[-1]).set_params(meta_lr=search.best_params_["gdwclassifier__meta_lr"])
    by_hand.fit(scaler.transform(X), Y, scaler.transform(X_META), Y_META)
    np.testing.assert_allclose(
        search.predict_proba(X), by_hand.predict_proba(scaler.transform(X)), atol=1e-6
    )
    scores = cross_validate(search, X, Y, cv=2, params=META)["test_score"]
    assert np.isfinite(scores).all()


def test_the_global_setting_is_left_as_it_was():
    before = sklearn.get_config()
    make_meta_pipeline(StandardScaler(), Watch()).fit(X, Y, **META)
    assert sklearn.get_config() == before


def test_without_the_helper_the_same_call_is_refused():
    with pytest.raises(ValueError, match="fit"):
        Pipeline([("scale", StandardScaler()), ("net", Watch())]).fit(X, Y, **META)


def test_steps_are_named_cloned_and_cached(tmp_path):
    pipe = make_meta_pipeline(StandardScaler(), Watch(), memory=str(tmp_path), verbose=False)
    assert isinstance(clone(pipe), MetaPipeline)
    assert [name for name, _ in pipe.steps] == ["standardscaler", "watch"]
    assert clone(pipe).get_params()["transform_input"] == ("X_meta", "X_val")
    assert clone(pipe).get_params()["memory"] == str(tmp_path)


def test_named_steps_keep_their_names():
    pipe = make_meta_pipeline(("scale", StandardScaler()), ("net", quick()))
    assert [name for name, _ in pipe.steps] == ["scale", "net"]
    search = GridSearchCV(pipe, {"net__meta_lr": [0.05, 0.5]}, cv=2).fit(X, Y, **META)
    assert search.best_params_.keys() == {"net__meta_lr"}


def test_names_and_bare_steps_can_be_mixed():
    steps = StandardScaler(), ("again", StandardScaler()), StandardScaler(), ("net", Watch())
    pipe = make_meta_pipeline(*steps)
    names = ["standardscaler-1", "again", "standardscaler-2", "net"]
    assert [name for name, _ in pipe.steps] == names
    assert pipe["again"] is steps[1][1]
    assert pipe[2] is steps[2]


def test_no_steps_are_refused():
    with pytest.raises(ValueError, match="`steps` must hold at least a classifier; got none; pass"):
        make_meta_pipeline()


# --- built without the helper ---------------------------------------------------------------------


def built(**params):
    return MetaPipeline([("scale", StandardScaler()), ("net", Watch())], **params)


@pytest.mark.usefixtures("_routing")
def test_the_class_transforms_the_meta_set_too():
    pipe = built().fit(X, Y, **META)
    np.testing.assert_allclose(pipe["net"].X_meta_[0], pipe["scale"].transform(X_META))


@pytest.mark.usefixtures("_routing")
def test_none_leaves_the_meta_set_as_it_is():
    assert built(transform_input=None).fit(X, Y, **META)["net"].X_meta_[0] is X_META


@pytest.mark.parametrize("given", [None, ["X_meta", "other"], ("other",), []], ids=str)
def test_what_is_transformed_stays_as_given(given):
    pipe = built(transform_input=given)
    assert pipe.transform_input is given
    assert pipe[:-1].transform_input is given
    copies = clone(pipe), pickle.loads(pickle.dumps(pipe)), built().set_params(**pipe.get_params())
    assert [copy.get_params()["transform_input"] for copy in copies] == [given] * 3


def test_the_default_survives_copies_and_slices():
    pipe = built().fit(X, Y, **META)
    copies = pipe, clone(pipe), pickle.loads(pickle.dumps(pipe)), pipe[:-1], pipe[1:]
    assert all(type(copy) is MetaPipeline for copy in copies)
    assert [copy.get_params()["transform_input"] for copy in copies] == [("X_meta", "X_val")] * 5
    assert "transform_input" not in repr(pipe)
    assert "transform_input=None" in repr(built(transform_input=None))


@pytest.mark.usefixtures("_routing")
def test_a_slice_transforms_and_can_be_fitted():
    pipe = built().fit(X, Y, **META)
    expected = pipe["scale"].transform(X_META)
    np.testing.assert_array_equal(pipe[:-1].transform(X_META), expected)
    np.testing.assert_array_equal(clone(pipe)[:-1].fit(X).transform(X_META), expected)
    np.testing.assert_allclose(clone(pipe)[:-1].fit_transform(X), pipe["scale"].transform(X))


@pytest.mark.parametrize("params", [{}, {"transform_input": None}], ids=str)
def test_skops_brings_it_back(params):
    sio = pytest.importorskip("skops.io")
    steps = [("scale", StandardScaler()), ("model", LogisticRegression())]
    pipe = MetaPipeline(steps, **params).fit(X, Y)
    dumped = sio.dumps(pipe)
    again = sio.loads(dumped, trusted=sio.get_untrusted_types(data=dumped))
    assert type(again) is MetaPipeline
    assert again.transform_input == pipe.transform_input
    np.testing.assert_array_equal(again.predict_proba(X), pipe.predict_proba(X))


class Unrouted(TargetEncoder):
    def fit_transform(self, X, y, **params):
        with sklearn.config_context(enable_metadata_routing=False):
            return super().fit_transform(X, y, **params)


ASKS_FOR_GROUPS = "params" in inspect.signature(TargetEncoder.fit_transform).parameters


def test_target_encoders_have_other_ways():
    codes = np.arange(60) % 3
    words = pd.DataFrame(
        {"word": np.array(["ash", "oak", "yew"])[codes], "size": codes + 0.01 * np.arange(60)}
    )
    trusted = np.arange(60) < 15
    steps = (TargetEncoder(), GDWClassifier(max_epochs=2, verbose=0, random_state=0))
    # Before 1.9 it asked for nothing, and made of these few words rows that are alike.
    if ASKS_FOR_GROUPS:
        with pytest.raises(TypeError, match=r"TargetEncoder asks for `groups`.*__meta_mask"):
            make_meta_pipeline(*steps).fit(
                words[~trusted], codes[~trusted], X_meta=words[trusted], y_meta=codes[trusted]
            )
    pipe = make_pipeline(*steps).fit(words, codes, gdwclassifier__meta_mask=trusted)
    assert pipe.score(words, codes) == 1.0
    columns = make_column_transformer((Unrouted(), ["word"]), remainder="passthrough")
    unrouted = make_meta_pipeline(columns, steps[1]).fit(
        words[~trusted], codes[~trusted], X_meta=words[trusted], y_meta=codes[trusted]
    )
    assert unrouted.score(words, codes) == 1.0


def test_other_missing_keys_are_the_steps_own():
    class Asks(StandardScaler):
        def fit(self, X, y=None):
            raise KeyError("height")

    data = blobs()
    with pytest.raises(KeyError, match="height"):
        make_meta_pipeline(Asks(), GDWClassifier()).fit(
            data.X, data.y, X_meta=data.X_meta, y_meta=data.y_meta
        )
