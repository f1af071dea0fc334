"""How much rows count by ``sample_weight``: as if they came so many times."""

import pickle

import numpy as np
import pytest
import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.ensemble import AdaBoostClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback
from skorch.dataset import ValidSplit
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import oracles
from classifier_cases import Net, blobs, quick, weights
from skgdw.callbacks import Resume
from skgdw.exceptions import NoMetaSetWarning
from skgdw.model_selection import make_meta_pipeline

DATA = blobs(n=60, n_meta=15)
WEIGHT = np.random.default_rng(0).integers(0, 4, 60).astype(float)
WEIGHTINGS = ("class_pair", "class", "instance", "network", "uniform")


class WideNet(Net):
    def __init__(self):
        super().__init__()
        self.double()


def in_whole_steps(module=WideNet, **params):
    """Return a classifier whose steps take all rows, in their order."""
    given = {
        "batch_size": -1,
        "max_epochs": 3,
        "iterator_train__shuffle": False,
        "optimizer__momentum": 0.0,
        "optimizer__weight_decay": 0.0,
        "callbacks__lr_schedule": None,
        **params,
    }
    return quick(module, **given)


def of_meta(weighting):
    """Return parameters that keep meta batches the same, for weightings that have some."""
    if weighting == "uniform":
        return {}
    return {"iterator_meta__shuffle": False, "iterator_meta__batch_size": 15}


# What they mean.


@pytest.mark.parametrize("weighting", ["uniform", "network"])
def test_a_weight_is_a_number_of_repetitions(weighting):
    repeated = np.repeat(np.arange(60), WEIGHT.astype(int))
    rest = DATA._replace(X=DATA.X[repeated], y=DATA.y[repeated])
    params = {"weighting": weighting, **of_meta(weighting)}
    weighed = in_whole_steps(**params).fit(*DATA, sample_weight=WEIGHT)
    given_twice = in_whole_steps(**params).fit(*rest)
    np.testing.assert_allclose(weights(weighed), weights(given_twice), rtol=0, atol=1e-12)


@pytest.mark.parametrize("weighting", ["uniform", "class", "instance"])
def test_one_step_by_hand(weighting):
    params = {"weighting": weighting, "max_epochs": 1, "lr": 0.5, **of_meta(weighting)}
    start = WideNet()
    notes = _StartsFrom(start.state_dict())
    net = in_whole_steps(callbacks=[("start", notes)], **params)
    net.fit(*DATA, sample_weight=WEIGHT)
    logits = start(torch.as_tensor(DATA.X))
    y, weight = torch.as_tensor(DATA.y), torch.as_tensor(WEIGHT)
    if weighting == "uniform":
        pulls = oracles.logit_gradient(logits, y, cap=1.0)
    else:
        pulls = dict(net.callbacks_)["start"].pulls
    mean = (weight / weight.sum()).unsqueeze(1) * pulls
    expected = torch.autograd.grad(logits, list(start.parameters()), grad_outputs=mean)
    found = list(net.module_.parameters())
    for after, before, grad in zip(found, start.parameters(), expected, strict=True):
        torch.testing.assert_close(after, before - 0.5 * grad, rtol=0, atol=1e-12)


class _StartsFrom(Callback):
    """Sets the parameters to begin with, and notes what the weighting sends back."""

    def __init__(self, state):
        self.state = state

    def on_train_begin(self, net, **kwargs):
        net.module_.load_state_dict(self.state)
        pull = net.weighting_.pull

        def noted(evidence, weight):
            found = pull(evidence, weight)
            self.pulls = found.grad
            return found

        net.weighting_.pull = noted


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_equal_weights_are_none(weighting):
    none, equal, scalar = (
        quick(weighting=weighting, max_epochs=3, batch_size=16).fit(*DATA, sample_weight=weight)
        for weight in (None, np.full(60, 0.3), 2)
    )
    assert np.array_equal(weights(none), weights(equal))
    assert np.array_equal(weights(none), weights(scalar))


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("meta_gradient", ["forward", "difference", "unrolled"])
def test_rows_of_no_weight_teach_nothing(weighting, meta_gradient):
    wrong = DATA.y.copy()
    out = np.arange(60) % 2 == 1
    wrong[out] = (wrong[out] + 1) % 3
    params = {"weighting": weighting, "meta_gradient": meta_gradient, "max_epochs": 15}
    if weighting == "class_pair":
        params["weighting__hold_out"] = 0.0
    net = quick(batch_size=16, **params).fit(DATA.X, wrong, *DATA[2:], sample_weight=~out)
    assert net.score(DATA.X, DATA.y) > 0.9


