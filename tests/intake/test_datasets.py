"""Labels inside a Dataset are encoded by `classes`, or refused."""

import copy

import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import EpochScoring
from skorch.dataset import Dataset as SkorchDataset
from skorch.helper import SliceDataset
from torch.utils.data import IterableDataset, TensorDataset

from classifier_cases import Rows, blobs, quick, weights
from skgdw._intake._datasets import labels_inside, with_codes

X, Y, X_META, Y_META = blobs()
X32, X_META32 = X.astype(np.float32), X_META.astype(np.float32)
NUMBERS, NAMES = np.array([1, 2, 3]), np.array(["ash", "elm", "oak"])


class Labelled(Rows):
    """A Dataset that gives labels as they are, not as codes."""

    def __getitem__(self, i):
        return self.rows[i], self.codes[i]


def tensors(rows, labels):
    return TensorDataset(torch.tensor(rows), torch.tensor(labels))


def trained(**params):
    return quick(max_epochs=12, batch_size=12, **params)


@pytest.mark.parametrize("n_present", [2, 3])
@pytest.mark.parametrize(("classes", "kind"), [(NUMBERS, tensors), (NAMES, Labelled)])
def test_labels_are_encoded_by_classes(classes, kind, n_present):
    few, few_meta = np.less(Y, n_present), np.less(Y_META, n_present)
    net = trained(classes=classes)
    net.fit(
        kind(X32[few], classes[Y[few]]), None,
        kind(X_META32[few_meta], classes[Y_META[few_meta]]), classes[Y_META[few_meta]],
    )  # fmt: skip
    assert net.score(X[few], classes[Y[few]]) > 0.9
    assert np.array_equal(net.classes_, classes)


def test_the_same_as_labels_beside_the_dataset():
    inside, beside = quick(classes=NUMBERS), quick(classes=NUMBERS)
    inside.fit(tensors(X32, NUMBERS[Y]), None, tensors(X_META32, NUMBERS[Y_META]))
    beside.fit(tensors(X32, Y), NUMBERS[Y], tensors(X_META32, Y_META), NUMBERS[Y_META])
    assert np.array_equal(weights(inside), weights(beside))


@pytest.mark.parametrize("classes", [[0, 1, 2], NAMES])
def test_codes_stay_where_they_cannot_be_labels(classes):
    net = trained(classes=classes).fit(tensors(X32, Y), None, tensors(X_META32, Y_META))
    assert net.score(X, np.asarray(classes)[Y]) > 0.9


def test_a_label_that_is_no_class_is_refused():
    words = (
        r"`classes` must hold every label that the Dataset holds; got \[1, 2, 3\], and the label 0 "
        r"in row \d+. Add it, or have the Dataset give labels out of `classes`."
    )
    with pytest.raises(ValueError, match=words):
        quick(classes=NUMBERS).fit(tensors(X32, Y), None, tensors(X_META32, NUMBERS[Y_META]))


def test_items_without_a_label_are_refused():
    words = "must give pairs of a row and its label; got a row without one in place .*Pass y beside"
    with pytest.raises(ValueError, match=words):
        quick(classes=[0, 1, 2], weighting="uniform").fit(TensorDataset(torch.tensor(X32)))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("classes", "labels", "bad"),
    [([0, 1, 2], np.where(Y == 1, -100, Y), -100), (NAMES, Y + 1, 3), ([0, 1, 2], Y - 1, -1)],
)
def test_a_code_of_no_class_is_refused(classes, labels, bad, stream):
    data = Stream(X32, labels) if stream else tensors(X32, labels)
    net = trained(classes=classes, weighting="uniform", iterator_train__shuffle=False)
    words = rf"must hold those of `classes`, 0 to 2; got {bad} in row \d+. Leave such rows out"
    with pytest.raises(ValueError, match=words):
        net.fit(data, None)


def test_a_dataset_of_codes_is_as_it_was():
    data = tensors(X32, Y)
    checked = copy.deepcopy(with_codes(data, None, np.arange(3)))
    assert torch.equal(checked.tensors[0], data.tensors[0])
    assert all(a is b or torch.equal(a, b) for a, b in zip(checked[5], data[5], strict=True))
    assert checked.__getitems__([3, 5])[1][1] == data[5][1]


