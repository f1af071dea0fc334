"""Later rows, and those beside X, are of the form of X: arrays, mappings, frames of its columns."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from skorch.dataset import Dataset as SkorchDataset
from skorch.helper import predefined_split
from torch import nn

from classifier_cases import blobs, quick
from skgdw._validation import check_form

X, Y, X_META, Y_META = blobs()


class Net:
    """Remembers the form of its rows, as a classifier does."""

    n_features_in_ = None


ZEROS = np.zeros(2)
MAPPING = {"a": ZEROS, "b": ZEROS}
FORMS = [
    (MAPPING, {"a": ZEROS}, ValueError, r"keys that `fit` was .*, \['a', 'b'\]; .* lacks \['b'\]"),
    (MAPPING, {**MAPPING, "c": ZEROS}, ValueError, r"got one that adds \['c'\]. Pass the same"),
    (MAPPING, {"a": ZEROS, "c": ZEROS}, ValueError, r"lacks \['b'\] and adds \['c'\]"),
    (MAPPING, np.zeros((2, 2)), TypeError, r"a mapping with the keys \['a', 'b'\]; got ndarray"),
    (
        np.zeros((2, 2)),
        MAPPING,
        TypeError,
        r"an array or a frame; got a mapping with the keys \['a",
    ),
]


@pytest.mark.parametrize(("first", "later", "error", "words"), FORMS)
def test_later_rows_are_of_the_form_of_fit(first, later, error, words):
    net = Net()
    check_form(net, first, reset=True)
    check_form(net, first, reset=False)
    with pytest.raises(error, match=words):
        check_form(net, later, reset=False)


def test_of_an_unknown_form_all_will_do():
    net = Net()  # as out of a file of an earlier version
    for rows in (MAPPING, np.zeros((2, 2)), [1]):
        check_form(net, rows, reset=False)


def test_a_mapping_has_no_columns_to_count():
    net = Net()
    net.n_features_in_ = 4
    check_form(net, MAPPING, reset=True)
    assert net.n_features_in_ is None


class TwoInputs(nn.Module):
    """Takes a table and what stands for an image."""

    def __init__(self):
        super().__init__()
        self.of_table, self.of_image = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, table, image):
        return self.of_table(table) + self.of_image(image)


def mapping(rows, names):
    """Return rows as a frame with these columns, and as an array."""
    frame = pd.DataFrame(rows, columns=[*"abcd"])
    return {"table": frame.rename(columns=dict(zip("abcd", names, strict=True))), "image": rows}


def turned(given):
    return {**given, "table": given["table"].iloc[:, ::-1]}


def two(**params):
    return quick(TwoInputs, weighting="uniform", **params)


WAYS = {
    "predict": lambda fitted, rows: fitted.predict(rows),
    "predict_proba": lambda fitted, rows: fitted.predict_proba(rows),
    "predict_log_proba": lambda fitted, rows: fitted.predict_log_proba(rows),
    "decision_function": lambda fitted, rows: fitted.decision_function(rows),
    "score": lambda fitted, rows: fitted.score(rows, Y),
    "partial_fit": lambda fitted, rows: fitted.partial_fit(rows, Y),
}
NAMES = {"texts": "abcd", "numbers": range(4), "pairs": [("p", 1), ("p", 2), ("q", 1), ("q", 2)]}


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("way", WAYS)
def test_columns_of_an_entry_in_another_order_than_at_fit(way, names):
    given = mapping(X, NAMES[names])
    net = two().partial_fit(given, Y)
    WAYS[way](net, given)
    words = r"`X\['table'\]` must have the columns that `fit` was given, in their order; got "
    with pytest.raises(ValueError, match=words + r".* beside .*Pass the columns by these names"):
        WAYS[way](net, turned(given))


def test_all_entries_in_another_order_are_named():
    given = {"u": pd.DataFrame(X), "v": pd.DataFrame(X), "w": pd.DataFrame(X)}
    net = Net()
    check_form(net, given, reset=True)
    other = {**given, "u": given["u"][[1, 0, 2, 3]], "w": given["w"][[3, 2, 1, 0]]}
    words = r"`X\['u'\]` and `X\['w'\]` must have .*got \[1, 0, 2, 3\] beside .*and \[3, 2, 1, 0\]"
    with pytest.raises(ValueError, match=words):
        check_form(net, other, reset=False)


@pytest.mark.parametrize("names", [range(4), NAMES["pairs"]])
def test_columns_of_a_frame_whose_names_scikit_learn_does_not_compare(names):
    frame = mapping(X, names)["table"]
    net = quick(weighting="uniform").fit(frame, Y)
    with pytest.raises(ValueError, match="`X` must have the columns that `fit` was given, in th"):
        net.predict(frame.iloc[:, ::-1])


def test_other_columns_than_at_fit():
    net = two().fit(mapping(X, "abcd"), Y)
    with pytest.raises(
        ValueError, match=r"in their order; got \['a', 'b', 'c', 'z'\] beside \['a'"
    ):
        net.predict(mapping(X, "abcz"))
    with pytest.raises(
        ValueError, match=r"in their order; got \['a', 'b'\] beside \['a', 'b', 'c'"
    ):
        net.predict({**mapping(X, "abcd"), "table": pd.DataFrame(X[:, :2], columns=["a", "b"])})
    counted = two().fit(mapping(X, range(4)), Y)  # whose names may say no more than the place
    assert counted.predict(mapping(X, range(1, 5))).shape == (48,)
    assert net.predict(mapping(X, "abcd") | {"table": X}).shape == (48,)


@pytest.mark.parametrize("name", ["X_meta", "X_val", "train_split"])
def test_columns_beside_x(name):
    given, other = mapping(X, "abcd"), turned(mapping(X_META, "abcd"))
    beside = {name: other, name.replace("X", "y"): Y_META}
    net = two()
    if name == "train_split":
        net.set_params(train_split=predefined_split(SkorchDataset(other, Y_META)))
        beside = {}
    words = rf"`{name}\['table'\]` must have the columns of X, in their order; got \['d', 'c'"
    with pytest.raises(ValueError, match=words):
        net.fit(given, Y, **beside)


def test_columns_of_split_rows_without_texts_for_names():
    frame = pd.DataFrame(X)
    split = predefined_split(SkorchDataset(frame.iloc[:, ::-1], Y))
    with pytest.raises(
        ValueError, match="`train_split` must have the columns of X, in their order"
    ):
        quick(weighting="uniform", train_split=split).fit(frame, Y)


def by_skops(net):
    skops = pytest.importorskip("skops.io")
    kept = skops.dumps(net)
    return skops.loads(kept, trusted=skops.get_untrusted_types(data=kept))


KEEPING = {
    "pickle": lambda net: pickle.loads(pickle.dumps(net)),
    "copy": copy.deepcopy,
    "skops": by_skops,
}


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("way", KEEPING)
def test_columns_are_kept_with_the_classifier(way, names):
    given = mapping(X, NAMES[names])
    net = KEEPING[way](two().fit(given, Y))
    assert net.predict(given).shape == (48,)
    with pytest.raises(ValueError, match="must have the columns that `fit` was given"):
        net.predict(turned(given))


def test_skops_forgets_names_of_other_kinds():
    given = mapping(X, pd.date_range("2020", periods=4))
    net = by_skops(two().fit(given, Y))
    assert net.predict(turned(given)).shape == (48,)


def test_a_fit_defines_the_columns_anew():
    given = mapping(X, "abcd")
    net = two().fit(given, Y)
    assert net.fit(turned(given), Y).predict(turned(given)).shape == (48,)
    net.fit({"table": X, "image": X}, Y)
    assert net.predict(given).shape == net.predict(turned(given)).shape == (48,)


class ByName(nn.Module):
    """Takes the columns of a frame as skorch hands them out, each by its name."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, a, b, c, d):
        return self.linear(torch.cat([a, b, c, d], dim=1))


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")  # pandas' own
def test_columns_of_a_dataset_over_a_frame_go_by_name():
    frame = mapping(X.astype(np.float32), "abcd")["table"]
    net = quick(ByName, weighting="uniform").fit(SkorchDataset(frame, Y))
    expected = net.predict_proba(SkorchDataset(frame))
    found = net.predict_proba(SkorchDataset(frame.iloc[:, ::-1]))
    assert np.array_equal(found, expected)


