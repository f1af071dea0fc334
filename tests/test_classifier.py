"""Labels of every kind go in and come out; what `predict`, `predict_proba` and `score` return."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import DataConversionWarning
from torch.utils.data import TensorDataset

from classifier_cases import Data, Net, blobs, quick, weights
from skgdw.exceptions import MetaClassWarning

DATA = blobs()
X, Y, X_META, Y_META = DATA


def learner(**params):
    """Return a classifier that gets the blobs right."""
    return quick(**{"max_epochs": 15, "batch_size": 16, **params})


# --- labels ---------------------------------------------------------------------------------------

LABELS = {
    "codes": np.arange(3),
    "gaps": np.array([3, 40, 500]),
    "negative": np.array([-7, -1, 4]),
    "unsorted": np.array([20, -3, 5]),
    "int8": np.array([-100, 0, 100], dtype=np.int8),
    "uint64": np.array([0, 5, 2**63], dtype=np.uint64),
    "large": np.array([2**53, 2**53 + 1, 2**53 + 2]),
    "whole floats": np.array([-1.0, 0.0, 1.0]),
    "text": np.array(["dog", "cat", "ox"]),
    "object text": np.array(["dog", "cat", "an animal of a very long name"], dtype=object),
    "text of digits": np.array(["10", "9", "1"]),
    "accents": np.array(["ä", "a", "é"]),
    "empty text": np.array(["", "a", "b"]),
}


@pytest.fixture(scope="module")
def plain():
    """Return a classifier fitted on the codes 0, 1, 2."""
    return quick(max_epochs=3, batch_size=16).fit(*DATA)


def test_codes_are_learnt(plain):
    assert set(plain.predict(X)) == {0, 1, 2}
    assert learner().fit(*DATA).score(X, Y) > 0.9


@pytest.mark.parametrize("kind", LABELS)
def test_labels_come_back(kind, plain):
    labels = np.sort(LABELS[kind])
    data = DATA.labelled(labels)
    net = quick(max_epochs=3, batch_size=16).fit(*data)
    assert net.classes_.tolist() == labels.tolist()
    predicted = net.predict(X)
    assert predicted.dtype == net.classes_.dtype == labels.dtype
    assert predicted.tolist() == labels[plain.predict(X)].tolist()
    # The columns of probabilities stand in the order of classes_.
    assert np.array_equal(net.predict_proba(X), plain.predict_proba(X))
    assert net.score(X, data.y) == plain.score(X, Y)


def test_labels_are_sorted_however_they_come():
    labels = np.array(["ox", "dog", "cat"])
    net = learner().fit(*DATA.labelled(labels))
    assert net.classes_.tolist() == ["cat", "dog", "ox"]
    assert net.score(X, labels[Y]) > 0.9


@pytest.mark.parametrize("labels", [[False, True], ["no", "yes"], [-1, 1], [0.0, 1.0]], ids=str)
def test_two_classes(labels):
    codes = blobs(n_classes=2)
    data = codes.labelled(labels)
    net = quick(module__n_classes=2).fit(*data)
    expected = quick(module__n_classes=2).fit(*codes)
    assert net.classes_.tolist() == sorted(labels)
    assert net.predict(data.X).dtype == data.y.dtype
    assert net.predict(data.X).tolist() == np.array(labels)[expected.predict(data.X)].tolist()
    assert net.predict_proba(data.X).shape == (48, 2)


CONTAINERS = {
    "list": lambda y: y.tolist(),
    "Series": lambda y: pd.Series(y, index=np.arange(len(y))[::-1]),
    "string Series": lambda y: pd.Series(y, dtype="string"),
    "Categorical": pd.Categorical,
    "categorical Series": lambda y: pd.Series(y, dtype="category"),
    "object array": lambda y: y.astype(object),
    "Index": pd.Index,
}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_containers_of_text_labels(kind):
    wrap, data = CONTAINERS[kind], DATA.labelled(["dog", "cat", "ox"])
    expected = quick().fit(*data)
    net = quick().fit(X, wrap(data.y), X_META, wrap(data.y_meta))
    assert np.array_equal(weights(net), weights(expected))
    assert net.classes_.tolist() == ["cat", "dog", "ox"]
    assert net.predict(X).tolist() == expected.predict(X).tolist()


@pytest.mark.parametrize(
    "wrap",
    [torch.tensor, lambda y: pd.Series(y, dtype="Int64"), lambda y: pd.Series(y, dtype="int8")],
    ids=["tensor", "Int64", "int8"],
)
def test_containers_of_numbers(wrap):
    data = DATA.labelled([5, 2, 9])
    net = quick().fit(X, wrap(data.y), X_META, wrap(data.y_meta))
    assert np.array_equal(weights(net), weights(quick().fit(*data)))
    assert net.predict(X).tolist() == quick().fit(*data).predict(X).tolist()


def test_boolean_tensor():
    data = blobs(n_classes=2).labelled([False, True])
    net = quick(module__n_classes=2).fit(
        data.X, torch.tensor(data.y), data.X_meta, torch.tensor(data.y_meta)
    )
    assert net.predict(data.X).dtype == np.bool_


def test_kinds_of_containers_may_differ_between_y_and_y_meta():
    data = DATA.labelled(["dog", "cat", "ox"])
    net = quick().fit(X, data.y.tolist(), X_META, pd.Series(data.y_meta, dtype="category"))
    assert np.array_equal(weights(net), weights(quick().fit(*data)))


def test_column_vectors_are_taken_with_a_warning():
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed") as caught:
        net = quick().fit(X, Y[:, None], X_META, Y_META)
    assert len(caught) == 1
    assert np.array_equal(weights(net), weights(quick().fit(*DATA)))
    with pytest.warns(DataConversionWarning, match="A column-vector y_meta was passed"):
        quick().fit(X, Y, X_META, Y_META[:, None])
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed"):
        quick().fit(X, pd.DataFrame(Y), X_META, Y_META)


@settings(max_examples=15)
@given(
    labels=st.lists(st.integers(-(2**40), 2**40), min_size=3, max_size=3, unique=True)
    | st.lists(st.text(min_size=1, max_size=3), min_size=3, max_size=3, unique=True)
)
def test_labels_are_only_names(plain, labels):
    """Renaming the classes in their order changes nothing but the names."""
    names = np.array(sorted(labels), dtype=object if isinstance(labels[0], str) else None)
    net = quick(max_epochs=3, batch_size=16).fit(*DATA.labelled(names))
    assert np.array_equal(weights(net), weights(plain))
    assert net.predict(X).tolist() == names[plain.predict(X)].tolist()


def test_one_class():
    net = quick(module__n_classes=1).fit(X, ["a"] * 48, X_META, ["a"] * 12)
    assert net.predict_proba(X).tolist() == [[1.0]] * 48
    assert set(net.predict(X)) == {"a"}


# --- classes= -------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::skgdw.exceptions.ClassOrderWarning")
def test_classes_set_the_order_of_the_columns():
    data = DATA.labelled([*"abc"])
    net = learner(classes=["c", "a", "b"]).fit(*data)
    assert net.classes_.tolist() == ["c", "a", "b"]
    assert net.score(X, data.y) > 0.9
    probability = net.predict_proba(X)
    assert (probability[data.y == "c"].argmax(axis=1) == 0).mean() > 0.9


def test_classes_may_hold_labels_that_do_not_come():
    net = quick(classes=[0, 1, 2, 9], module__n_classes=4).fit(*DATA)
    assert net.classes_.tolist() == [0, 1, 2, 9]
    assert net.predict_proba(X).shape == (48, 4)


def test_classes_are_the_union_of_both_label_sets():
    y, y_meta = np.where(Y == 2, 1, Y), np.where(Y_META == 0, 7, Y_META)
    with pytest.warns(MetaClassWarning):
        net = quick(module__n_classes=4).fit(X, y, X_META, y_meta)
    assert net.classes_.tolist() == [0, 1, 2, 7]


@pytest.mark.filterwarnings("ignore::skgdw.exceptions.ClassOrderWarning")
def test_dataset_that_keeps_its_labels():
    codes = torch.tensor(Y)
    rows = TensorDataset(torch.tensor(X, dtype=torch.float32), codes)
    meta = TensorDataset(torch.tensor(X_META, dtype=torch.float32), torch.tensor(Y_META))
    classes = ["ox", "cat", "dog"]
    net = learner(classes=classes).fit(rows, None, meta, np.array(classes)[Y_META])
    assert net.classes_.tolist() == classes
    assert (net.predict(rows) == np.array(classes)[Y]).mean() > 0.9
    assert np.array_equal(net.predict(X), net.predict(rows))


# --- prediction -----------------------------------------------------------------------------------


@pytest.mark.parametrize("weighting", ["class", "instance", "network", "uniform"])
def test_every_weighting_learns(weighting):
    net = learner(weighting=weighting).fit(*DATA)
    assert net.score(X, Y) > 0.9


def test_wrong_labels_lose_weight():
    rng = np.random.default_rng(0)
    data = blobs(200, 30)
    wrong = rng.random(200) < 0.4
    y = np.where(wrong, (data.y + 1) % 3, data.y)
    net = quick("auto", max_epochs=12, batch_size=32).fit(data.X, y, *data[2:])
    assert net.row_weights_.shape == (200,)
    assert net.row_weights_[~wrong].mean() > 1.5 * net.row_weights_[wrong].mean()
    assert net.score(data.X, data.y) > 0.9


def test_refitting_on_other_classes_starts_afresh():
    net = quick("auto").fit(*DATA)
    net.fit(*blobs(n_classes=2).labelled([*"ab"]))
    assert net.classes_.tolist() == [*"ab"]
    assert net.predict_proba(X).shape == (48, 2)
    assert len(net.history) == 1


def test_data_is_what_fit_takes_in_order():
    assert Data._fields == ("X", "y", "X_meta", "y_meta")
    assert isinstance(quick().fit(*DATA).module_, Net)
