"""Traps that were silent: interrupts within searches, networks that diverged, channels last."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import VotingClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback, EarlyStopping
from skorch.dataset import ValidSplit

from classifier_cases import Net, blobs, quick
from skgdw import GDWClassifier
from skgdw.exceptions import ChannelsLastWarning

X, Y, X_META, Y_META = blobs()
META = {"X_meta": (X_META,), "y_meta": (Y_META,)}

# --- Ctrl-C ---------------------------------------------------------------------------------------


class Presses(Callback):
    """Presses Ctrl-C at a time of each fit, and counts the fits."""

    fits = 0

    def __init__(self, when):
        self.when = when

    def on_train_begin(self, net, **kwargs):
        type(self).fits += 1

    def on_batch_begin(self, net, training=False, **kwargs):
        if self.when == "batch" and training and len(net.history) == 2:
            raise KeyboardInterrupt

    def on_grad_computed(self, net, **kwargs):
        if self.when == "gradient" and len(net.history) == 2:
            raise KeyboardInterrupt


class Interrupted(Net):
    def forward(self, X):
        raise KeyboardInterrupt


MANY = {
    "search": lambda net: GridSearchCV(net, {"lr": [0.1, 0.2]}, cv=2).fit(X, Y, **META),
    "scores": lambda net: cross_val_score(net, X, Y, cv=3, params=META),
    "search of pipelines": lambda net: GridSearchCV(
        make_pipeline(StandardScaler(), net), {"gdwclassifier__lr": [0.1, 0.2]}, cv=2
    ).fit(X, Y),
    "calibration": lambda net: CalibratedClassifierCV(net, cv=2).fit(X, Y),
    "voting": lambda net: VotingClassifier([("a", net), ("b", net)]).fit(X, Y),
}


@pytest.mark.filterwarnings("ignore::skgdw.exceptions.NoMetaSetWarning")
@pytest.mark.parametrize("when", ["batch", "gradient"])
@pytest.mark.parametrize("many", MANY)
def test_an_interrupt_ends_what_fits_many(many, when):
    Presses.fits = 0
    net = quick(max_epochs=4, batch_size=8, callbacks=[Presses(when)])
    with pytest.raises(KeyboardInterrupt):
        MANY[many](net)
    assert Presses.fits == 1


def test_an_interrupt_before_the_first_step_ends_a_search():
    with pytest.raises(KeyboardInterrupt):
        MANY["search"](quick(Interrupted))


@pytest.mark.filterwarnings("ignore::skgdw.exceptions.NoMetaSetWarning")
def test_a_fit_of_ones_own_keeps_what_was_trained():
    net = quick(max_epochs=4, callbacks=[Presses("batch")])
    assert net.fit(X, Y, X_META, Y_META).n_iter_ == 1
    pipe = make_pipeline(StandardScaler(), net).fit(X, Y)
    assert pipe[-1].n_iter_ == 1


def test_a_callback_that_stops_early_ends_one_fit():
    stop = EarlyStopping(monitor="train_loss", patience=1, threshold=10, threshold_mode="abs")
    search = MANY["search"](quick(max_epochs=9, callbacks=[stop]))
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_estimator_.n_iter_ < 9


# --- networks that have diverged ------------------------------------------------------------------

GONE = (
    "must be finite to predict; got NaN or infinity in 48 of 48 rows.*the network has diverged.*"
    "Lower `lr`, scale the rows"
)


def diverged(**params):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return quick(lr=1e30, max_epochs=4, **params).fit(X, Y, X_META, Y_META)


@pytest.mark.parametrize("weighting", ["class", "uniform", "class_pair"])
@pytest.mark.parametrize(
    "method", ["predict", "predict_proba", "predict_log_proba", "decision_function", "score"]
)
def test_a_network_that_has_diverged_predicts_nothing(method, weighting):
    net = diverged(weighting=weighting)
    labels = (Y,) if method == "score" else ()
    with pytest.raises(ValueError, match=GONE):
        getattr(net, method)(X, *labels)
    assert torch.isnan(net.forward(X)).any()


def test_in_a_search_the_candidate_has_no_score():
    net = quick(max_epochs=4)
    search = GridSearchCV(net, {"lr": [0.1, 1e30]}, cv=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(X, Y, **META)
    assert np.isfinite(search.cv_results_["mean_test_score"]).tolist() == [True, False]
    assert search.best_params_ == {"lr": 0.1}


@pytest.mark.parametrize("options", [{"train_split": ValidSplit(3)}, {"keep_best": True}])
def test_training_goes_on_where_scores_cannot_be_made(options):
    net = diverged(weighting="uniform", **options)
    assert len(net.history) == 4


def test_a_few_odd_rows_are_told_from_a_network_that_is_gone():
    net = quick().fit(X, Y, X_META, Y_META)
    rows = torch.tensor(np.float32(X))
    rows[3, 0] = rows[5, 1] = float("nan")
    words = "got NaN or infinity in 2 of 48 rows, the first in row 3.*Look at these rows"
    with pytest.raises(ValueError, match=words):
        net.predict(torch.utils.data.TensorDataset(rows, torch.tensor(Y)))


# --- channels last --------------------------------------------------------------------------------


def images(*shape):
    return np.random.default_rng(0).normal(size=(12, *shape)).astype(np.float32)


LABELS = np.arange(12) % 2


@pytest.mark.parametrize("shape", [(9, 9, 3), (8, 12, 1), (6, 6, 4)])
def test_channels_that_stand_last(shape):
    words = (
        rf"shape \(n, channels, height, width\); got \(12, .*for {shape[0]} channels of {shape[1]} "
        rf"x {shape[2]} pixels.*X.transpose\(0, 3, 1, 2\)"
    )
    net = GDWClassifier(weighting="uniform", max_epochs=1, verbose=0)
    with pytest.warns(ChannelsLastWarning, match=words):
        net.fit(images(*shape), LABELS)


@pytest.mark.parametrize("shape", [(3, 9, 9), (1, 12, 4), (16, 4, 4), (3, 9, 3), (9, 9, 5)])
def test_channels_that_stand_first(shape):
    net = GDWClassifier(weighting="uniform", max_epochs=1, verbose=0)
    assert net.fit(images(*shape), LABELS).n_features_in_ == shape[0]


class MovesChannels(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 9), torch.nn.Flatten())

    def forward(self, X):
        return self.layers(X.movedim(-1, 1))


def test_a_module_of_ones_own_may_take_them_last():
    net = quick(MovesChannels, weighting="uniform").fit(images(9, 9, 3), LABELS)
    assert net.predict(images(9, 9, 3)).shape == (12,)