def test_a_dataset_over_a_frame_where_fit_was_given_arrays():
    frame = mapping(X, "abcd")["table"]
    net = quick(weighting="uniform").fit(frame, Y)
    words = (
        "must be of the form that `fit` was given, .*; got a Dataset over a frame, .*Pass the fr"
    )
    with pytest.raises(TypeError, match=words):
        net.predict(SkorchDataset(frame, Y))


NARROW = r"`{}` must have rows of the shape that `fit` was given in X, .*; got \(3,\) beside \(4,\)"


def narrowed(rows):
    return {**mapping(rows, "abcd"), "image": rows[:, :3]}


@pytest.mark.parametrize("way", WAYS)
def test_entries_of_another_width_than_at_fit(way):
    net = two().partial_fit(mapping(X, "abcd"), Y)
    words = NARROW.format(r"X\['image'\]") + r" \(mat1 and mat2 .*\). Send all rows through the sa"
    with pytest.raises(ValueError, match=words):
        WAYS[way](net, narrowed(X))


@pytest.mark.parametrize("name", ["X_meta", "X_val", "train_split"])
def test_entries_of_another_width_than_those_of_x(name):
    other = narrowed(X_META)
    beside = {name: other, name.replace("X", "y"): Y_META}
    net = quick(TwoInputs, weighting="class" if name == "X_meta" else "uniform")
    if name == "train_split":
        net.set_params(train_split=predefined_split(SkorchDataset(other, Y_META)))
        beside = {}
    with pytest.raises(ValueError, match=NARROW.format(rf"{name}\['image'\]")):
        net.fit(mapping(X, "abcd"), Y, **beside)


