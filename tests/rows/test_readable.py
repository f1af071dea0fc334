"""What holds no numbers that can be read is refused at every door, with the way out."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from classifier_cases import Net, blobs, quick
from skgdw._rows import check_readable
from skgdw.corruption import LabelNoise
from skgdw.model_selection import split_meta

X, Y, X_META, Y_META = blobs()
X_VAL = blobs(seed=1).X_meta
NESTED = "must hold rows of one shape; got a nested tensor. Pass torch.nested.to_padded_tensor({}, "
SPARSE = "must be dense; got a sparse tensor. Pass {}.to_dense()."


class LazyFrame:
    """Stands for one of polars: it has columns, and neither rows nor a length."""

    def __init__(self, rows):
        self.rows = rows

    @property
    def columns(self):
        raise AssertionError("looking would compute them")

    def collect(self):
        return self.rows


def on_meta(rows):
    return torch.as_tensor(rows).to("meta")


def quantized(rows):
    return torch.quantize_per_tensor(torch.as_tensor(rows).float(), 1.0, 0, torch.qint8)


def in_eight_bits(rows):
    return torch.as_tensor(rows).to(torch.float8_e4m3fn)


def one_hot(rows):
    """Return labels as rows of zeros and ones; other rows as they are."""
    rows = torch.as_tensor(rows)
    return nn.functional.one_hot(rows) if rows.ndim == 1 else rows


def nested(rows, layout=torch.strided):
    return torch.nested.nested_tensor(list(one_hot(rows).float()), layout=layout)


def sparse_by_columns(rows):
    return one_hot(rows).to_sparse_csc()


# How to make them of rows or labels, and what is said after the name.
KINDS = {
    "lazy": (
        LazyFrame,
        "must be in memory; got a LazyFrame, which is yet to be .*Pass {}.collect().",
    ),
    "meta": (
        on_meta,
        'must hold numbers; got a tensor on the device "meta", which keeps none. Make',
    ),
    "quantized": (
        quantized,
        "must hold plain numbers; got a quantized tensor (torch.qint8). Pass {}.",
    ),
    "float8": (
        in_eight_bits,
        "must be of a dtype that numpy has; got torch.float8_e4m3fn. Pass {}.fl",
    ),
    "nested": (nested, NESTED),
    "jagged": (lambda rows: nested(rows, torch.jagged), NESTED),
    "coo": (lambda rows: one_hot(rows).to_sparse(), SPARSE),
    "csr": (lambda rows: one_hot(rows).to_sparse_csr(), SPARSE),
    "csc": (sparse_by_columns, SPARSE),
    "bsc": (lambda rows: one_hot(rows).to_sparse_bsc((1, 1)), SPARSE),
    "mkldnn": (
        lambda rows: one_hot(rows).float().to_mkldnn(),
        "must be dense; got a tensor of layout _mkl",
    ),
}


class ByName(Net):
    def forward(self, a):
        return super().forward(a)


def plain():
    return quick(weighting="uniform")


def by_name(**params):
    return quick(ByName, weighting="uniform", **params)


# Where rows come in: what they are called, and how they do.
ROWS = {
    "fit": ("X", lambda bad: plain().fit(bad(X), Y)),
    "partial_fit": ("X", lambda bad: plain().partial_fit(bad(X), Y)),
    "X_meta": ("X_meta", lambda bad: plain().fit(X, Y, bad(X_META), Y_META)),
    "X_val": ("X_val", lambda bad: plain().fit(X, Y, X_val=bad(X_VAL), y_val=Y_META)),
    "predict": ("X", lambda bad: plain().fit(X, Y).predict(bad(X))),
    "score": ("X", lambda bad: plain().fit(X, Y).score(bad(X), Y)),
    "entry": ("X['a']", lambda bad: by_name().fit({"a": bad(X)}, Y)),
    "entry beside": (
        "X_val['a']",
        lambda bad: by_name().fit({"a": X}, Y, X_val={"a": bad(X_VAL)}, y_val=Y_META),
    ),
    "entry to predict": ("X['a']", lambda bad: by_name().fit({"a": X}, Y).predict({"a": bad(X)})),
}
LABELS = {
    "y": ("y", lambda bad: plain().fit(X, bad(Y))),
    "y beside a mapping": ("y", lambda bad: by_name().fit({"a": X}, bad(Y))),
    "y_meta": ("y_meta", lambda bad: plain().fit(X, Y, X_META, bad(Y_META))),
    "y_val": ("y_val", lambda bad: plain().fit(X, Y, X_val=X_VAL, y_val=bad(Y_META))),
    "score": ("y", lambda bad: plain().fit(X, Y).score(X, bad(Y))),
    "split_meta": ("y", lambda bad: split_meta(X, bad(Y), 6)),
    "sampler": ("y", lambda bad: LabelNoise(random_state=0).fit_resample(X, bad(Y))),
    "meta_mask": ("meta_mask", lambda bad: plain().fit(X, Y, meta_mask=bad(Y))),
    "sample_weight": ("sample_weight", lambda bad: plain().fit(X, Y, sample_weight=bad(Y))),
}


def told(words, name):
    """Return the words of an error text as a pattern, of which `.*` stays what it is."""
    return re.escape(f"`{name}` {words.format(name)}").replace(r"\.\*", ".*")


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch warns of some of these kinds
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("door", ROWS)
def test_rows_that_cannot_be_read(door, kind):
    (name, enter), (make, words) = ROWS[door], KINDS[kind]
    with pytest.raises(TypeError, match=told(words, name)):
        enter(make)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("door", LABELS)
def test_labels_that_cannot_be_read(door, kind):
    (name, enter), (make, words) = LABELS[door], KINDS[kind]
    with pytest.raises(TypeError, match=told(words, name)):
        enter(make)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", ["lazy", "nested", "jagged", "coo", "csr", "csc", "bsc", "mkldnn"])
def test_rows_that_cannot_be_taken(kind):
    make, words = KINDS[kind]
    with pytest.raises(TypeError, match=told(words, "X")):
        split_meta(make(X), Y, 6)


@pytest.mark.parametrize("kind", ["meta", "quantized", "float8"])
def test_rows_in_a_list_that_cannot_be_read(kind):
    make, words = KINDS[kind]
    with pytest.raises(TypeError, match=told(words, "X[0]")):
        plain().fit([make(row) for row in X], Y)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.uint8, torch.bool])
def test_what_can_be_read_is(dtype):
    for value in (
        torch.zeros(3, dtype=dtype),
        [torch.zeros(3, dtype=dtype)],
        np.zeros(3),
        [1],
        None,
    ):
        check_readable(value, "X")


def test_frames_of_polars():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({name: X[:, i] for i, name in enumerate("abcd")})
    labels = polars.DataFrame({"y": Y})
    assert plain().fit(frame, labels["y"]).predict(frame).shape == (48,)
    words = KINDS["lazy"][1]
    with pytest.raises(TypeError, match=told(words, "X")):
        plain().fit(frame.lazy(), Y)
    with pytest.raises(TypeError, match=told(words, "y")):
        plain().fit(X, labels.lazy())