def test_class_pairs_count_classes_by_weight():
    weight = np.where(DATA.y == 0, 4.0, 1.0)
    net = quick(weighting="class_pair", max_epochs=10, batch_size=16)
    net.fit(*DATA, sample_weight=weight)
    np.testing.assert_allclose(net.class_prior_, [2 / 3, 1 / 6, 1 / 6], atol=0.07)


# How they get there.


def test_they_follow_their_rows_into_splits_and_meta_sets():
    mask = np.arange(60) % 4 == 0
    weight = np.where(mask, 50.0, WEIGHT)  # of meta rows none is asked for
    marked = quick(weighting="class", batch_size=16, max_epochs=2)
    marked.fit(DATA.X, DATA.y, meta_mask=mask, sample_weight=weight)
    beside = quick(weighting="class", batch_size=16, max_epochs=2)
    parts = (DATA.X[~mask], DATA.y[~mask], DATA.X[mask], DATA.y[mask])
    beside.fit(*parts, sample_weight=weight[~mask])
    assert np.array_equal(weights(marked), weights(beside))
    split = ValidSplit(4)
    kept = quick(train_split=split, batch_size=16).fit(*DATA, sample_weight=WEIGHT)
    train, _ = split(kept.get_dataset(DATA.X, DATA.y), DATA.y)
    rows = np.asarray(train.indices)
    only = np.where(np.isin(np.arange(60), rows), WEIGHT, 99.0)
    again = quick(train_split=split, batch_size=16).fit(*DATA, sample_weight=only)
    np.testing.assert_allclose(weights(kept), weights(again), atol=1e-5)


def test_through_a_loader_of_the_users():
    params = {"batch_size": 16, "iterator_train__num_workers": 0}
    direct = quick(**params).fit(*DATA, sample_weight=WEIGHT)
    through = quick(iterator_train__pin_memory=False, **params).fit(*DATA, sample_weight=WEIGHT)
    assert np.array_equal(weights(direct), weights(through))
    rows = TensorDataset(torch.as_tensor(DATA.X).float(), torch.as_tensor(DATA.y))
    trusted = TensorDataset(torch.as_tensor(DATA.X_meta).float(), torch.as_tensor(DATA.y_meta))
    inside = quick(classes=[0, 1, 2], iterator_train=DataLoader, **params)
    inside.fit(rows, None, trusted, sample_weight=WEIGHT)
    np.testing.assert_allclose(weights(inside), weights(direct), atol=1e-5)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["alike", "weighted"])
def test_rows_of_a_dataset_are_held_out_of_the_warm_up_as_others(weight):
    params = {"batch_size": 16, "weighting": "class_pair", "max_epochs": 4, "classes": [0, 1, 2]}
    direct = quick(**params).fit(*DATA, sample_weight=weight)
    rows = TensorDataset(torch.as_tensor(DATA.X).float(), torch.as_tensor(DATA.y))
    trusted = TensorDataset(torch.as_tensor(DATA.X_meta).float(), torch.as_tensor(DATA.y_meta))
    inside = quick(**params).fit(rows, None, trusted, sample_weight=weight)
    np.testing.assert_allclose(weights(inside), weights(direct), atol=1e-5)
    np.testing.assert_allclose(inside.transition_matrix_, direct.transition_matrix_, atol=1e-5)


