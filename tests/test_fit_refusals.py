"""What `fit` refuses beside bad rows, labels and parameters: criteria, odd containers."""

import copy
import re

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier
from torch import nn
from torch.utils.data import Subset, TensorDataset

from classifier_cases import Net, blobs, quick, weights
from skgdw import GDWClassifier
from skgdw.exceptions import CriterionError

DATA = blobs()
X, Y, X_META, Y_META = DATA


@pytest.fixture(autouse=True)
def _counts():
    Net.built = Net.calls = 0


# --- modules --------------------------------------------------------------------------------------


class Returns(Net):
    """Returns what is asked for in place of logits."""

    def __init__(self, what):
        super().__init__()
        self.what = what

    def forward(self, X):
        return self.what(super().forward(X))


# --- criteria -------------------------------------------------------------------------------------


class NoReduction(nn.Module):
    def forward(self, logits, y):
        return nn.functional.cross_entropy(logits, y)


REFUSED_CRITERIA = {
    "label smoothing": ({"criterion__label_smoothing": 0.1}, "target entry of"),
    "margin": ({"criterion": nn.MultiMarginLoss}, "got MultiMarginLoss with"),
    "log-probabilities": ({"criterion": nn.NLLLoss}, "got NLLLoss with rows that miss zero"),
    "no reduction": ({"criterion": NoReduction}, "got NoReduction without one"),
    "regression": ({"criterion": nn.MSELoss}, "MSELoss failed on them"),
}


@pytest.mark.parametrize("weighting", ["class", "instance", "network"])
@pytest.mark.parametrize("case", REFUSED_CRITERIA)
def test_criterion_refused(case, weighting):
    params, words = REFUSED_CRITERIA[case]
    with pytest.raises(CriterionError, match=words) as caught:
        quick(weighting=weighting, **params).fit(*DATA)
    assert 'or weighting="uniform", which takes any criterion' in str(caught.value)


@pytest.mark.parametrize("params", [p for p, _ in list(REFUSED_CRITERIA.values())[:4]], ids=str)
def test_plain_training_takes_any_criterion(params):
    # skorch takes the logarithm of what NLLLoss gets: it wants probabilities.
    module = Returns(lambda z: z.softmax(1)) if "criterion" in params else Net()
    net = quick(module, weighting="uniform", **params).fit(*DATA)
    assert np.isfinite(net.history[-1, "train_loss"])


def test_plain_training_takes_the_loss_that_skorch_takes():
    nets = [
        net(
            Probabilities, criterion=nn.NLLLoss, train_split=None, verbose=0, lr=0.5, max_epochs=3,
            batch_size=48, optimizer__momentum=0.9, optimizer__weight_decay=0.0, **options,
        )
        for net, options in (
            (GDWClassifier, {"weighting": "uniform", "callbacks__lr_schedule": None}),
            (NeuralNetClassifier, {}),
        )
    ]  # fmt: skip
    for net in nets:
        net.fit(X.astype(np.float32), Y)
    losses = [net.history[:, "train_loss"] for net in nets]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


