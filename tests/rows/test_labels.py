"""One rule for labels: what may be y, y_meta or y_val, in split_meta, the samplers and fit."""

import re
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.exceptions import DataConversionWarning

from classifier_cases import blobs, quick
from skgdw._rows import as_labels, encode_labels, is_column, label_kind
from skgdw.corruption import ClassImbalance, InstanceDependentNoise, LabelNoise
from skgdw.model_selection import split_meta

DATA = blobs()
X, CODES, X_META, CODES_META = DATA
X_VAL = blobs(seed=1).X_meta
NAMES = np.array(["cat", "dog", "eel"])
SAMPLERS = [LabelNoise(random_state=0), ClassImbalance(random_state=0), InstanceDependentNoise()]

# From codes to labels of a kind, and the classes they have.
ACCEPTED = {
    "int64": (lambda c: c, np.arange(3)),
    "int8": (lambda c: c.astype(np.int8), np.arange(3, dtype=np.int8)),
    "gaps": (lambda c: np.array([-4, 7, 100])[c], np.array([-4, 7, 100])),
    "whole floats": (lambda c: c.astype(np.float32), np.arange(3, dtype=np.float32)),
    "bool": (lambda c: c > 0, np.array([False, True])),
    "str": (lambda c: NAMES[c], NAMES),
    "bytes": (lambda c: NAMES.astype("S3")[c], NAMES.astype("S3")),
    "dates": (
        lambda c: np.datetime64("2020-01-01") + c,
        np.datetime64("2020-01-01") + np.arange(3),
    ),
    "durations": (lambda c: c.astype("m8[h]"), np.arange(3).astype("m8[h]")),
    "object of str": (lambda c: NAMES.astype(object)[c], NAMES.astype(object)),
    "object of int": (lambda c: c.astype(object), np.arange(3)),
    "object of float": (lambda c: c.astype(float).astype(object), np.arange(3.0)),
    "object of bool": (lambda c: (c > 0).astype(object), np.array([False, True])),
    "list of int": (lambda c: c.tolist(), np.arange(3)),
    "list of str": (lambda c: NAMES[c].tolist(), NAMES),
    "column": (lambda c: c[:, None], np.arange(3)),
    "list of columns": (lambda c: c[:, None].tolist(), np.arange(3)),
    "column of str": (lambda c: NAMES[c][:, None], NAMES),
    "one-hot": (lambda c: np.eye(3)[c], np.arange(3)),
    "one-hot bool": (lambda c: np.eye(3, dtype=bool)[c], np.arange(3)),
    "one-hot list": (lambda c: np.eye(3, dtype=int)[c].tolist(), np.arange(3)),
    "one-hot sparse": (lambda c: sparse.csr_array(np.eye(3)[c]), np.arange(3)),
    "one-hot frame of numbers and booleans": (
        lambda c: pd.DataFrame(np.eye(3)[c], columns=NAMES).astype({NAMES[0]: bool}),
        np.arange(3),
    ),
    "one-hot frame": (lambda c: pd.DataFrame(np.eye(3)[c], columns=NAMES), np.arange(3)),
    "tensor": (torch.tensor, np.arange(3)),
    "tensor int32": (lambda c: torch.tensor(c, dtype=torch.int32), np.arange(3, dtype=np.int32)),
    "tensor bfloat16": (lambda c: torch.tensor(c).bfloat16(), np.arange(3, dtype=np.float32)),
    "series": (lambda c: pd.Series(c, index=c + 7), np.arange(3)),
    "series of str": (lambda c: pd.Series(NAMES[c]), NAMES.astype(object)),
    "nullable int": (lambda c: pd.Series(c, dtype="Int64"), np.arange(3)),
    "nullable float": (lambda c: pd.Series(c, dtype="Float64"), np.arange(3.0)),
    "nullable bool": (lambda c: pd.Series(c > 0, dtype="boolean"), np.array([False, True])),
    "nullable str": (lambda c: pd.Series(NAMES[c], dtype="string"), NAMES.astype(object)),
    "categorical": (
        lambda c: pd.Series(pd.Categorical(NAMES[c], categories=[*NAMES[::-1], "fox"])),
        NAMES.astype(object),
    ),
    "frame": (lambda c: pd.DataFrame({"animal": NAMES[c]}), NAMES.astype(object)),
    "masked": (lambda c: np.ma.array(c, mask=False), np.arange(3)),
    "large int": (lambda c: c + 2**60, np.arange(3) + 2**60),
    "list of large ints of two dtypes": (
        lambda c: [np.uint64(a + 2**60) if a else np.int64(2**60) for a in c.tolist()],
        np.arange(3) + 2**60,
    ),
}
if hasattr(np, "dtypes") and hasattr(np.dtypes, "StringDType"):  # numpy 2
    ACCEPTED["numpy's strings"] = (
        lambda c: NAMES.astype(np.dtypes.StringDType())[c],
        NAMES.astype(object),
    )


