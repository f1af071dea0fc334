"""What `fit` refuses beside bad rows and labels: parameters, modules, criteria, odd containers."""

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
from skgdw.exceptions import CriterionError, ModuleOutputError, ProbabilityOutputWarning
from skgdw.modules import WeightNet

DATA = blobs()
X, Y, X_META, Y_META = DATA


@pytest.fixture(autouse=True)
def _counts():
    Net.built = Net.calls = 0


# --- parameters -----------------------------------------------------------------------------------

BAD_PARAMETERS = {
    "weighting": (
        ["gdw", None, 1],
        "`weighting` must be one of ['class', 'instance', 'network', 'uniform'], or a "
        "skgdw.weighting.Weighting, its class or an instance; got ",
    ),
    "meta_gradient": (
        ["backward", None],
        "`meta_gradient` must be one of ['auto', 'forward', 'difference', 'unrolled']; got ",
    ),
    "meta_lr": ([-0.1, np.nan, np.inf, "0.1", None, True], "`meta_lr` must be a number >= 0; got "),
    "weight_clip": ([0, -1, np.nan, "x", None], "`weight_clip` must be a number > 0; got "),
    "min_gradient_share": (
        [-0.1, 1.5, np.nan, "x", None, True],
        "`min_gradient_share` must be a number in [0, 1]; got ",
    ),
    "meta_every": ([0, -1, 1.5, "2", None, True], "`meta_every` must be an integer >= 1; got "),
    "lookahead_lr": (
        [0, -1, np.inf, "auto", True],
        "`lookahead_lr` must be a number > 0, or None; got ",
    ),
    "max_epochs": ([-1, 2.5, None], "`max_epochs` must be an integer >= 0; got "),
}


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, (values, _) in BAD_PARAMETERS.items() for value in values],
)
def test_bad_parameter(name, value):
    net = quick(**{name: value})
    for method in (net.fit, net.partial_fit):
        with pytest.raises(ValueError, match=re.escape(f"{BAD_PARAMETERS[name][1]}{value!r}.")):
            method(*DATA[:2], X_meta=X_META, y_meta=Y_META)
    assert Net.built == Net.calls == 0


@pytest.mark.parametrize(
    "good",
    [
        {"meta_lr": 0},
        {"meta_lr": np.float32(0.1)},
        {"weight_clip": np.float64(0.1)},
        {"meta_every": np.int64(2)},
        {"lookahead_lr": 1},
        {"lookahead_lr": None},
        {"max_epochs": 0},
    ],
    ids=str,
)
def test_good_parameter(good):
    net = quick(**good).fit(*DATA)
    assert len(net.history) == net.max_epochs


def test_bad_parameters_are_named_all_at_once():
    bad = {name: values[0] for name, (values, _) in BAD_PARAMETERS.items()}
    with pytest.raises(ValueError, match="must be") as caught:
        quick(**bad).fit(*DATA)
    assert [name for name in bad if f"`{name}` must be" not in str(caught.value)] == []


def test_bad_parameters_come_to_light_before_bad_rows():
    with pytest.raises(ValueError, match="`meta_lr` must be"):
        quick(meta_lr=-1).fit(X * np.nan, Y)


@pytest.mark.parametrize(
    ("meta_size", "error", "words"),
    [
        (0.0, ValueError, "`meta_size` as a float must lie strictly between 0 and 1"),
        (1.0, ValueError, "`meta_size` as a float must lie strictly between 0 and 1"),
        (0, ValueError, "`meta_size` must be at least the number of classes, 3; got 0 rows"),
        ("10%", TypeError, "`meta_size` must be a number of rows (int) or a share of them (float)"),
        (True, TypeError, "`meta_size` must be a number of rows (int) or a share of them (float)"),
        (None, TypeError, "`meta_size` must be a number of rows (int) or a share of them (float)"),
    ],
)
def test_bad_meta_size(meta_size, error, words):
    with pytest.raises(error, match=re.escape(words)):
        quick(meta_size=meta_size).fit(X, Y)
    assert Net.built == Net.calls == 0
    quick(meta_size=meta_size).fit(*DATA)  # no one asks for it beside a meta set


def test_unknown_parameter():
    for name in ("meta_rate", "moduel__hidden", "iterator_mta__batch_size"):
        with pytest.raises(ValueError, match=f"GDWClassifier must be .*; got unexpected `{name}`"):
            GDWClassifier(**{name: 3}).fit(*DATA)
        with pytest.raises(ValueError, match="Invalid parameter"):
            quick().set_params(**{name: 3})
    assert Net.calls == 0


@pytest.mark.parametrize("batch_size", [0, -2, 1.5, None])
def test_bad_batch_size(batch_size):
    with pytest.raises((ValueError, TypeError), match="batch_size"):
        quick(batch_size=batch_size).fit(*DATA)


@pytest.mark.parametrize("batch_size", [0, -2])
def test_bad_meta_batch_size(batch_size):
    with pytest.raises(ValueError, match="iterator_meta__batch_size"):
        quick(iterator_meta__batch_size=batch_size).fit(*DATA)


