"""Rows of any container through every door: `fit` and all that follows it take and refuse alike."""

import pickle
from collections import OrderedDict, UserDict
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.model_selection import GridSearchCV
from skorch.dataset import Dataset as SkorchDataset
from skorch.dataset import ValidSplit
from skorch.helper import SliceDataset, SliceDict, predefined_split
from torch import nn
from torch.utils.data import TensorDataset

from classifier_cases import Net, blobs, quick, weights
from skgdw import GDWClassifier
from skgdw.exceptions import ModuleOutputError

X, Y, X_META, Y_META = blobs()
X_VAL, Y_VAL = blobs(20, 12, seed=1)[:2]
X, X_META, X_VAL = (rows.astype(np.float32) for rows in (X, X_META, X_VAL))


class TwoInputs(nn.Module):
    """Takes its rows under two names."""

    def __init__(self):
        super().__init__()
        self.net = Net()

    def forward(self, a, b):
        return self.net(torch.cat([a, b], dim=1))


class Encoding(UserDict):
    """As tokenizers return it: no dict, with entries for attributes."""

    def __getattr__(self, name):
        try:
            return self.data[name]
        except KeyError:
            raise AttributeError(name) from None


def halves(rows):
    return {"a": rows[:, :2], "b": rows[:, 2:]}


def with_halves(change):
    return lambda rows: {name: change(half) for name, half in halves(rows).items()}


def one_by_one(rows):
    return SliceDataset([({name: half[i] for name, half in halves(rows).items()}, 0)
                         for i in range(len(rows))])  # fmt: skip


ARRAYS = {
    "array": np.asarray,
    "lists": lambda rows: rows.tolist(),
    "list of arrays": list,
    "list of tensors": lambda rows: list(torch.tensor(rows)),
    "tensor": torch.tensor,
    "frame": lambda rows: pd.DataFrame(rows, columns=[*"uvwx"]),
    "SliceDataset": lambda rows: SliceDataset(TensorDataset(torch.tensor(rows))),
    "SliceDataset of lists": lambda rows: SliceDataset([(row,) for row in rows.tolist()]),
}
MAPPINGS = {
    "dict": halves,
    "SliceDict": lambda rows: SliceDict(**halves(rows)),
    "OrderedDict": lambda rows: OrderedDict(reversed(halves(rows).items())),
    "Encoding": lambda rows: Encoding(halves(rows)),
    "Encoding of lists": lambda rows: Encoding(with_halves(np.ndarray.tolist)(rows)),
    "dict of tensors": with_halves(torch.tensor),
    "dict of lists of tensors": with_halves(lambda half: list(torch.tensor(half))),
    "dict of frames": with_halves(pd.DataFrame),
    "SliceDataset of dicts": one_by_one,
}
CONTAINERS = {**ARRAYS, **MAPPINGS}


def net_for(name, **params):
    module = TwoInputs if name in MAPPINGS else Net
    return quick(module, max_epochs=5, batch_size=12, **params)


def fitted(name, make=None, **params):
    make = make or CONTAINERS[name]
    val = {"X_val": make(X_VAL), "y_val": Y_VAL}
    return net_for(name, **params).fit(make(X), Y, make(X_META), Y_META, **val)


@pytest.fixture(scope="module")
def by_arrays():
    return {kind: fitted(kind) for kind in ("array", "dict")}


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_door_takes_what_fit_takes(name, by_arrays):
    expected, make = by_arrays["dict" if name in MAPPINGS else "array"], CONTAINERS[name]
    net = fitted(name)
    assert weights(net) == pytest.approx(weights(expected), abs=1e-5)
    assert net.history[-1, "valid_acc"] == expected.history[-1, "valid_acc"]
    rows = make(X_VAL)
    assert (
        net.predict(rows).tolist()
        == expected.predict(halves(X_VAL) if name in MAPPINGS else X_VAL).tolist()
    )
    assert net.score(rows, Y_VAL) == expected.history[-1, "valid_acc"]
    assert net.predict_log_proba(rows).shape == net.decision_function(rows).shape == (20, 3)
    net.partial_fit(make(X), Y, X_meta=make(X_META), y_meta=Y_META)


