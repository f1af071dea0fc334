"""Rows of any container: counted, compared in number, taken and joined."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_array_equal
from scipy import sparse
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler, TensorDataset

import skgdw
from classifier_cases import quick
from skgdw._rows import (
    as_host_array,
    as_rows,
    check_same_length,
    is_dataset,
    is_mapping,
    join_rows,
    n_rows,
    take_rows,
)
from skgdw.corruption import ClassImbalance, LabelNoise
from skgdw.model_selection import split_meta


class Squares(Dataset):
    """A user's own Dataset, of rows without labels."""

    def __len__(self):
        return 5

    def __getitem__(self, i):
        return i**2


class OnlyArray:
    """Can do nothing but become an array."""

    def __array__(self, dtype=None, copy=None):
        return np.arange(5) ** 2


CONTAINERS = {
    "array": np.arange(5) ** 2,
    "list": [0, 1, 4, 9, 16],
    "tuple": (0, 1, 4, 9, 16),
    "series": pd.Series(np.arange(5) ** 2, index=[*"abcde"]),
    "tensor": torch.arange(5) ** 2,
    "Dataset": Squares(),
    "only array": OnlyArray(),
}


def plain(data):
    if isinstance(data, Dataset):
        return [data[i] for i in range(len(data))]
    return np.asarray(data).tolist()


@pytest.mark.parametrize("kind", CONTAINERS)
def test_rows_are_counted_taken_and_joined(kind):
    data = CONTAINERS[kind]
    assert n_rows(data) == 5
    taken = take_rows(data, np.array([3, 0, 3]))
    assert plain(taken) == [9, 0, 9]
    assert plain(join_rows(taken, as_rows(data))) == [9, 0, 9, 0, 1, 4, 9, 16]
    mapping = {"a": data, "b": np.arange(10).reshape(5, 2)}
    assert n_rows(mapping) == 5
    part = take_rows(mapping, np.array([1, 2]))
    assert plain(part["a"]) == [1, 4]
    joined = join_rows({"b": part["b"]}, mapping)["b"]
    assert_array_equal(joined, mapping["b"][[1, 2, 0, 1, 2, 3, 4]])


@pytest.mark.parametrize("kind", [*CONTAINERS, "mapping"])
def test_samplers_and_splits_take_them_all(kind):
    X = CONTAINERS.get(kind, {"a": np.arange(5) ** 2})
    y = [0, 0, 0, 1, 1]
    assert n_rows(LabelNoise(noise_rate=0, random_state=0).fit_resample(X, y)[0]) == 5
    kept, y_kept = ClassImbalance(sampling_strategy={0: 1}, random_state=0).fit_resample(X, y)
    X_left, _, X_meta, _ = split_meta(X, y, 2, random_state=0)
    assert n_rows(kept) == len(y_kept) == 3
    rows = [part["a"] if kind == "mapping" else part for part in (X_left, X_meta)]
    assert sorted(plain(rows[0]) + plain(rows[1])) == [0, 1, 4, 9, 16]


def test_a_part_of_a_dataset_is_a_dataset():
    data = TensorDataset(torch.arange(4), torch.arange(4) * 2)
    part = take_rows(data, np.array([3, 1]))
    assert is_dataset(part)
    assert [int(y) for _, y in part] == [6, 2]


def test_sparse_formats_are_no_mappings():
    dok = sparse.dok_matrix(np.eye(3))
    assert not is_mapping(dok)
    assert n_rows(dok) == 3
    assert take_rows(dok, np.array([2])).toarray().tolist() == [[0, 0, 1]]


def test_datasets_are_known_by_their_kind():
    class Stream(IterableDataset):
        def __iter__(self):
            return iter([1])

    assert is_dataset(Squares())
    assert is_dataset(Stream())
    assert not any(map(is_dataset, ([], np.zeros(2), torch.zeros(2), {"a": 1})))


LOADERS = {
    "DataLoader": DataLoader(TensorDataset(torch.arange(4))),
    "RandomSampler": RandomSampler(range(4)),
}


@pytest.mark.parametrize("kind", LOADERS)
@pytest.mark.parametrize("door", ["n_rows", "fit", "X_meta", "split_meta", "predict"])
def test_what_makes_batches_is_no_dataset(door, kind):
    loader, codes = LOADERS[kind], np.arange(4) % 2
    rows = np.arange(16.0).reshape(4, 4)
    doors = {
        "n_rows": lambda: n_rows(loader, "X"),
        "fit": lambda: quick().fit(loader, codes, rows, codes),
        "X_meta": lambda: quick().fit(rows, codes, loader, codes),
        "split_meta": lambda: split_meta(loader, codes, 2),
        "predict": lambda: (
            quick(module__n_classes=2).fit(rows, codes, (rows + 1,), (codes,)).predict(loader)
        ),
    }
    name = "X_meta" if door == "X_meta" else "X"
    with pytest.raises(TypeError, match=f"`{name}` must .* got {kind}. Pass the Dataset, as load"):
        doors[door]()


def test_an_empty_mapping_has_no_row():
    assert n_rows({}) == 0


@pytest.mark.parametrize("data", [3, "text", None, np.array(5)])
def test_what_has_no_rows_is_refused(data):
    with pytest.raises(TypeError, match=r"`X_clean` must be an array-like with rows; got .*; pass"):
        n_rows(data, "X_clean")


def test_unequal_lengths():
    assert check_same_length([1, 2], np.zeros((2, 3))) == 2
    with pytest.raises(ValueError, match=r"`A` and `b` must .* rows; got 2 and 3; count again"):
        check_same_length([1, 2], [1, 2, 3], "A", "b", remedy="count again")


def test_tensors_become_arrays_and_nothing_else_does():
    assert as_host_array(torch.ones(2).bfloat16()).dtype == np.float32
    assert_array_equal(as_host_array(torch.ones(2, requires_grad=True)), [1, 1])
    rows = [1, 2]
    assert as_host_array(rows) is rows


def test_torch_is_not_loaded():
    # The package's own __init__ loads the classifier, so this room is loaded without it.
    code = (
        "import sys, types; import numpy as np; root = types.ModuleType('skgdw'); "
        f"root.__path__ = {list(skgdw.__path__)!r}; sys.modules['skgdw'] = root; "
        "from skgdw._rows import encode_labels, take_rows; "
        "encode_labels(take_rows(['a', 'b'], np.arange(1))); "
        "print({'torch', 'skorch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_rows_of_mappings_of_tensors_by_a_tensor():
    X = {"a": torch.arange(4.0), "b": torch.ones(4, 2)}
    assert n_rows(X) == 4
    assert take_rows(X, torch.tensor([2]))["a"].tolist() == [2.0]