@pytest.mark.parametrize("lr", [-1.0, "fast", None])
def test_bad_learning_rate(lr):
    with pytest.raises((ValueError, TypeError), match=r"lr|learning rate"):
        quick(lr=lr).fit(*DATA)


@pytest.mark.parametrize("seed", ["zero", 1.5, -1])
def test_bad_random_state(seed):
    with pytest.raises(
        (ValueError, TypeError), match=r"`random_state` must be None, an int from 0"
    ):
        quick(random_state=seed).fit(*DATA)


# --- modules --------------------------------------------------------------------------------------


class Returns(Net):
    """Returns what is asked for in place of logits."""

    def __init__(self, what):
        super().__init__()
        self.what = what

    def forward(self, X):
        return self.what(super().forward(X))


WRONG_OUTPUTS = {
    "one column less": (lambda z: z[:, :2], r"\(8, 2\)"),
    "one column": (lambda z: z[:, :1], r"\(8, 1\)"),
    "one dimension": (lambda z: z[:, 0], r"\(8,\)"),
    "a dictionary": (lambda z: {"logits": z}, "dict"),
    "an image": (lambda z: z[:, :, None], r"\(8, 3, 1\)"),
    "None": (lambda z: None, "NoneType"),
}


@pytest.mark.parametrize("weighting", ["class", "uniform"])
@pytest.mark.parametrize("case", WRONG_OUTPUTS)
def test_module_without_logits_of_the_right_shape(case, weighting):
    what, found = WRONG_OUTPUTS[case]
    words = (
        r"`module` must return logits of shape \(n, 3\), one column for each of the classes "
        rf"\[0, 1, 2\]; Returns returned {found}. Set its output width to 3\."
    )
    with pytest.raises(ModuleOutputError, match=words):
        quick(Returns(what), weighting=weighting).fit(*DATA)


def test_wrong_width_is_seen_before_a_fitted_classifier_is_trained_on():
    net = quick(max_epochs=1, warm_start=True).fit(*DATA)
    before = weights(net)
    with pytest.raises(ModuleOutputError, match=r"shape \(n, 4\).*Net returned \(8, 3\)"):
        net.fit(X, np.arange(48) % 4, X_META, np.arange(12) % 4)
    assert np.array_equal(weights(net), before)


@pytest.mark.filterwarnings("ignore::skgdw.exceptions.MetaClassWarning")
def test_after_a_refused_refit_the_classifier_does_not_pass_for_fitted_on_new_labels():
    net = quick(warm_start=True).fit(*DATA.labelled([*"abc"]))
    with pytest.raises(ModuleOutputError, match="Net returned"):
        net.fit(X, np.array([*"wxyz"])[np.arange(48) % 4], X_META, np.array([*"wxy"])[Y_META])
    assert list(net.classes_) == [*"abc"]


class Softmax(Net):
    def forward(self, X):
        return super().forward(X).softmax(dim=1)


@pytest.mark.parametrize("weighting", ["class", "uniform"])
def test_probabilities_for_logits(weighting):
    with pytest.warns(ProbabilityOutputWarning, match="of Softmax are positive and sum to one"):
        quick(Softmax, weighting=weighting).fit(*DATA)


def test_positive_logits_are_no_probabilities():
    quick(Returns(lambda z: z.exp())).fit(*DATA)


def test_a_single_logit_is_no_probability():
    with pytest.warns(match="No meta set was given"):
        quick(Net(n_classes=1)).fit(X, np.zeros(48))


@pytest.mark.parametrize("meta", ["one row", "batches of one row"])
def test_batch_statistics_of_one_meta_row(meta):
    """A batch of one row has no statistics: say so, or do without."""
    module = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 1))
    options = {} if meta == "one row" else {"iterator_meta__batch_size": 1}
    n_meta = 1 if meta == "one row" else 4
    try:
        quick(module, **options).fit(X, np.zeros(48), X_META[:n_meta], np.zeros(n_meta))
    except ValueError as error:
        assert "meta" in str(error)  # noqa: PT017 (training is as good as a clear refusal)


def test_weighting_net_as_an_instance_is_copied():
    own = WeightNet(hidden=3)
    before = copy.deepcopy(own.state_dict())
    net = quick(weight_net=own).fit(*DATA)
    assert net.weight_net_.state_dict()["layers.0.weight"].shape == (3, 1)
    assert all(torch.equal(own.state_dict()[name], value) for name, value in before.items())


class ColumnWeightNet(nn.Linear):
    def __init__(self):
        super().__init__(1, 1)

    def forward(self, losses):
        return super().forward(losses[:, None]).sigmoid()


def test_weighting_net_that_returns_a_column():
    with pytest.raises((ValueError, TypeError, RuntimeError), match=r"`weight_net` .* \(n,\)"):
        quick(weight_net=ColumnWeightNet).fit(*DATA)


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
        "`X_meta` must have the keys of X, ['left', 'right']; got ['left', 'wrong']",
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
        "`X_meta` must hold at least one row; got an empty meta set",
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
