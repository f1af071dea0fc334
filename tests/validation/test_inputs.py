"""What may come as rows: numbers in dense arrays of the form of X."""

import datetime

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator

from classifier_cases import blobs
from skgdw._intake._check_fit import GivenRows, check_fit
from skgdw._validation import check_X, passes_through

X, Y, X_META, Y_META = blobs()
X_VAL, Y_VAL = blobs(9, 3, seed=1)[:2]


class Taker(BaseEstimator):
    """What the walk asks of a classifier, and no more."""

    def __init__(self, meta_size=0.25, train_split=None):
        self.meta_size, self.train_split = meta_size, train_split

    def _input_dtype(self):
        return "numeric"


def walk(*given, uses_meta=True, classes=None, draws=None, **beside):
    def random_state():
        if draws is not None:
            draws.append("drawn")
        return np.random.RandomState(0)

    return check_fit(
        Taker(),
        GivenRows(*given, **beside),
        classes=classes,
        reset=True,
        uses_meta=uses_meta,
        random_state=random_state,
    )


FRAME = pd.DataFrame(X, columns=[*"abcd"])
ODD = {
    "text": lambda n: ["u"] * n,
    "dates": lambda n: pd.date_range("2020", periods=n),
    "categories of text": lambda n: pd.Categorical(["u"] * n),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", ["X", "X_meta", "X_val"])
def test_columns_without_numbers_are_named(odd, name):
    frames = {"X": FRAME, "X_meta": FRAME[:12] + 0.01, "X_val": FRAME[12:21] + 0.01}
    frames[name] = frames[name].assign(b=ODD[odd](len(frames[name])))
    words = rf"`{name}` must hold numbers; got column 'b' \(.*\). Encode these columns, for inst"
    with pytest.raises(TypeError, match=words):
        walk(frames["X"], Y, frames["X_meta"], Y_META, X_val=frames["X_val"], y_val=Y_VAL)


CELLS = {
    "datetime64": np.datetime64("2020-01-01"),
    "timedelta64": np.timedelta64(3, "D"),
    "date": datetime.date(2020, 1, 1),
    "Timestamp": pd.Timestamp("2020"),
    "Interval": pd.Interval(0, 1),
    "NAType": pd.NA,
    "complex": 1j,
    "int": 10**400,
}


@pytest.mark.parametrize("kind", CELLS)
def test_cells_without_numbers_are_named(kind):
    odd = X.astype(object)
    odd[3:, 1] = [CELLS[kind]] * (len(X) - 3)
    with pytest.raises(TypeError, match=rf"`X` must hold numbers; got column 1, with {kind} such"):
        walk(odd, Y, X_META, Y_META)


@pytest.mark.parametrize(
    "odd",
    [datetime.datetime(2020, 1, 1), datetime.timedelta(1), datetime.time(3)],
)
def test_times_of_polars_are_no_numbers(odd):
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"a": X[:, 0], "b": [odd] * len(X)})
    with pytest.raises(TypeError, match="`X` must hold numbers; got column 'b'"):
        walk(frame, Y, X_META[:, :2], Y_META)


@pytest.mark.parametrize("name", ["X", "X_meta", "X_val"])
def test_numbers_that_single_precision_has_not(name):
    rows = {"X": X, "X_meta": X_META, "X_val": X_VAL}
    rows[name] = rows[name].copy()
    rows[name][0, 0] = 1e300
    words = rf"Input {name} contains a value too large for dtype\('float32'\). Scale {name}."
    with pytest.raises(ValueError, match=words):
        walk(rows["X"], Y, rows["X_meta"], Y_META, X_val=rows["X_val"], y_val=Y_VAL)


@pytest.mark.parametrize("name", ["X", "X_meta", "X_val", "sample_weight", "meta_mask"])
def test_masked_arrays_hide_nothing(name):
    rows = {"X": X, "X_meta": X_META, "X_val": X_VAL, "sample_weight": np.ones(len(X))}
    labels = {"y_meta": Y_META}
    if name == "meta_mask":
        rows, labels = {"X": X, "X_val": X_VAL, name: np.arange(len(X)) % 3 == 0}, {}
    hidden = np.zeros(rows[name].shape, dtype=bool)
    hidden[:2] = True
    rows[name] = np.ma.array(rows[name], mask=hidden)
    n = hidden.sum()
    words = rf"`{name}` must not hide entries; got a masked array with {n} of them masked. Fill"
    with pytest.raises(ValueError, match=words):
        walk(rows.pop("X"), Y, y_val=Y_VAL, **rows, **labels)