def test_a_meta_label_inside_that_is_no_class_is_refused():
    with pytest.raises(
        ValueError, match=r"`classes` must hold every label; got \[1, 2, 3\].*\[0\]"
    ):
        quick(classes=NUMBERS).fit(tensors(X32, NUMBERS[Y]), None, tensors(X_META32, Y_META))


def test_labels_are_read_in_order():
    data = tensors(X32, NUMBERS[Y])
    assert labels_inside(data, None) == NUMBERS[Y].tolist()
    assert labels_inside(tensors(X32, Y), NAMES) == NAMES[Y].tolist()
    assert [code for _, code in with_codes(data, None, NUMBERS)] == Y.tolist()
    assert with_codes(tensors(X32, Y), None, np.arange(3)).dataset.tensors[1].tolist() == Y.tolist()
    assert with_codes(X, Y, NUMBERS) is X


def test_arrays_beside_a_dataset_are_refused_with_the_way_out():
    words = (
        r"got ndarray beside TensorDataset. Wrap it in a Dataset as X is, for instance torch.uti"
    )
    with pytest.raises(TypeError, match=f"`X_meta` must be of the same kind as X; {words}"):
        quick(classes=[0, 1, 2]).fit(tensors(X32, Y), None, X_META, Y_META)


# --- skorch's view of a Dataset for scikit-learn --------------------------------------------------


def test_slices_of_a_dataset_are_rows():
    data, meta = tensors(X32, Y), tensors(X_META32, Y_META)
    net = quick().fit(
        SliceDataset(data), SliceDataset(data, idx=1), SliceDataset(meta), SliceDataset(meta, idx=1)
    )
    expected = quick().fit(X32, Y, X_META32, Y_META)
    assert np.array_equal(weights(net), weights(expected))
    assert np.array_equal(net.predict_proba(SliceDataset(data)), expected.predict_proba(X32))


def test_slices_of_a_dataset_in_a_search():
    data, meta = SliceDataset(tensors(X32, Y)), SliceDataset(tensors(X_META32, Y_META))
    search = GridSearchCV(trained(), {"lr": [0.1]}, cv=2, error_score="raise")
    search.fit(data, Y, X_meta=(meta,), y_meta=(Y_META,))
    assert search.score(data, Y) > 0.9


class Stream(IterableDataset):
    """Gives pairs in their order, and knows how many."""

    def __init__(self, rows, labels):
        self.pairs = list(zip(rows, labels.tolist(), strict=True))

    def __len__(self):
        return len(self.pairs)

    def __iter__(self):
        return iter(self.pairs)


@pytest.mark.parametrize("classes", [NUMBERS, NAMES])
@pytest.mark.parametrize("is_beside", [False, True])
def test_streams_are_encoded(classes, is_beside):
    net = trained(classes=classes, weighting="uniform", iterator_train__shuffle=False)
    stream = Stream(X32, classes[Y])
    few = Stream(X32[:20], classes[Y[:20]])
    net.fit(stream, classes[Y] if is_beside else None, X_val=few)
    assert net.score(X, classes[Y]) > 0.9
    assert net.history[-1, "valid_acc"] == net.score(X[:20], classes[Y[:20]])


LABELS = [(np.float32, [0.0, 1.0, 2.0]), (np.uint8, [0, 1, 2]), (np.int32, [0, 1, 2])]


@pytest.mark.parametrize(("dtype", "classes"), LABELS)
def test_numbers_that_torch_takes_for_no_codes_are_encoded(dtype, classes):
    net = trained(classes=classes, weighting="uniform")
    net.fit(tensors(X32, Y.astype(dtype)))
    assert net.score(X, Y) > 0.9


@pytest.mark.parametrize("is_beside", [False, True])
def test_scores_find_the_labels_of_skorchs_own_dataset(is_beside):
    score = EpochScoring("accuracy", on_train=True, use_caching=False, name="own")
    net = trained(weighting="uniform", callbacks=[score])
    given = SkorchDataset(X32, NAMES[Y])
    net.fit(given, NAMES[Y] if is_beside else None)
    assert net.history[-1, "own"] == net.score(X, NAMES[Y])
    assert given.y.tolist() == NAMES[Y].tolist()