def test_searches_cut_them():
    with config_context(enable_metadata_routing=True):
        net = quick(weighting="uniform").set_fit_request(sample_weight=True)
        net.set_score_request(sample_weight=False)
        search = GridSearchCV(net, {"lr": [0.1]}, cv=3, error_score="raise")
        search.fit(DATA.X, DATA.y, sample_weight=WEIGHT)
    best = quick(weighting="uniform").fit(DATA.X, DATA.y, sample_weight=WEIGHT)
    assert np.array_equal(weights(search.best_estimator_), weights(best))


def test_pipelines_hand_them_on():
    scaled = StandardScaler().fit(DATA.X)
    X, X_meta = scaled.transform(DATA.X), scaled.transform(DATA.X_meta)
    expected = quick().fit(X, DATA.y, X_meta, DATA.y_meta, sample_weight=WEIGHT)
    with config_context(enable_metadata_routing=True):
        net = quick().set_fit_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
    pipe = make_meta_pipeline(scaler, net)
    pipe.fit(DATA.X, DATA.y, X_meta=DATA.X_meta, y_meta=DATA.y_meta, sample_weight=WEIGHT)
    assert np.array_equal(weights(pipe[-1]), weights(expected))
    plain = make_pipeline(StandardScaler(), quick(weighting="uniform"))
    plain.fit(DATA.X, DATA.y, gdwclassifier__sample_weight=WEIGHT)


@pytest.mark.parametrize("name", ["sample_weight", "gdwclassifier__sample_weight"])
@pytest.mark.parametrize("cached", [False, True])
def test_meta_pipelines_give_them_to_the_last_step(name, cached, tmp_path):
    scaled = StandardScaler().fit(DATA.X)
    X, X_meta = scaled.transform(DATA.X), scaled.transform(DATA.X_meta)
    expected = quick().fit(X, DATA.y, X_meta, DATA.y_meta, sample_weight=WEIGHT)
    memory = str(tmp_path) if cached else None
    pipe = make_meta_pipeline(StandardScaler(), quick(), memory=memory)
    given = list(pipe.steps)
    pipe.fit(DATA.X, DATA.y, (DATA.X_meta,), (DATA.y_meta,), **{name: WEIGHT})
    assert np.array_equal(weights(pipe[-1]), weights(expected))
    assert all("_metadata_request" not in vars(step) for _, step in (*pipe.steps, *given))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda scaler: make_column_transformer((scaler, [0, 1, 2, 3])),
        lambda scaler: FeatureUnion([("one", scaler)]),
        lambda scaler: make_pipeline(scaler),
    ],
    ids=["columns", "union", "pipeline"],
)
def test_steps_within_steps_get_none(wrap):
    scaled = StandardScaler().fit(DATA.X)
    X, X_meta = scaled.transform(DATA.X), scaled.transform(DATA.X_meta)
    expected = quick().fit(X, DATA.y, X_meta, DATA.y_meta, sample_weight=WEIGHT)
    scaler = StandardScaler()
    pipe = make_meta_pipeline(wrap(scaler), quick())
    given = {"X_meta": DATA.X_meta, "y_meta": DATA.y_meta}
    pipe.fit(DATA.X, DATA.y, **given, sample_weight=WEIGHT)
    assert np.array_equal(weights(pipe[-1]), weights(expected))
    assert "_metadata_request" not in vars(scaler)


def test_arguments_in_the_wrong_place_are_refused():
    pipe = make_meta_pipeline(StandardScaler(), quick())
    with pytest.raises(TypeError, match=r"X_meta and y_meta by position, .*got 3 further argum"):
        pipe.fit(*DATA, WEIGHT)
    with pytest.raises(TypeError, match=r"each once.*got X_meta twice"):
        pipe.fit(*DATA, X_meta=DATA.X_meta)