PAIRS = pd.MultiIndex.from_product([["p", "q"], ["r", "s"]])


@pytest.mark.parametrize("columns", [range(4), PAIRS])
@pytest.mark.parametrize("is_mapping", [False, True])
@pytest.mark.parametrize("name", ["X_meta", "X_val"])
def test_columns_in_another_order_are_told(name, is_mapping, columns):
    frames = {"X": X, "X_meta": X_META, "X_val": X_VAL}
    frames = {key: pd.DataFrame(rows, columns=columns) for key, rows in frames.items()}
    frames[name] = frames[name].iloc[:, ::-1]
    if is_mapping:
        frames = {key: {"a": frame} for key, frame in frames.items()}
    with pytest.raises(ValueError, match=rf"`{name}.*` must have the columns of X, in their order"):
        walk(frames["X"], Y, frames["X_meta"], Y_META, X_val=frames["X_val"], y_val=Y_VAL)


def test_all_columns_without_numbers_are_named_at_once():
    with pytest.raises(TypeError, match=r"got column 'a' .*, column 'c' .*leave them out"):
        walk(FRAME.assign(a="u", c="v"), Y)


def test_categories_of_numbers_are_numbers():
    frame = FRAME.assign(b=pd.Categorical(np.arange(48) % 3))
    data = walk(frame, Y, uses_meta=False)
    assert data.train.X[:, 1].tolist() == (np.arange(48) % 3).tolist()


def test_missing_numbers_are_missing_and_no_text():
    frame = FRAME.assign(b=pd.array([1] * 47 + [None], dtype="Int64"))
    with pytest.raises(ValueError, match="Input X contains NaN"):
        walk(frame, Y)


def test_an_array_of_dates_is_refused():
    with pytest.raises(TypeError, match=r"`X` must hold numbers; got an array of datetime64\[D\]"):
        walk(np.full((48, 4), np.datetime64("2020-01-01")), Y)


@pytest.mark.parametrize("name", ["X", "X_meta", "X_val"])
def test_sparse_rows_are_refused_with_the_way_out(name):
    sparse = pytest.importorskip("scipy.sparse")
    given = {"X": X, "X_meta": X_META, "X_val": X_VAL}
    given[name] = sparse.csr_array(given[name])
    words = (
        rf"`{name}` must be dense; got a sparse csr_array. Pass {name}.toarray\(\), or .*sparse_"
    )
    with pytest.raises(TypeError, match=words):
        walk(given["X"], Y, given["X_meta"], Y_META, X_val=given["X_val"], y_val=Y_VAL)


def test_what_passes_through_is_left_to_the_module():
    assert passes_through({"a": np.zeros(2)})
    assert not passes_through(np.zeros((2, 2)))


@pytest.mark.parametrize(
    "as_given", [np.asarray, lambda rows: pd.DataFrame(rows, columns=[*"abcd"])]
)
def test_rows_beside_whole_numbers_keep_what_is_not_whole(as_given):
    whole = (np.arange(240).reshape(60, 4) % 7).astype(np.uint8)
    y, y_own = np.arange(60) % 3, np.arange(15) % 3
    meta, valid = np.linspace(-2.5, 6.7, 60).reshape(15, 4), np.linspace(0, 6.5, 60).reshape(15, 4)
    given = [as_given(rows) for rows in (whole, meta, valid)]
    found = walk(given[0], y, given[1], y_own, X_val=given[2], y_val=y_own)
    assert found.train.X.dtype == np.uint8
    np.testing.assert_array_equal(found.meta.X, meta)
    np.testing.assert_array_equal(found.valid.X, valid)
    alike = walk(given[0], y, as_given(meta.round() + 3.0), y_own)
    assert alike.meta.X.dtype == np.uint8  # which changes no number


@pytest.mark.parametrize(
    ("column", "dtype"),
    [
        (np.arange(60) % 7, np.float32),
        (np.full(60, -(2**24)), np.float32),
        (np.full(60, 2**24 + 1), np.float64),
        (np.arange(60) - 2**40, np.float64),
        (np.arange(60, dtype=np.uint64) + np.uint64(2**63), np.float64),
        (np.arange(60) % 2 == 0, np.float32),
        (np.arange(60).astype(np.float16), np.float32),
    ],
)
def test_whole_numbers_that_single_precision_would_change_become_doubles(column, dtype):
    class Own(Taker):
        def _input_dtype(self):
            return np.float32, np.float64

    found = check_X(Own(), column[:, None], dtype=Own()._input_dtype(), reset=True)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found[:, 0], column.astype(np.float64))
