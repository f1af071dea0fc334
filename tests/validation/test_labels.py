"""The classes that labels make up, and labels that do not fit to them."""

import numpy as np
import pandas as pd
import pytest
from torch.utils.data import Dataset

from classifier_cases import Rows, blobs, quick
from skgdw._rows import encode
from skgdw._validation import (
    check_classes,
    check_dataset_labels,
    check_given,
    check_known,
    check_same_columns,
    find_classes,
)
from skgdw.exceptions import ClassOrderWarning

Y, Y_META = np.array([*"baab"]), np.array([*"cca"])


def test_classes_are_the_sorted_union():
    assert find_classes(Y, Y_META, None).tolist() == [*"abc"]
    assert find_classes(Y, None, None).tolist() == [*"ab"]


def test_large_integers_of_two_dtypes_stay_apart():
    X, codes = blobs().X[:12], np.arange(12) % 3
    large = codes + 2**60
    net = quick().fit(X, large.astype(np.uint64), (X + 1,), (large,))
    assert net.classes_.tolist() == [2**60, 2**60 + 1, 2**60 + 2]
    assert encode(large.astype(np.uint64), net.classes_).tolist() == codes.tolist()
    with pytest.raises(ValueError, match=r"`y and y_meta` must hold labels beyond 2\*\*53 as int"):
        find_classes(codes + 2**53 + 1, (codes + 2**53).astype(float), None)


@pytest.mark.filterwarnings("ignore::skgdw.exceptions.ClassOrderWarning")
def test_classes_that_are_given_keep_their_order():
    assert find_classes(Y, Y_META, [*"dcba"]).tolist() == [*"dcba"]
    assert find_classes(None, None, [2, 1]).tolist() == [2, 1]


def test_labels_beside_the_given_classes_are_named():
    words = r"`classes` must hold every label; got \['a'\], and labels \['b', 'c'\] beside them"
    with pytest.raises(ValueError, match=words):
        find_classes(Y, Y_META, ["a"])
    with pytest.raises(ValueError, match=r"must not repeat a label; got \['a', 'b', 'c', 'a'\]"):
        find_classes(Y, Y_META, [*"abca"])


def test_labels_that_nothing_is_learnt_for_are_counted():
    check_known(Y, np.array([*"ab"]), "y_val")
    check_known(None, np.array([*"ab"]), "y_val")
    words = r"`y_val` must hold labels that y or y_meta hold, \['a', 'b'\]; got \['c'\] in 2 rows"
    with pytest.raises(ValueError, match=words):
        check_known(Y_META, np.array([*"ab"]), "y_val")


def test_a_later_call_names_the_same_classes():
    check_classes([*"ba"], np.array([*"ab"]))
    with pytest.raises(ValueError, match=r"must be those of the first call, \['a', 'b'\]; got"):
        check_classes([*"abc"], np.array([*"ab"]))


def test_a_meta_set_in_the_place_of_classes():
    words = (
        r"`classes` must be a list of labels; got an array of shape \(3, 2\).* by name, as X_meta"
    )
    with pytest.raises(ValueError, match=words):
        check_classes(np.zeros((3, 2)), None)
    with pytest.raises(ValueError, match=words):
        find_classes(Y, Y_META, np.zeros((3, 2)))


def test_no_labels():
    with pytest.raises(ValueError, match="`y_meta` must hold one label a row; got None"):
        check_given(None, "y_meta")


def test_a_dataset_holds_its_labels_or_has_them_beside_it():
    data = Rows(np.zeros((4, 2)), np.zeros(4))
    assert check_dataset_labels(data, None, classes=[0, 1]) is None
    assert check_dataset_labels(data, Y, classes=None).tolist() == Y.tolist()
    with pytest.raises(ValueError, match="`classes` must be given to the classifier when a Data"):
        check_dataset_labels(data, None, classes=None)
    with pytest.raises(ValueError, match="same number of rows; got 4 and 3"):
        check_dataset_labels(data, Y_META, classes=None)


class Endless(Dataset):
    def __getitem__(self, i):
        return np.zeros(2), 0


def test_a_dataset_without_a_length():
    with pytest.raises(TypeError, match="`X` as a Dataset must have a length; got Endless without"):
        check_dataset_labels(Endless(), None, classes=[0, 1])


NAMES = np.array([*"abc"])
ONE_HOT = np.eye(3, dtype=int)


def frame(labels, columns="abc"):
    return pd.get_dummies(NAMES[labels]).reindex(columns=[*columns], fill_value=0)


@pytest.mark.parametrize(
    ("y", "other"),
    [
        (frame([0, 1, 2]), frame([2, 0])),
        (frame([0, 1, 2]), ONE_HOT[[2, 0]]),
        (ONE_HOT, ONE_HOT[[2, 0]].tolist()),
        (frame([0, 1, 2]), [2, 0]),
        ([0, 1, 2], ONE_HOT[[2, 0]]),
        (frame([0, 1, 2])[["a"]], frame([1, 0])[["b"]]),
        (None, ONE_HOT),
    ],
)
def test_one_hot_labels_of_the_same_columns(y, other):
    check_same_columns(y, other, "y_meta")


@pytest.mark.parametrize("name", ["y_meta", "y_val"])
@pytest.mark.parametrize("columns", ["cab", "bc", "abd", "abcd"])
def test_one_hot_labels_of_other_columns(columns, name):
    X, y, X_other, y_other = blobs()
    beside = {name.replace("y", "X"): X_other, name: frame(y_other.clip(1, 1), columns)}
    if name == "y_val":
        beside |= {"X_meta": X_other + 1, "y_meta": frame(y_other)}
    words = rf"`{name}` in one-hot rows must have the columns of y, in .*; got \['{columns[0]}'"
    with pytest.raises(ValueError, match=words):
        quick().fit(X, frame(y), **beside)


def test_one_hot_labels_of_fewer_columns_without_names():
    X, y, X_meta, _ = blobs()
    words = r"`y_meta` .* got \[0, 1\] beside \[0, 1, 2\]. .*, or pass labels"
    with pytest.raises(ValueError, match=words):
        quick().fit(X, ONE_HOT[y], X_meta, np.eye(2)[np.arange(len(X_meta)) % 2])


@pytest.mark.parametrize("given", [[2, 0, 1], ["pos", "neg"], [True, False]])
def test_classes_in_an_order_of_their_own_are_told(given):
    words = r"`classes` should be sorted.* roc_auc and neg_log_loss.*got \[" + f"{given[0]!r}, "
    with pytest.warns(ClassOrderWarning, match=words):
        assert find_classes(np.array(given), None, given).tolist() == given
    find_classes(np.array(given), None, sorted(given))
