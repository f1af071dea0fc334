"""What all samplers share: containers, labels of any kind, data checks, tags, imports."""

import ast
import copy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_array_equal
from scipy import sparse

import skgdw.corruption
from sampler_cases import OF_ANY_ROWS, SAMPLERS, imbalance, instance_noise, noise

N = 60
CODES = np.arange(N) % 3
NAMES = np.array(["cat", "dog", "eel"])
MOSTLY_ZERO = np.random.RandomState(0).rand(N, 5)
MOSTLY_ZERO[MOSTLY_ZERO > 0.4] = 0


def frame():
    columns = {
        "a": np.arange(N, dtype=np.float32),
        "b": pd.Categorical(NAMES[CODES]),
        "c": [f"text {i}" for i in range(N)],
    }
    return pd.DataFrame(columns, index=[f"row {i}" for i in range(N)])


def numbers():
    columns = {
        "a": np.arange(N, dtype=np.float32),
        "b": np.arange(N, dtype=np.int8),
        "c": pd.array(np.arange(N) % 7, dtype="Int64"),
    }
    return pd.DataFrame(columns, index=[f"row {i}" for i in range(N)])


def memmap(folder):
    path = folder / "x.dat"
    np.arange(2.0 * N).reshape(N, 2).tofile(path)
    return np.memmap(path, mode="r", dtype=np.float64, shape=(N, 2))


def read_only():
    X = np.arange(2 * N, dtype=np.int16).reshape(N, 2)
    X.flags.writeable = False
    return X


ROWS = {
    "table": lambda _: np.arange(2.0 * N).reshape(N, 2),
    "images": lambda _: np.arange(N * 12, dtype=np.uint8).reshape(N, 3, 2, 2),
    "vector": lambda _: np.arange(N),
    "memmap": memmap,
    "read-only": lambda _: read_only(),
    "video": lambda _: np.arange(N * 8, dtype=np.float16).reshape(N, 1, 2, 2, 2),
    "nested list": lambda _: [[[i, 0], [1, i]] for i in range(N)],
    "list": lambda _: [[i, i % 7] for i in range(N)],
    "tuple": lambda _: tuple(range(N)),
    "frame": lambda _: numbers(),
    "sparse frame": lambda _: pd.DataFrame(np.eye(N)).astype(pd.SparseDtype(float, 0)),
    "series": lambda _: numbers()["c"],
    "tensor": lambda _: torch.arange(N * 4).reshape(N, 2, 2).to(torch.float16),
    **{
        form: lambda _, form=form: sparse.coo_array(MOSTLY_ZERO).asformat(form)
        for form in ("csr", "csc", "coo", "lil", "dok")
    },
    **{
        f"{form} matrix": lambda _, form=form: sparse.coo_matrix(
            MOSTLY_ZERO.astype(np.float32)
        ).asformat(form)
        for form in ("csr", "csc", "coo")
    },
}

ROWS_OF_OTHERS = {
    "texts": lambda _: np.array([f"text {i}" for i in range(N)], dtype=object),
    "mixed list": lambda _: [[i, str(i)] for i in range(N)],
    "list of texts": lambda _: [f"text {i}" for i in range(N)],
    "mixed frame": lambda _: frame(),
    "series of texts": lambda _: frame()["c"],
}


def plain(data, rows=slice(None)):
    """Rows of any container as nested lists, for comparison."""
    if sparse.issparse(data):
        data = data.toarray()
    if isinstance(data, (list, tuple)):
        return [data[i] for i in np.arange(len(data))[rows]]
    return np.asarray(data)[rows].tolist()