@pytest.mark.parametrize("name", ["SliceDataset", "SliceDict", "list of arrays"])
def test_every_door_in_a_search(name):
    make = CONTAINERS[name]
    search = GridSearchCV(net_for(name), {"lr": [0.1]}, cv=2, error_score="raise")
    search.fit(make(X), Y, X_meta=(make(X_META),), y_meta=(Y_META,))
    assert search.score(make(X_VAL), Y_VAL) > 0.8


@pytest.mark.parametrize("name", ["array", "dict", "tensor"])
def test_validation_rows_of_a_split(name, by_arrays):
    expected, make = by_arrays["dict" if name in MAPPINGS else "array"], CONTAINERS[name]
    split = predefined_split(SkorchDataset(make(X_VAL), Y_VAL))
    net = net_for(name, train_split=split).fit(make(X), Y, make(X_META), Y_META)
    assert net.history[:, "valid_acc"] == expected.history[:, "valid_acc"]


# --- what no door takes --------------------------------------------------------------------------


def bad_cell(rows):
    rows = rows.copy()
    rows[3, 3] = np.nan
    return rows


DOORS = ["X", "X_meta", "X_val", "predict", "score", "partial_fit"]


def through(door, name, given, labels):
    """Hand rows in by a door; the others get what is right."""
    make = CONTAINERS[name]
    if door in ("X", "X_meta", "X_val"):
        rows = {"X": make(X), "X_meta": make(X_META), "X_val": make(X_VAL), door: given}
        y = {"X": Y, "X_meta": Y_META, "X_val": Y_VAL, door: labels}
        net = net_for(name)
        net.fit(rows["X"], y["X"], rows["X_meta"], y["X_meta"],
                X_val=(rows["X_val"],), y_val=(y["X_val"],))  # fmt: skip
        return
    net = net_for(name).fit(make(X), Y, make(X_META), Y_META)
    if door == "predict":
        net.predict(given)
    elif door == "score":
        net.score(given, labels)
    else:
        net.partial_fit(given, labels, X_meta=make(X_META), y_meta=Y_META)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", ["lists", "SliceDataset", "dict", "Encoding", "dict of frames"])
def test_missing_numbers(door, name):
    given = CONTAINERS[name](bad_cell(X_VAL))
    words = "NaN or infinity in the entries" if name in MAPPINGS else "contains NaN"
    with pytest.raises(ValueError, match=words):
        through(door, name, given, Y_VAL)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", ["array", "lists", "SliceDataset", "dict", "SliceDict"])
def test_no_rows(door, name):
    given = CONTAINERS[name](X_VAL[:0])
    with pytest.raises(ValueError, match=r"at least one row|0 sample\(s\)|of one length"):
        through(door, name, given, Y_VAL[:0])


