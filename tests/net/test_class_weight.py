"""Weights of classes by scikit-learn's name: those of the criterion."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_class_weight_classifiers
from torch import nn

from classifier_cases import Rows, blobs, quick, weights
from skgdw import GDWClassifier
from skgdw._net._class_weight import criterion_weight
from skgdw.exceptions import NoMetaSetWarning
from skgdw.modules import MLP

DATA = blobs(n=60, n_meta=15)
NAMES = np.array(["ash", "oak", "yew"])
UNEVEN = DATA._replace(X=DATA.X[:46], y=np.r_[DATA.y[:30], np.zeros(16, dtype=int)])


@pytest.mark.parametrize("weighting", ["class_pair", "class", "instance", "network", "uniform"])
def test_they_are_the_criterions(weighting):
    data = DATA.labelled(NAMES)
    given = quick(weighting=weighting, class_weight={"oak": 3.0, "yew": 0.5}).fit(*data)
    direct = quick(weighting=weighting, criterion__weight=torch.tensor([1.0, 3.0, 0.5])).fit(*data)
    assert np.array_equal(weights(given), weights(direct))
    assert not np.array_equal(weights(given), weights(quick(weighting=weighting).fit(*data)))


def test_meta_rows_count_alike():
    net = quick(class_weight={1: 3.0}, lr=0.0, iterator_meta__batch_size=15).fit(*DATA)
    logits = net.forward(DATA.X_meta, training=False)
    expected = nn.functional.cross_entropy(logits, torch.as_tensor(DATA.y_meta))
    assert net.history[-1]["meta_loss"] == pytest.approx(float(expected), rel=1e-5)


def test_balanced_evens_out_the_rows_to_train_on():
    found = quick(class_weight="balanced", weighting="uniform").fit(UNEVEN.X, UNEVEN.y)
    counts = np.bincount(UNEVEN.y)
    np.testing.assert_allclose(found.criterion_.weight, 46 / (3 * counts), rtol=1e-6)
    mask = np.arange(46) < 12
    marked = quick(class_weight="balanced").fit(UNEVEN.X, UNEVEN.y, meta_mask=mask)
    counts = np.bincount(UNEVEN.y[~mask])
    np.testing.assert_allclose(marked.criterion_.weight, 34 / (3 * counts), rtol=1e-6)


class OwnLoss(nn.CrossEntropyLoss):
    """Is built with the weights, as a criterion of the user's."""


@pytest.mark.parametrize("criterion", [nn.CrossEntropyLoss, OwnLoss])
def test_balanced_counts_the_rows_of_each_fit(criterion):
    """Under warm_start too, where the rest of the criterion is gone on with."""
    net = quick(class_weight="balanced", weighting="uniform", warm_start=True, criterion=criterion)
    net.fit(DATA.X, DATA.y)
    np.testing.assert_allclose(net.criterion_.weight, 1)
    expected = 46 / (3 * np.bincount(UNEVEN.y))
    np.testing.assert_allclose(net.fit(UNEVEN.X, UNEVEN.y).criterion_.weight, expected, rtol=1e-6)
    net.partial_fit(DATA.X, DATA.y)
    np.testing.assert_allclose(net.criterion_.weight, expected, rtol=1e-6)


def test_clones_and_refits_have_them():
    net = clone(quick(class_weight={0: 2.0})).fit(*DATA)
    assert net.get_params()["class_weight"] == {0: 2.0}
    net.set_params(class_weight=None).fit(*DATA)
    assert net.criterion_.weight is None


@pytest.mark.filterwarnings("ignore", category=NoMetaSetWarning)
def test_the_check_of_scikit_learn():
    check_class_weight_classifiers("GDWClassifier", GDWClassifier(verbose=0))


def test_balanced_counts_rows_by_their_weights():
    weight = np.random.default_rng(0).integers(0, 4, 46).astype(float)
    weight[UNEVEN.y == 2] = 0
    repeated = np.repeat(np.arange(46), weight.astype(int))
    net = quick(class_weight="balanced", weighting="uniform", classes=[0, 1, 2])
    weighed = clone(net).fit(UNEVEN.X, UNEVEN.y, sample_weight=weight)
    repeats = clone(net).fit(UNEVEN.X[repeated], UNEVEN.y[repeated])
    torch.testing.assert_close(weighed.criterion_.weight, repeats.criterion_.weight)
    assert weighed.criterion_.weight[2] == 1


@pytest.mark.parametrize(
    ("class_weight", "words"),
    [
        (
            {"elm": 1, "ash": -2, "oak": np.nan, "yew": "two"},
            "finite numbers > 0; got 'elm', which is no class, -2 for 'ash', nan for 'oak', 'two'",
        ),
        ({"ash": np.inf, "oak": None, "yew": True}, "got inf for 'ash', None for 'oak', True for"),
        ({"ash": 1, "oak": 0.0}, "got 0.0 for 'oak'. Give rows .* a `sample_weight` of 0"),
    ],
)
def test_weights_that_are_none(class_weight, words):
    with pytest.raises(ValueError, match=words):
        criterion_weight(class_weight, NAMES, None)


def test_parameters_that_do_not_go_together():
    for params in ({"criterion__weight": torch.ones(3)}, {"criterion": nn.CrossEntropyLoss()}):
        with pytest.raises(ValueError, match="`class_weight` must stand alone"):
            quick(class_weight={0: 2.0}, **params).fit(*DATA)
    with pytest.raises(ValueError, match='`class_weight` must be "balanced", a mapping'):
        quick(class_weight="even").fit(*DATA)
    with pytest.raises(ValueError, match="further rows are to come"):
        quick(class_weight="balanced").partial_fit(
            DATA.X, DATA.y, X_meta=DATA.X_meta, y_meta=DATA.y_meta
        )


def test_networks_are_built_before_any_fit():
    net = quick(MLP, module__n_features=4, module__n_classes=3, class_weight={0: 2.0})
    with pytest.raises(ValueError, match=r"none are known before a fit\. Name them: classes="):
        net.initialize()
    net.set_params(classes=[0, 1, 2]).initialize()
    assert net.criterion_.weight.tolist() == [2.0, 1.0, 1.0]
    with pytest.raises(ValueError, match="no rows to count, outside a fit; pass a mapping"):
        net.set_params(class_weight="balanced").initialize()


def test_labels_inside_a_dataset_take_a_mapping():
    rows, trusted = (
        Rows(torch.as_tensor(DATA.X).float(), DATA.y),
        Rows(torch.as_tensor(DATA.X_meta).float(), DATA.y_meta),
    )
    net = quick(classes=[0, 1, 2], class_weight={2: 4.0}).fit(rows, None, trusted)
    assert net.criterion_.weight.tolist() == [1.0, 1.0, 4.0]
    with pytest.raises(ValueError, match='must not be "balanced" where a Dataset holds the labels'):
        net.set_params(class_weight="balanced").fit(rows, None, trusted)