@pytest.mark.parametrize(
    ("make", "make_rows"),
    [
        pytest.param(make, make_rows, id=f"{name}-{make.__name__}")
        for makers, all_rows in ((SAMPLERS, ROWS), (OF_ANY_ROWS, ROWS_OF_OTHERS))
        for name, make_rows in all_rows.items()
        for make in makers
    ],
)
def test_rows_come_back_in_kind(make, make_rows, tmp_path):
    X = make_rows(tmp_path)
    before = copy.deepcopy(plain(X))
    sampler = make()
    X_out, _ = sampler.fit_resample(X, NAMES[CODES])
    # Rows taken out of a memmap are in no file: numpy gives an ndarray.
    expected_type = np.ndarray if isinstance(X, np.memmap) and make is imbalance else type(X)
    assert type(X_out) is expected_type
    assert getattr(X_out, "dtype", None) == getattr(X, "dtype", None)
    assert getattr(X_out, "format", None) == getattr(X, "format", None)
    assert plain(X_out) == plain(X, sampler.sample_indices_)
    assert plain(X) == before
    if hasattr(X, "iloc"):
        assert_array_equal(X_out.index, X.index[sampler.sample_indices_])
        assert getattr(X_out, "name", None) == getattr(X, "name", None)
    assert (X_out is X) == (make is not imbalance)


@pytest.mark.parametrize("make", SAMPLERS)
def test_labels_of_a_memmap_leave_the_file_alone(make, tmp_path):
    path = tmp_path / "y.dat"
    CODES.astype(np.int64).tofile(path)
    before = path.read_bytes()
    y = np.memmap(path, mode="r+", dtype=np.int64)
    _, y_out = make().fit_resample(np.zeros((N, 2)), y)
    assert type(y_out) is np.ndarray
    y_out[:] = -1
    y.flush()
    assert path.read_bytes() == before


def test_rows_left_over_of_a_memmap_are_a_copy_in_memory(tmp_path):
    X = memmap(tmp_path)
    X_out, _ = imbalance().fit_resample(X, CODES)
    assert type(X_out) is np.ndarray
    assert X_out.flags.writeable
    assert not np.shares_memory(X_out, X)


def test_frame_keeps_index_columns_and_dtypes():
    X = frame()
    sampler = imbalance()
    X_out, _ = sampler.fit_resample(X, CODES)
    pd.testing.assert_frame_equal(X_out, X.loc[X_out.index])
    assert_array_equal(X_out.index, X.index[sampler.sample_indices_])
    assert len(X_out) < len(X)


LABELS = {
    "int64": CODES,
    "int8": CODES.astype(np.int8),
    "gaps": np.array([-4, 7, 100])[CODES],
    "float": CODES.astype(np.float32),
    "bool": CODES > 0,
    "str": NAMES[CODES],
    "bytes": NAMES.astype("S3")[CODES],
    "object of str": NAMES.astype(object)[CODES],
    "object of int": CODES.astype(object),
    "list of str": NAMES[CODES].tolist(),
    "list of int": CODES.tolist(),
    "tuple": tuple(CODES.tolist()),
    "list of columns": CODES.reshape(-1, 1).tolist(),
    "column": CODES.reshape(-1, 1),
    "one-hot": np.eye(3, dtype=np.int16)[CODES],
    "one-hot list": np.eye(3, dtype=int)[CODES].tolist(),
    "one-hot sparse": sparse.csr_array(np.eye(3)[CODES]),
    "tensor": torch.tensor(CODES),
    "tensor int32": torch.tensor(CODES, dtype=torch.int32),
    "tensor bfloat16": torch.tensor(CODES, dtype=torch.bfloat16),
    "dates": np.datetime64("2020-01-01") + CODES,
    "durations": CODES.astype("m8[h]"),
    "masked": np.ma.array(CODES, mask=False),
    "read-only": CODES.copy(),
    "series": pd.Series(NAMES[CODES], index=range(100, 100 + N), name="animal"),
    "series nullable": pd.Series(CODES, dtype="Int64"),
    "series categorical": pd.Series(pd.Categorical(NAMES[CODES], categories=[*NAMES[::-1], "fox"])),
    "frame": pd.DataFrame({"animal": NAMES[CODES]}, index=range(7, 7 + N)),
    "one-hot frame": pd.DataFrame(np.eye(3)[CODES], columns=NAMES),
}
LABELS["read-only"].flags.writeable = False


def classes_of(y):
    """Class number of each row, in whatever way y says it."""
    if sparse.issparse(y):
        y = y.toarray()
    values = np.asarray(y.float() if isinstance(y, torch.Tensor) else y)
    if values.ndim == 2:
        values = values.argmax(axis=1) if values.shape[1] > 1 else values[:, 0]
    return np.unique(values, return_inverse=True)[1]