FORMS = {
    "lacks": ({"a": X_VAL[:, :2]}, r"must have the keys .*lacks \['b'\]"),
    "adds": ({**halves(X_VAL), "c": X_VAL}, r"must have the keys .*adds \['c'\]"),
    "no mapping": (X_VAL, r"of the form that `fit` was given|of the same kind as X"),
    "unequal": ({"a": X_VAL[:, :2], "b": X_VAL[:7, 2:]}, r"arrays of one length.*20, 'b': 7"),
    "texts": (
        {"a": X_VAL[:, :2], "b": np.full((20, 2), "u")},
        r"hold real numbers; got the entries 'b'",
    ),
    "ragged": ({"a": X_VAL[:, :2], "b": [[1.0], [1.0, 2.0]] * 10}, "must hold rows of one shape"),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("form", FORMS)
def test_mappings_of_another_form(door, form):
    given, words = FORMS[form]
    if door == "X" and form in ("lacks", "adds", "no mapping"):
        door = "X_meta"  # X would define the form
    with pytest.raises((ValueError, TypeError), match=words):
        through(door, "dict", given, Y_VAL)


@pytest.mark.parametrize("door", ["predict", "score", "partial_fit", "X_meta", "X_val"])
def test_a_mapping_beside_arrays(door):
    words = "of the form that `fit` was given, an array or a frame|of the same kind as X"
    with pytest.raises(TypeError, match=words):
        through(door, "array", halves(X_VAL), Y_VAL)


@pytest.mark.parametrize("keep", ["pickle", "skops"])
def test_the_form_is_kept(keep):
    net = quick(TwoInputs).fit(halves(X), Y, halves(X_META), Y_META)
    if keep == "pickle":
        net = pickle.loads(pickle.dumps(net))
    else:
        skops = pytest.importorskip("skops.io")
        kept = skops.dumps(net)
        net = skops.loads(kept, trusted=skops.get_untrusted_types(data=kept))
    with pytest.raises(ValueError, match=r"lacks \['b'\]"):
        net.predict({"a": X[:, :2]})


def test_a_fit_defines_the_form_anew():
    net = quick(TwoInputs).fit(halves(X), Y, halves(X_META), Y_META)
    net.set_params(module=Net).fit(X, Y, X_META, Y_META)
    assert net.predict(X).shape == (48,)
    data = TensorDataset(torch.tensor(X), torch.tensor(Y))
    net.set_params(weighting="uniform").fit(data, Y)
    assert not hasattr(net, "n_features_in_")
    assert net.predict(X).shape == net.predict(data).shape == (48,)


def pictures(n, *, shape=(9, 10, 3)):
    pixels = np.random.default_rng(0).integers(255, size=(n, *shape), dtype=np.uint8)
    return [Image.fromarray(picture) for picture in pixels], pixels


class ChannelsFirst(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(270, 3))

    def forward(self, X):
        return self.layers(X.movedim(-1, 1) / 255)


def test_pictures_are_arrays():
    listed, pixels = pictures(60)
    by_list, by_array = quick(ChannelsFirst), quick(ChannelsFirst)
    by_list.fit(listed[:48], Y, listed[48:], Y_META)
    by_array.fit(pixels[:48], Y, pixels[48:], Y_META)
    assert np.array_equal(weights(by_list), weights(by_array))
    assert np.array_equal(by_list.predict(listed), by_array.predict(pixels))
    sliced = SliceDataset([(picture, 0) for picture in listed])
    assert np.array_equal(by_list.predict(sliced), by_array.predict(pixels))


def test_pictures_of_several_sizes():
    listed = [*pictures(47)[0], *pictures(1, shape=(5, 5, 3))[0]]
    with pytest.raises(
        ValueError, match=r"one shape; got \(9, 10, 3\) in row 0, \(5, 5, 3\) in row"
    ):
        GDWClassifier(verbose=0).fit(listed, Y)


# --- what modules return -------------------------------------------------------------------------


class Named(NamedTuple):
    scores: torch.Tensor
    hidden: torch.Tensor | None = None


class Attributes:
    def __init__(self, logits):
        self.logits = logits


class Returns(Net):
    def __init__(self, make):
        super().__init__()
        self.make = make

    def forward(self, X):
        return self.make(super().forward(X))


OUTPUTS = {
    "pair": lambda z: (z, 2 * z),
    "none": lambda z: (z, None),
    "number": lambda z: (z, z.sum()),
    "nested": lambda z: (z, (z, [z])),
    "text": lambda z: (z, "text"),
    "list": lambda z: [z],
    "named": Named,
    "named pair": lambda z: Named(z, z),
}
MODES = {
    "weighted": {"weighting": "class"},
    "pairs": {"weighting": "class_pair"},
    "uniform": {"weighting": "uniform"},
    "split": {"weighting": "uniform", "train_split": ValidSplit(3)},
    "fine-tuned": {"fine_tune": True, "max_epochs": 1},
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("output", OUTPUTS)
def test_the_first_output_counts(output, mode):
    options = {"max_epochs": 2, **MODES[mode]}
    net, alone = (
        quick(Returns, module__make=make, **options) for make in (OUTPUTS[output], lambda z: z)
    )
    for each in (net, alone):
        each.fit(X, Y, X_META, Y_META)
    assert net.history[:, "train_loss"] == alone.history[:, "train_loss"]
    assert np.array_equal(net.predict_proba(X), alone.predict_proba(X))
    first = net.forward(X)
    assert torch.equal(first[0] if isinstance(first, tuple) else first, alone.forward(X))


@pytest.mark.parametrize("mode", MODES)
def test_logits_in_an_attribute(mode):
    net = quick(Returns, module__make=Attributes, **MODES[mode])
    with pytest.raises(ModuleOutputError, match=r"got Attributes, .*`self.model\(X\).logits`"):
        net.fit(X, Y, X_META, Y_META)