class Probabilities(nn.Module):
    """Starts the same every time."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)
        with torch.no_grad():
            self.layer.weight.copy_(torch.arange(12.0).reshape(3, 4) / 10)
            self.layer.bias.zero_()

    def forward(self, X):
        return self.layer(X).softmax(1)


@pytest.mark.parametrize(
    "params",
    [
        {"criterion": nn.CrossEntropyLoss()},
        {"criterion__weight": torch.tensor([1.0, 2.0, 0.5])},
        {"criterion__reduction": "sum", "lr": 0.001},
    ],
    ids=["instance", "class weights", "sum"],
)
def test_cross_entropy_accepted(params):
    assert quick(max_epochs=15, **params).fit(*DATA).score(X, Y) > 0.8


def test_refused_criterion_leaves_the_weights_as_they_were():
    net = quick(warm_start=True).fit(*DATA)
    before = copy.deepcopy(weights(net))
    net.criterion_ = nn.MultiMarginLoss()
    with pytest.raises(CriterionError, match="MultiMarginLoss"):
        net.fit(*DATA)
    assert np.array_equal(weights(net), before)


# --- mappings and Datasets ------------------------------------------------------------------------


class TwoInputs(Net):
    def forward(self, left, right):
        return super().forward(torch.cat([left, right], dim=1))


def mapping(rows):
    rows = np.asarray(rows, dtype=np.float32)
    return {"left": rows[:, :2], "right": rows[:, 2:]}


def dataset(rows, codes):
    return TensorDataset(torch.tensor(rows, dtype=torch.float32), torch.tensor(codes))


REFUSED_CONTAINERS = {
    "Dataset with labels, no classes": (
        lambda: (dataset(X, Y), None, dataset(X_META, Y_META), Y_META),
        ValueError,
        "`classes` must be given to the classifier when a Dataset holds the labels itself",
    ),
    "mapping without labels": (
        lambda: (mapping(X), None, mapping(X_META), Y_META),
        ValueError,
        "`y` must hold one label a row; got None",
    ),
    "mapping with other keys": (
        lambda: (mapping(X), Y, {"left": X_META[:, :2], "wrong": X_META[:, 2:]}, Y_META),
        ValueError,
        "`X_meta` must have the keys that X has, ['left', 'right']; got one that lacks",
    ),
    "array beside a mapping": (
        lambda: (mapping(X), Y, X_META, Y_META),
        TypeError,
        "`X_meta` must be of the same kind as X; got ndarray beside dict",
    ),
    "mapping beside an array": (
        lambda: (X, Y, mapping(X_META), Y_META),
        TypeError,
        "`X_meta` must be of the same kind as X; got dict beside ndarray",
    ),
    "mapping and labels of unequal lengths": (
        lambda: (mapping(X), Y[:-1], mapping(X_META), Y_META),
        ValueError,
        "48 and 47",
    ),
    "meta mapping and labels of unequal lengths": (
        lambda: (mapping(X), Y, mapping(X_META), Y_META[:-1]),
        ValueError,
        "`X_meta` and `y_meta` must have the same number of rows; got 12 and 11",
    ),
    "ragged mapping": (
        lambda: (mapping(X) | {"right": mapping(X)["right"][:-1]}, Y, mapping(X_META), Y_META),
        ValueError,
        "right",
    ),
    "empty meta mapping": (
        lambda: (mapping(X), Y, mapping(X_META[:0]), Y_META[:0]),
        ValueError,
        "`X_meta` as a mapping must hold arrays of one length, at least one row; got {'left': 0",
    ),
}


@pytest.mark.parametrize("case", REFUSED_CONTAINERS)
def test_container_refused(case):
    arguments, error, words = REFUSED_CONTAINERS[case]
    TwoInputs.calls = 0
    with pytest.raises(error, match=re.escape(words)):
        quick(TwoInputs).fit(*arguments())
    assert TwoInputs.calls == 0


def test_dataset_that_keeps_its_labels_needs_a_meta_set():
    net = quick(classes=[0, 1, 2])
    with pytest.raises(ValueError, match="or `meta_mask`, must be given beside a Dataset without"):
        net.fit(dataset(X, Y))
    net.set_params(weighting="uniform").fit(dataset(X, Y))
    assert net.predict(X).shape == (48,)


# --- partial_fit and predict ----------------------------------------------------------------------


def test_partial_fit_refuses_labels_and_columns_it_has_not_seen():
    net = quick().partial_fit(X, Y, X_meta=X_META, y_meta=Y_META)
    before = weights(net)
    with pytest.raises(ValueError, match=r"got \[0, 1, 2\], and labels \[7\] beside them in y"):
        net.partial_fit(X, np.where(Y == 2, 7, Y), X_meta=X_META, y_meta=Y_META)
    with pytest.raises(ValueError, match="X has 3 features, but GDWClassifier is expecting 4"):
        net.partial_fit(X[:, :3], Y, X_meta=X_META[:, :3], y_meta=Y_META)
    with pytest.raises(ValueError, match=r"labels of the same kind|every label"):
        net.partial_fit(X, Y.astype(str), X_meta=X_META, y_meta=Y_META.astype(str))
    assert np.array_equal(weights(net), before)
    assert np.array_equal(net.predict(X).shape, (48,))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (X[:, :3], "X has 3 features, but GDWClassifier is expecting 4"),
        (X * np.nan, "Input X contains NaN"),
        (X[0], "Expected 2D array, got 1D array"),
        (X[:0], r"Found array with 0 sample\(s\)"),
    ],
)
@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_predict_refuses(method, rows, words):
    net = quick().fit(*DATA)
    Net.calls = 0
    with pytest.raises(ValueError, match=words):
        getattr(net, method)(rows)
    assert Net.calls == 0


def test_images_of_another_size_are_refused_in_prediction():
    images = np.random.default_rng(0).normal(size=(60, 1, 6, 6))
    net = quick("auto").fit(images[:48], Y, images[48:], Y_META)
    with pytest.raises(ValueError, match=r"features|shape"):
        net.predict(images[:, [0, 0]])


def test_mapping_with_nan():
    bad = X_META.copy()
    bad[0, 0] = np.nan
    with pytest.raises(ValueError, match=r"`X_meta` must be finite; got NaN .* entries \['x'\]"):
        quick().fit({"x": X}, Y, {"x": bad}, Y_META)


def test_meta_loader_that_runs_dry():
    with pytest.raises(ValueError, match="must give batches in every round"):
        quick(iterator_meta__sampler=iter(range(12)), max_epochs=9).fit(*DATA)


def test_empty_meta_dataset():
    rows = TensorDataset(torch.as_tensor(X, dtype=torch.float32), torch.as_tensor(Y))
    with pytest.raises(ValueError, match="at least one row; got an empty meta set"):
        quick().fit(rows, Y, Subset(rows, []), Y_META[:0])


@pytest.mark.parametrize("part", ["meta", "train"])
def test_bad_options_of_loaders_leave_nothing_fitted(part):
    net = quick(**{f"iterator_{part}__num_workers": -1})
    with pytest.raises(ValueError, match="num_workers"):
        net.fit(*DATA)
    assert not hasattr(net, "module_")