@pytest.mark.parametrize("make", [*SAMPLERS, lambda: noise(exact=True)])
@pytest.mark.parametrize("y", LABELS.values(), ids=LABELS)
def test_labels_come_back_in_kind(make, y):
    before = copy.deepcopy(y)
    sampler = make()
    _, y_out = sampler.fit_resample(np.arange(N), y)
    assert type(y_out) is type(y)
    for name in ("dtype", "dtypes", "name", "columns"):
        if hasattr(y, name):
            assert np.all(getattr(y_out, name) == getattr(y, name))
    if hasattr(y, "iloc"):
        assert_array_equal(y_out.index, y.index[sampler.sample_indices_])
    assert str(y) == str(before)

    codes = classes_of(y)
    reference = make()
    _, expected = reference.fit_resample(np.arange(N), codes)
    assert_array_equal(classes_of(y_out), expected)
    assert list(sampler.sampling_strategy_) == sampler.classes_.tolist()
    assert_array_equal(
        list(sampler.sampling_strategy_.values()), list(reference.sampling_strategy_.values())
    )


@pytest.mark.parametrize("make", [noise, instance_noise])
def test_labels_are_not_shared_with_the_input_or_each_other(make):
    y = np.eye(2, dtype=int)[np.arange(20) % 2].tolist()
    _, y_out = make().fit_resample(np.zeros(20), y)
    assert len({id(row) for row in [*y, *y_out]}) == 40


@pytest.mark.parametrize("make", SAMPLERS)
@pytest.mark.parametrize(
    ("y", "error", "match"),
    [
        ([0] * 4, ValueError, r"at least two classes .*; got 1 class: \[0\]; add rows"),
        ([0, 1, 0], ValueError, "`X` and `y` must have the same number of rows; got 4 and 3;"),
        (None, ValueError, "requires y to be passed, but the target y is None"),
        (5, TypeError, "`y` must be an array-like with rows; got int;"),
        ("abcd", TypeError, "`y` must be an array-like with rows; got str;"),
        (np.array(5), TypeError, "`y` must be an array-like with rows; got ndarray;"),
        ([0, 1, None, 1], ValueError, "label in every row; got 1 missing, the first in row 2;"),
        ([0, np.nan, 1, np.nan], ValueError, "got 2 missing, the first in row 1; drop"),
        (pd.Series([0, 1, pd.NA, 1], dtype="Int64"), ValueError, "got 1 missing, .* row 2;"),
        ([0, 1, pd.NA, 1], ValueError, "got 1 missing, the first in row 2; drop"),
        (np.array(["a", pd.NA, "b", pd.NaT], object), ValueError, "got 2 missing, .* row 1;"),
        (np.array([0, 1, np.float32("nan"), 1], object), ValueError, "got 1 missing, .* row 2;"),
        (["a", "b", "a", np.nan], ValueError, "got 1 missing, the first in row 3; drop"),
        ([["a"], ["b"], [np.nan], ["a"]], ValueError, "got 1 missing, the first in row 2; drop"),
        (np.array(["2020", "NaT", "2021", "NaT"], "M8[Y]"), ValueError, "got 2 missing, .* row 1;"),
        (np.array([1, 2, "NaT", 1], "m8[s]"), ValueError, "got 1 missing, .* row 2;"),
        (np.ma.array([0, 1, 7, 1], mask=[0, 0, 1, 0]), ValueError, "got 1 missing, .* row 2;"),
        (
            np.ma.array(np.eye(2)[[0, 1, 0, 1]], mask=np.eye(4, 2, -2)),
            ValueError,
            "got 2 missing, the first in row 2; drop or label these rows",
        ),
        (torch.tensor([0, np.nan, 1, 1]).bfloat16(), ValueError, "got 1 missing, .* row 1;"),
        ([0.5, 1, 2, 1], ValueError, "Unknown label type: .* continuous values such as 0.5; bin"),
        ([0, np.inf, 2, 1], ValueError, "continuous values such as inf"),
        ([0, "a", 1, "a"], TypeError, "labels of one kind that can be sorted; got int, str; conv"),
        (np.array([0, "a", 1, "a"], dtype=object), TypeError, "got int, str; convert"),
        ([[1], ["1"], [1], ["1"]], TypeError, "got int, str; convert"),
        (np.ones((4, 2)), ValueError, r"got shape \(4, 2\); multilabel and multioutput targets"),
        (np.full((4, 2), "a"), ValueError, r"got shape \(4, 2\); multilabel and"),
        (np.zeros((4, 2, 2)), ValueError, r"got shape \(4, 2, 2\); multilabel and"),
        ([[0, 1], [1], [0], [1]], ValueError, "rows of unequal length; pass a flat sequence"),
    ],
)
def test_labels_are_checked(make, y, error, match):
    for method in (make().fit, make().fit_resample):
        with pytest.raises(error, match=match):
            method(np.zeros((4, 2)), y)


