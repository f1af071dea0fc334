"""Searches over everything that can be set: their scores, and what they leave behind."""

from pathlib import Path

import numpy as np
import pytest
import sklearn
import torch
from optuna.distributions import FloatDistribution, IntDistribution
from optuna_integration import OptunaSearchCV
from scipy.stats import loguniform
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 (makes the next import work)
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    RandomizedSearchCV,
    StratifiedKFold,
)
from sklearn.preprocessing import StandardScaler

from classifier_cases import blobs, global_random_states, quick
from skgdw.model_selection import make_meta_pipeline

X, Y, X_META, Y_META = blobs(60, 12)
META = {"X_meta": (X_META,), "y_meta": (Y_META,)}
FOLDS = StratifiedKFold(2, shuffle=True, random_state=0)
OPTIONS = {"cv": FOLDS, "scoring": "neg_log_loss", "error_score": "raise"}


def net(**params):
    return quick("auto", **{"max_epochs": 2, "module__hidden": (8,), **params})


GRIDS = {
    "rate of the weights": {"meta_lr": [0.0, 0.3]},
    "weighting": {"weighting": ["class", "instance", "network", "uniform"]},
    "weighting net": {"weight_net__hidden": [2, 20], "weight_net_optimizer__lr": [1e-3, 0.1]},
    "module": {"module__hidden": [(4,), (8, 8)]},
    "meta batches": {"iterator_meta__batch_size": [3, 12], "meta_every": [1, 2]},
    "optimizer": {"optimizer": [torch.optim.SGD, torch.optim.Adam], "lr": [0.1, 0.01]},
}


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_grid_search_scores_what_each_candidate_gives_by_itself(grid):
    search = GridSearchCV(net(), grid, **OPTIONS).fit(X, Y, **META)
    train, test = next(FOLDS.split(X, Y))
    for params, score in zip(
        search.cv_results_["params"], search.cv_results_["split0_test_score"], strict=True
    ):
        alone = clone(net()).set_params(**params).fit(X[train], Y[train], X_META, Y_META)
        expected = np.log(alone.predict_proba(X[test])[np.arange(len(test)), Y[test]]).mean()
        assert np.isclose(score, expected, rtol=1e-5)
    scores = search.cv_results_["mean_test_score"]
    assert len(np.unique(scores)) == len(scores), "every candidate should have trained otherwise"


def test_names_inside_a_pipeline():
    pipe = make_meta_pipeline(StandardScaler(), net())
    grid = {"gdwclassifier__meta_lr": [0.0, 0.3], "standardscaler__with_std": [True, False]}
    search = GridSearchCV(pipe, grid, **OPTIONS).fit(X, Y, **META)
    assert len(search.cv_results_["params"]) == 4
    assert set(search.best_params_) == set(grid)


def test_randomized_search():
    search = RandomizedSearchCV(
        net(), {"meta_lr": loguniform(0.01, 1)}, n_iter=3, random_state=0, **OPTIONS
    ).fit(X, Y, **META)
    assert len({params["meta_lr"] for params in search.cv_results_["params"]}) == 3
    assert search.best_estimator_.meta_lr == search.best_params_["meta_lr"]


@pytest.mark.parametrize("resource", ["n_samples", "max_epochs"])
def test_halving_searches(resource):
    least, most = {"n_samples": (24, 60), "max_epochs": (1, 4)}[resource]
    own = {"min_resources": least, "max_resources": most, "factor": 2, "random_state": 0}
    options = OPTIONS | own | {"resource": resource}
    grid = HalvingGridSearchCV(net(), {"lr": [0.1, 0.01, 1e-3]}, **options).fit(X, Y, **META)
    assert grid.n_iterations_ > 1
    draws = HalvingRandomSearchCV(net(), {"lr": loguniform(1e-3, 0.1)}, **options)
    assert draws.fit(X, Y, **META).n_iterations_ > 1
    if resource == "max_epochs":
        assert len(grid.best_estimator_.history_) == grid.n_resources_[-1]


@pytest.mark.filterwarnings("ignore:OptunaSearchCV is experimental")
@pytest.mark.filterwarnings("ignore:`optuna.terminator` module has been deprecated:FutureWarning")
def test_optuna_search():
    with sklearn.config_context(enable_metadata_routing=False):
        search = OptunaSearchCV(
            net(),
            {"meta_lr": FloatDistribution(0.01, 1, log=True), "meta_every": IntDistribution(1, 2)},
            n_trials=3,
            random_state=0,
            **OPTIONS,
        ).fit(X, Y, **META)
    assert len(search.trials_) == 3
    assert 0.01 <= search.best_params_["meta_lr"] <= 1
    by_hand = clone(net()).set_params(**search.best_params_).fit(X, Y, X_META, Y_META)
    assert np.array_equal(search.predict_proba(X), by_hand.predict_proba(X))


def test_searches_leave_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = global_random_states(), sklearn.get_config()
    GridSearchCV(net(), {"meta_lr": [0.03, 0.3]}, **OPTIONS).fit(X, Y, **META)
    assert list(Path().iterdir()) == []
    assert (global_random_states(), sklearn.get_config()) == before


def test_the_winner_can_be_set_anew_and_searched_again():
    search = GridSearchCV(net(), {"meta_lr": [0.03, 0.3]}, **OPTIONS).fit(X, Y, **META)
    winner = search.best_estimator_.set_params(
        module__hidden=(6,), weighting="network", weight_net__hidden=3, meta_every=2
    )
    before = winner.predict_proba(X)  # still the fitted network
    assert winner.module_.layers[0].out_features == 8
    again = GridSearchCV(winner, {"lr": [0.1, 0.01]}, **OPTIONS).fit(X, Y, **META)
    assert again.best_estimator_.module_.layers[0].out_features == 6
    assert np.array_equal(winner.predict_proba(X), before)


def test_unknown_names_are_refused_by_name():
    with pytest.raises(ValueError, match=r"Invalid parameter 'meta_rate'"):
        GridSearchCV(net(), {"meta_rate": [0.1]}, **OPTIONS).fit(X, Y, **META)
    with pytest.raises((ValueError, TypeError), match="hiden"):
        GridSearchCV(net(), {"module__hiden": [(8,)]}, **OPTIONS).fit(X, Y, **META)