@pytest.mark.parametrize("kind", ACCEPTED)
@pytest.mark.filterwarnings("ignore::skgdw.exceptions.NoiseNotLearnableWarning")
def test_every_kind_is_accepted_everywhere_with_the_same_classes(kind):
    make, expected = ACCEPTED[kind]
    y, y_meta = make(CODES), make(CODES_META)
    codes = CODES if len(expected) == 3 else CODES > 0
    classes, found = encode_labels(y)
    assert_array_equal(classes, expected)
    assert classes.dtype.kind == expected.dtype.kind
    assert_array_equal(found, codes)

    X_left, y_left, X_taken, y_taken = split_meta(X, y, 9, random_state=0)
    assert len(X_taken) == 9
    assert_array_equal(np.unique(as_labels(y_taken)), expected)
    assert len(as_labels(y_left)) == len(X_left)
    for sampler in SAMPLERS:
        sampler_classes = sampler.fit(X, y).classes_
        assert_array_equal(sampler_classes, expected)
        assert sampler_classes.dtype == classes.dtype
    net = quick(max_epochs=0, module__n_classes=len(expected))
    with warnings.catch_warnings():
        if "column" in kind or kind == "frame":  # scikit-learn wants that in fit
            warnings.simplefilter("ignore", DataConversionWarning)
        net.fit(X, y, X_META, y_meta, X_val=X_VAL, y_val=y_meta)
    assert_array_equal(net.classes_, expected)
    assert net.classes_.dtype == classes.dtype


def spoilt(labels, value, at=2):
    labels = np.asarray(labels).astype(object)
    labels[at] = value
    return labels


MISSING = "must have a label in every row; got {} missing, the first in row {}; drop or label these"
CONTINUOUS = "must hold classes; got continuous values such as {}; bin them, or pass integers or"
COLUMNS = (
    "must hold one label per row, as a vector, a column or one-hot rows; got shape {}; multilabel "
    "and multioutput targets are not supported."
)
MIXED = "must hold labels of one kind that can be sorted; got {}; convert them, for instance with"

