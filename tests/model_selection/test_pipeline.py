import numpy as np
import pytest
import sklearn
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from classifier_cases import quick
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
    assert clone(pipe).get_params()["transform_input"] == ["X_meta"]
    assert clone(pipe).get_params()["memory"] == str(tmp_path)