@pytest.mark.parametrize("make", SAMPLERS)
@pytest.mark.parametrize("X", [3, "text", None])
def test_rows_are_checked(make, X):
    with pytest.raises(TypeError, match=r"`X` must be an array-like with rows; got .*; pass an"):
        make().fit_resample(X, [0, 1])


@pytest.mark.parametrize("make", SAMPLERS)
def test_fit_checks_and_draws_nothing(make):
    sampler = make()
    assert sampler.fit(numbers(), NAMES[CODES]) is sampler
    assert sampler.classes_.tolist() == NAMES.tolist()
    assert sampler.feature_names_in_.tolist() == ["a", "b", "c"]
    assert not hasattr(sampler, "sample_indices_")


@pytest.mark.parametrize("make", SAMPLERS)
@pytest.mark.parametrize(
    ("seed", "error", "found"),
    [
        (np.random.default_rng(0), TypeError, r"Generator\(PCG64\) at .*"),
        ("junk", TypeError, "'junk'"),
        (1.0, TypeError, "1.0"),
        (-1, ValueError, "-1"),
        (np.uint64(2**32), ValueError, r"np.uint64\(4294967296\)"),
    ],
)
def test_the_seed_is_checked(make, seed, error, found):
    sampler = make().set_params(random_state=seed)
    match = (
        r"^`random_state` must be None, an int from 0 to 2\*\*32 - 1 or a numpy RandomState; got "
        rf"{found}; pass an int, or np.random.RandomState\(seed\)\.$"
    )
    for method in (sampler.fit, sampler.fit_resample):
        with pytest.raises(error, match=match):
            method(np.zeros((6, 1)), [0, 1, 2] * 2)


@pytest.mark.parametrize("make", SAMPLERS)
def test_fit_takes_nothing_from_the_seed_it_checks(make):
    state = np.random.RandomState(0)
    make().set_params(random_state=state).fit(numbers(), CODES)
    assert state.randint(2**31) == np.random.RandomState(0).randint(2**31)


@pytest.mark.parametrize("make", SAMPLERS)
def test_feature_names_are_those_of_the_last_table(make):
    sampler = make()
    sampler.fit_resample(numbers(), CODES)
    assert sampler.get_feature_names_out().tolist() == ["a", "b", "c"]
    sampler.fit_resample([[1, 2]] * N, CODES)
    assert sampler.get_feature_names_out().tolist() == ["x0", "x1"]
    texts = [["text"] * N] if make in OF_ANY_ROWS else []
    for X in (np.zeros((N, 1, 2, 2)), *texts, [np.zeros((2, 2))] * N, [[[1]]] * N):
        sampler.fit_resample(X, CODES)
        with pytest.raises(ValueError, match="`X` must have two dimensions for its features to"):
            sampler.get_feature_names_out()


def test_nothing_but_numpy_and_scikit_learn_is_imported():
    package = Path(skgdw.corruption.__file__).parent
    shared = [*(package.parent / "_rows").glob("*.py"), package.parent / "_steps.py"]
    files = [*package.glob("*.py"), *shared]
    assert len(files) > 3
    imported = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                imported.add(node.module)
    outside = {name for name in imported if name.split(".")[0] in {"torch", "pandas", "imblearn"}}
    assert outside == set()
    ours = {".".join(n.split(".")[:2]) for n in imported if n.startswith("skgdw")}
    assert ours == {"skgdw._rows", "skgdw._steps", "skgdw.exceptions"}
