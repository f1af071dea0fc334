"""Rows as standardised columns: read in blocks, of any container, all complaints at once."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from corruption_cases import N
from sampler_cases import corrupt_rows as corrupt
from sampler_cases import table
from skgdw.corruption import (
    InstanceDependentNoise,
    _standard_rows,
)

seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=25)
@given(st.lists(st.floats(1e-6, 1e6), min_size=3, max_size=3), st.floats(-1e3, 1e3), seeds)
def test_units_of_columns_do_not_matter(scale, shift, seed):
    X, y = table([40] * 4)
    expected = corrupt(X, y, random_state=seed)[1]
    moved = (X + shift) * scale
    # Rounding may tip a draw that lies on the edge of a label, and no more.
    assert (corrupt(moved, y, random_state=seed)[1] != expected).sum() <= 1


def test_constant_columns_do_not_matter():
    X, y = table([40] * 4)
    flat = corrupt(np.full_like(X, 7.0), y, random_state=0)[0].transition_matrix_
    for k in range(4):  # all other classes have the same chance
        others = np.delete(flat[k], k)
        assert_allclose(others, others.mean())
    wider = np.column_stack([X, np.full(len(X), 1e6)])
    for rows in (wider, sparse.csr_array(wider)):
        every = np.arange(len(X))
        standard = _standard_rows.StandardRows(rows, every)
        alone = _standard_rows.StandardRows(X, every)
        weights = np.random.RandomState(0).normal(size=(4, 2))
        projected = alone.project(every, weights[:3])
        assert_allclose(standard.project(every, weights), projected, atol=1e-6)


NUMBERS = np.random.RandomState(0).randint(-8, 8, size=(N, 6)) * (np.arange(N) % 3 > 0)[:, None]


@pytest.mark.parametrize(
    "column", [NUMBERS[:, 2], pd.Series(NUMBERS[:, 2]), pd.Series(NUMBERS[:, 2] > 0), [*range(N)]]
)
def test_rows_may_be_single_numbers(column):
    y = np.arange(N) // 3 % 3
    wanted = np.asarray(column, dtype=float)[:, None]
    assert_array_equal(corrupt(column, y, random_state=0)[1], corrupt(wanted, y, random_state=0)[1])


@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array], ids=["dense", "sparse"])
def test_blocks_do_not_matter(convert, monkeypatch):
    X, y = table([50] * 4)
    expected, y_expected = corrupt(convert(X), y, random_state=0)
    monkeypatch.setattr(_standard_rows, "_BLOCK_SIZE", 20)
    noise, y_noisy = corrupt(convert(X), y, random_state=0)
    assert_array_equal(y_noisy, y_expected)
    assert_allclose(noise.transition_matrix_, expected.transition_matrix_, atol=1e-9)


def test_settings_of_scikit_learn_do_not_matter():
    X, y = table([20] * 3)
    expected = corrupt(X, y, random_state=0)[1]
    with sklearn.config_context(transform_output="pandas", assume_finite=True):
        assert_array_equal(corrupt(X, y, random_state=0)[1], expected)


def test_memory_is_that_of_blocks_and_of_sparse_rows():
    rng = np.random.RandomState(0)
    places = rng.randint(2000, size=6000), rng.randint(30_000, size=6000)
    wide = sparse.csc_array((rng.rand(6000), places), shape=(2000, 30_000))  # 480 MB if dense
    long = np.broadcast_to(rng.normal(size=2000).astype(np.float16), (30_000, 2000))
    # A sparse row counts by its entries: these are one block.
    every = np.arange(2000)
    assert len([*_standard_rows.StandardRows(wide, every).blocks(every, 5)]) == 1
    for X, limit in ((wide, 60e6), (long, 200e6)):
        y = np.arange(X.shape[0]) % 5
        tracemalloc.start()
        corrupt(X, y, random_state=0)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < limit


def one_bad(value, form=np.asarray):
    X = np.ones((6, 2))
    X[3, 1] = value
    return form(X)


@pytest.mark.parametrize(
    ("X", "error", "match"),
    [
        (one_bad(np.nan), ValueError, "`X` must hold finite .* in 1 rows, the first in row 3; imp"),
        (one_bad(np.inf, sparse.csc_array), ValueError, "in 1 rows, the first in row 3; impute"),
        (one_bad(-np.inf, torch.tensor), ValueError, "in 1 rows, the first in row 3; impute"),
        (one_bad(np.nan, pd.DataFrame), ValueError, "in 1 rows, the first in row 3; impute"),
        (
            pd.DataFrame({"a": pd.array([1, None, 3, None, 5, 6], dtype="Int64")}),
            ValueError,
            "in 2 rows, the first in row 1; impute or drop them first",
        ),
        (one_bad(1e200), ValueError, "too large ones in 1 columns, the first being 1; divide them"),
        (one_bad(1e200, sparse.csr_array), ValueError, "too large ones in 1 columns, .* 1; divide"),
        (np.ones((6, 0)), ValueError, "`X` must have columns; got rows of length 0; pass rows"),
        ([[1, 2], [1]] * 3, ValueError, "rows of one shape; got rows of unequal length; pad or"),
        (
            ["text"] * 6,
            TypeError,
            "`X` must hold numbers, .*; got text; encode them, or use LabelNoise, which takes any",
        ),
        (np.array([b"1"] * 6), TypeError, "must hold numbers, .*; got bytes; encode"),
        (np.array([["1", 2]] * 6, dtype=object), TypeError, "must hold numbers, .*; got str; enc"),
        (np.array([["x", 2]] * 6, dtype=object), TypeError, "must hold numbers, .*; got str; enc"),
        (np.array([[{}, 2]] * 6, dtype=object), TypeError, "must hold numbers, .*; got objects;"),
        (np.ones((6, 2), complex), TypeError, "must hold numbers, .*; got complex numbers; enc"),
        (sparse.csr_array(np.ones((6, 2), complex)), TypeError, "; got complex numbers; encode"),
        (np.ones(6, "M8[s]"), TypeError, "must hold numbers, .*; got dates; encode"),
        (pd.Series(["a"] * 6, dtype="category"), TypeError, "got category; encode"),
        (
            pd.DataFrame({"n": range(6), "c": pd.Categorical([*"ababab"]), "t": pd.Timestamp(0)}),
            TypeError,
            r"must hold numbers, .*; got columns 'c' \(category\), 't' \(datetime64.*\); encode",
        ),
    ],
)
def test_rows_must_be_finite_numbers(X, error, match):
    noise = InstanceDependentNoise(random_state=0)
    for method in (noise.fit, noise.fit_resample):
        with pytest.raises(error, match=match):
            method(X, [0, 1] * 3)


def test_all_rows_that_are_not_finite_are_counted(monkeypatch):
    monkeypatch.setattr(_standard_rows, "_BLOCK_SIZE", 4)
    X = np.ones((20, 2))
    X[[4, 5, 11, 19]] = np.nan
    trusted = np.arange(20) < 5
    for rows in (X, sparse.csr_array(X), pd.DataFrame(X), X.tolist()):
        with pytest.raises(ValueError, match="in 4 rows, the first in row 4;"):
            InstanceDependentNoise().fit(rows, [0, 1] * 10)
        with pytest.raises(ValueError, match="in 3 rows, the first in row 5;"):  # as X counts them
            InstanceDependentNoise().fit(rows, [0, 1] * 10, meta_mask=trusted)