# From codes to what is no label, the error, and its words after the name of the argument.
REFUSED = {
    "None": (lambda c: spoilt(NAMES[c], None), ValueError, MISSING.format(1, 2)),
    "NaN": (lambda c: spoilt(c, np.nan).astype(float), ValueError, MISSING.format(1, 2)),
    "NaN among objects": (lambda c: spoilt(c, np.nan), ValueError, MISSING.format(1, 2)),
    "NaN among text": (lambda c: [*NAMES[c[:-1]], np.nan], ValueError, "got 1 missing, the first"),
    "NA": (lambda c: pd.Series(c, dtype="Int64").mask(c == 2), ValueError, "missing, the first in"),
    "NA among text": (
        lambda c: pd.Series(NAMES[c], dtype="string").mask(c == 2),
        ValueError,
        "missing, the first in row 2; drop or label these rows.",
    ),
    "NaN in a categorical": (
        lambda c: pd.Series(pd.Categorical(NAMES[c])).mask(c == 2),
        ValueError,
        "missing, the first in row 2; drop or label these rows.",
    ),
    "NaT": (lambda c: spoilt(c.astype("M8[D]"), np.datetime64("NaT")), ValueError, "got 1 missing"),
    "masked": (lambda c: np.ma.array(c, mask=c == 2), ValueError, "missing, the first in row 2;"),
    "NaN in a tensor": (
        lambda c: torch.tensor(c).double().where(torch.tensor(c) != 2, np.nan),
        ValueError,
        "missing, the first in",
    ),
    "continuous": (lambda c: c + 0.5, ValueError, CONTINUOUS.format(0.5)),
    "infinite": (lambda c: np.where(c == 2, np.inf, c), ValueError, CONTINUOUS.format("inf")),
    "continuous objects": (lambda c: (c + 0.5).astype(object), ValueError, CONTINUOUS.format(0.5)),
    "complex": (lambda c: c + 1j, ValueError, "must hold classes; got dtype complex128; pass int"),
    "multilabel": (lambda c: np.eye(3)[c] + np.eye(3)[0], ValueError, "; multilabel and multioutp"),
    "two outputs": (lambda c: np.stack([c, c], 1), ValueError, ", 2); multilabel and multioutput"),
    "text columns": (lambda c: NAMES[np.stack([c, c], 1)], ValueError, ", 2); multilabel and"),
    "three axes": (
        lambda c: np.eye(3)[c][:, None],
        ValueError,
        ", 1, 3); multilabel and multioutp",
    ),
    "ragged": (lambda c: [[0, 1], *([i] for i in c[1:])], ValueError, "got rows of unequal length"),
    "numbers and text": (
        lambda c: [0, *NAMES[c[1:]].tolist()],
        TypeError,
        MIXED.format("int, str"),
    ),
    "objects, mixed": (lambda c: spoilt(NAMES[c], 1), TypeError, MIXED.format("int, str")),
    "booleans and numbers": (lambda c: spoilt(c, True), TypeError, MIXED.format("bool, int")),
    "text and bytes": (lambda c: spoilt(NAMES[c], b"a"), TypeError, MIXED.format("bytes, str")),
    "records": (lambda c: c.astype([("a", int)]), TypeError, MIXED.format("tuple")),
    "tuples": (lambda c: pd.Series([("a", a) for a in c]), TypeError, MIXED.format("tuple")),
    "large integers and floats": (
        lambda c: [2**53 + 1, 2.0**53, *c.tolist()[2:]],
        ValueError,
        "as integers alone, because floats have not all of them; got integers beside floats such",
    ),
    "without order": (lambda c: [object() for _ in c], TypeError, MIXED.format("object")),
}
CALLS = {
    "split_meta": ("y", lambda bad: split_meta(X, bad(CODES), 9)),
    **{
        type(sampler).__name__: ("y", lambda bad, sampler=sampler: sampler.fit(X, bad(CODES)))
        for sampler in SAMPLERS
    },
    "fit": ("y", lambda bad: quick().fit(X, bad(CODES), X_META, CODES_META)),
    "partial_fit": (
        "y",
        lambda bad: quick().partial_fit(X, bad(CODES), X_meta=X_META, y_meta=CODES_META),
    ),
    "fit, y_meta": ("y_meta", lambda bad: quick().fit(X, CODES, X_META, bad(CODES_META))),
    "fit, y_val": ("y_val", lambda bad: quick().fit(*DATA, X_val=X_VAL, y_val=bad(CODES_META))),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", REFUSED)
def test_every_fault_is_refused_everywhere_in_the_same_words(kind, call):
    make, error, words = REFUSED[kind]
    name, refuse = CALLS[call]
    with pytest.raises(error, match=f"`{name}` .*{re.escape(words)}"):
        refuse(make)


def test_numbers_of_columns_are_the_classes_of_one_hot_rows_though_a_column_is_empty():
    rows = np.eye(4)[[3, 1, 3, 1]]
    assert encode_labels(rows)[0].tolist() == [1, 3]
    assert encode_labels(rows)[1].tolist() == [1, 0, 1, 0]


def test_the_column_warning_points_at_the_callers_line():
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed when") as caught:
        quick(max_epochs=0).fit(X, CODES[:, None], X_META, CODES_META)
    assert [entry.filename for entry in caught] == [__file__]
    with pytest.warns(DataConversionWarning, match=r"y_meta to \(n_samples, \), for example using"):
        quick(max_epochs=0).fit(X, CODES, X_META, CODES_META[:, None].tolist())


def test_columns_are_told_from_vectors_and_one_hot_rows():
    assert is_column(CODES[:, None])
    assert is_column([["a"], ["b"]])
    assert not any(map(is_column, (CODES, [0, 1], np.eye(3), torch.eye(3))))


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        (np.array([1.0]), "numbers"),
        (np.array([True]), "booleans"),
        (np.array(["a"]), "strings"),
        (np.array([b"a"]), "bytes"),
        (np.array(["2020"], "M8[Y]"), "dates"),
        (np.array(["a", np.str_("b")], dtype=object), "strings"),
        (np.array([(1,), "b"], dtype=object), "strings and tuple"),
    ],
)
def test_kinds_have_names(labels, kind):
    assert label_kind(labels) == kind


@pytest.mark.parametrize(
    "door", ["fit", "mapping", "y_meta", "y_val", "score", "split_meta", "sampler"]
)
@pytest.mark.parametrize("keys", ["names", "rows"])
def test_labels_under_names_are_refused(door, keys):
    own = CODES_META if door in ("y_meta", "y_val") else CODES
    given = {"target": own} if keys == "names" else dict(enumerate(own.tolist()))
    net = quick(weighting="uniform")
    doors = {
        "fit": lambda: net.fit(X, given),
        "mapping": lambda: net.fit({"X": X}, given),
        "y_meta": lambda: net.fit(X, CODES, X_META, given),
        "y_val": lambda: net.fit(X, CODES, X_val=X_VAL, y_val=given),
        "score": lambda: net.fit(X, CODES).score(X, given),
        "split_meta": lambda: split_meta(X, given, 6),
        "sampler": lambda: LabelNoise(random_state=0).fit_resample(X, given),
    }
    name = door if door in ("y_meta", "y_val") else "y"
    words = rf"`{name}` must hold one label per row, .*; got a dict with the keys \[.*Pass the la"
    with pytest.raises(TypeError, match=words):
        doors[door]()
