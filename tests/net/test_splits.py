"""Labels through a `train_split`; every kind of labels is in tests/field/test_labels.py."""

import numpy as np
import pytest
import torch
from sklearn.model_selection import GroupKFold, KFold, LeaveOneGroupOut
from skorch.dataset import Dataset as SkorchDataset
from skorch.dataset import ValidSplit
from skorch.helper import predefined_split
from torch.utils.data import IterableDataset, TensorDataset

from classifier_cases import Rows, blobs, quick
from skgdw._feed._dataset import RowDataset
from skgdw._net._scoring import LabelledDataset

X, Y, X_META, Y_META = blobs()
NUMBERS, NAMES = np.array([1, 2, 3]), np.array(["ash", "elm", "oak"])
X_VAL, Y_VAL = blobs(24, 12, seed=1)[:2]


def fitted(split, labels=NUMBERS, X=X, **params):
    net = quick(train_split=split, weighting="uniform", **params)
    return net.fit(X, labels[Y])


@pytest.mark.parametrize("kind", [SkorchDataset, Rows])
def test_labels_that_no_class_is_learnt_for(kind):
    y = np.where(np.arange(24) < 2, 9, NUMBERS[Y_VAL])
    words = (
        r"`train_split` must hold labels that y or y_meta hold, \[1, 2, 3\]; got \[9\] in 2 rows"
    )
    with pytest.raises(ValueError, match=words):
        fitted(predefined_split(kind(X_VAL.astype(np.float32), y)))


def test_labels_of_another_kind():
    split = predefined_split(SkorchDataset(X_VAL, NUMBERS[Y_VAL]))
    with pytest.raises(ValueError, match=r"`train_split` must hold labels of the same kind as y's"):
        fitted(split, NAMES)


@pytest.mark.parametrize("cv", [GroupKFold(2), LeaveOneGroupOut()])
def test_a_split_by_groups_gets_none(cv):
    words = (
        rf"hands it, X and y; got {type(cv).__name__}\(.*\), which asks for groups .*X_val and y"
    )
    with pytest.raises(ValueError, match=words):
        fitted(ValidSplit(cv))


def test_other_errors_of_a_split_stay():
    with pytest.raises(ValueError, match=r"^Cannot have number of splits"):
        fitted(ValidSplit(KFold(99)))


class Endless(IterableDataset):
    def __iter__(self):
        return iter([])


@pytest.mark.parametrize(
    ("X_val", "error", "words"),
    [
        (X_VAL[:, :2], ValueError, r"`train_split` must have the columns of X"),
        (X_VAL * np.nan, ValueError, "Input train_split contains NaN"),
        ({"a": X_VAL}, TypeError, "`train_split` must be of the same kind as X; got dict"),
    ],
)
def test_rows_are_checked_as_those_of_X_val(X_val, error, words):
    with pytest.raises(error, match=words):
        fitted(predefined_split(SkorchDataset(X_val, NUMBERS[Y_VAL])))


def test_a_stream_has_no_length():
    words = "`train_split` as a Dataset must have a length; got Endless without one. Wrap it in"
    with pytest.raises(TypeError, match=words):
        fitted(predefined_split(Endless()))


def test_doubles_are_read_as_those_of_X_val():
    split = predefined_split(SkorchDataset(X_VAL, NUMBERS[Y_VAL]))
    net = fitted(split)
    assert net.history[-1, "valid_acc"] == net.score(X_VAL, NUMBERS[Y_VAL])


class Doubled(SkorchDataset):
    """A skorch Dataset that changes its rows."""

    def transform(self, X, y):
        return super().transform(np.float32(X * 2), y)


def test_a_dataset_that_changes_its_rows_goes_on_doing_so():
    given = Doubled(X_VAL, NUMBERS[Y_VAL])
    net = fitted(predefined_split(given))
    assert net.history[-1, "valid_acc"] == net.score(X_VAL * 2, NUMBERS[Y_VAL])
    assert given.y.tolist() == NUMBERS[Y_VAL].tolist()


def test_beside_a_dataset():
    X32, X_VAL32 = X.astype(np.float32), X_VAL.astype(np.float32)
    for kind in (SkorchDataset, Rows):
        split = predefined_split(kind(X_VAL32, NUMBERS[Y_VAL]))
        net = fitted(split, X=TensorDataset(torch.tensor(X32), torch.tensor(Y)))
        assert net.history[-1, "valid_acc"] == net.score(X_VAL, NUMBERS[Y_VAL])


def test_what_a_split_is_shown():
    shown = LabelledDataset(RowDataset(torch.zeros(3, 2), torch.tensor([2, 0, 1])), NAMES)
    assert len(shown) == 3
    assert shown.X.shape == (3, 2)
    assert shown.y.tolist() == [label for _, label in shown] == ["oak", "ash", "elm"]