def test_a_step_that_asks_for_them_gets_them_too():
    scaled = StandardScaler().fit(DATA.X, sample_weight=WEIGHT)
    X, X_meta = scaled.transform(DATA.X), scaled.transform(DATA.X_meta)
    expected = quick().fit(X, DATA.y, X_meta, DATA.y_meta, sample_weight=WEIGHT)
    with config_context(enable_metadata_routing=True):
        scaler = StandardScaler().set_fit_request(sample_weight=True)
    pipe = make_meta_pipeline(scaler, quick())
    given = {"X_meta": DATA.X_meta, "y_meta": DATA.y_meta}
    pipe.fit(DATA.X, DATA.y, **given, sample_weight=WEIGHT)
    np.testing.assert_allclose(weights(pipe[-1]), weights(expected), rtol=1e-5)
    assert scaler.get_metadata_routing().fit.requests["sample_weight"] is True


@pytest.mark.parametrize("weighting", ["class_pair", "uniform"])
def test_partial_fit_pickles_and_resuming(weighting, tmp_path):
    class Stops(Callback):
        def on_epoch_end(self, net, **kwargs):
            if len(net.history) == 2:
                raise SystemExit

    params = {"weighting": weighting, "batch_size": 16, "max_epochs": 4}
    whole = quick(callbacks=[("resume", Resume(tmp_path / "whole"))], **params)
    whole.fit(*DATA, sample_weight=WEIGHT)
    resume = ("resume", Resume(tmp_path / "cut"))
    with pytest.raises(SystemExit):
        quick(callbacks=[resume, ("stops", Stops())], **params).fit(*DATA, sample_weight=WEIGHT)
    with pytest.raises(ValueError, match="the sample weights"):
        quick(callbacks=[resume], **params).fit(*DATA, sample_weight=WEIGHT + 1)
    again = quick(callbacks=[resume], **params).fit(*DATA, sample_weight=WEIGHT)
    assert np.array_equal(weights(again), weights(whole))
    meta = {"X_meta": DATA.X_meta, "y_meta": DATA.y_meta}
    one, other = (pickle.loads(pickle.dumps(quick(**params).fit(*DATA))) for _ in range(2))
    one.partial_fit(DATA.X, DATA.y, **meta, sample_weight=WEIGHT)
    other.partial_fit(DATA.X, DATA.y, **meta)
    assert not np.array_equal(weights(one), weights(other))


@pytest.mark.filterwarnings("ignore", category=NoMetaSetWarning)
def test_boosting_takes_them():
    ensemble = AdaBoostClassifier(quick(max_epochs=3, batch_size=16), n_estimators=2)
    assert ensemble.fit(DATA.X, DATA.y).score(DATA.X, DATA.y) > 0.6


class Endless(IterableDataset):
    def __iter__(self):
        return iter(zip(torch.as_tensor(DATA.X).float(), DATA.y.tolist(), strict=True))

    def __len__(self):
        return 60


@pytest.mark.parametrize("unit", [1e308, 1e-300, 5e-324])
def test_the_unit_of_weights_does_not_matter(unit):
    weight = np.where(WEIGHT > 1, unit, 0.0)
    net = in_whole_steps(weighting="uniform")
    expected = weights(clone(net).fit(*DATA, sample_weight=weight > 0))
    np.testing.assert_array_equal(weights(net.fit(*DATA, sample_weight=weight)), expected)


# What is refused.


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        (np.ones(59), r"one number a row of X, shape \(60,\); got shape \(59,\)"),
        (np.ones((60, 1)), r"got shape \(60, 1\)"),
        (["a"] * 60, "must hold numbers; got list"),
        (np.where(WEIGHT == 0, np.nan, 1), "must be finite and not negative; got .* NaN or inf"),
        (
            np.r_[-1.0, -1.0, np.inf, np.ones(57)],
            "got 1 NaN or infinite, the first in row 2; 2 neg",
        ),
        (np.zeros(60), "positive for some row that is trained on; got zeros alone"),
        (0, "got zeros alone"),
    ],
)
def test_refusals(weight, words):
    with pytest.raises(ValueError, match=words):
        quick().fit(*DATA, sample_weight=weight)


def test_rows_without_numbers():
    net = quick(nn.Linear(4, 3), weighting="uniform", classes=[0, 1, 2])
    with pytest.raises(ValueError, match="rows whose numbers are known"):
        net.fit(Endless(), None, sample_weight=WEIGHT)