def test_all_entries_of_another_width_are_named():
    net = two().fit({"table": X, "image": X}, Y)
    words = r"`X\['table'\]` and `X\['image'\]` must .*got \(2,\) beside \(4,\), and \(1,\) beside"
    with pytest.raises(ValueError, match=words):
        net.predict({"table": X[:, :2], "image": X[:, :1]})


@pytest.mark.parametrize("way", KEEPING)
def test_widths_are_kept_with_the_classifier(way):
    net = KEEPING[way](two().fit(mapping(X, "abcd"), Y))
    with pytest.raises(ValueError, match=NARROW.format(r"X\['image'\]")):
        net.predict(narrowed(X))


class Averaging(TwoInputs):
    """Takes sequences of any length beside the table."""

    def forward(self, table, image):
        return super().forward(table, image.mean(dim=1, keepdim=True).expand(-1, 4))


def test_a_module_may_take_sequences_of_other_lengths():
    net = quick(Averaging).fit(mapping(X, "abcd"), Y, narrowed(X_META), Y_META)
    assert net.predict(narrowed(X)).shape == (48,)


class Failing(TwoInputs):
    """Fails when it predicts, whatever it is given."""

    def forward(self, table, image):
        if not self.training:
            raise RuntimeError("no more")
        return super().forward(table, image)


def test_other_errors_of_a_module_stay():
    net = quick(Failing, weighting="uniform").fit(mapping(X, "abcd"), Y)
    with pytest.raises(RuntimeError, match=r"^no more"):
        net.predict(mapping(X, "abcd"))
