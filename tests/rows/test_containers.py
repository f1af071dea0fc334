"""Rows of any container: counted, compared in number, taken and joined."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_array_equal
from scipy import sparse
from skorch.dataset import ValidSplit
from skorch.helper import predefined_split
from torch.utils.data import (
    ChainDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    TensorDataset,
)

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


class Stream(IterableDataset):
    """Gives rows and codes in their order; there is no other way to them."""

    def __init__(self, n=12):
        self.items = [(np.eye(4, dtype=np.float32)[i % 2], i % 2) for i in range(n)]

    def __iter__(self):
        return iter(self.items)


class Counted(Stream):
    def __len__(self):
        return len(self.items)


CODES = np.arange(12) % 2
MAPS = TensorDataset(torch.eye(12, 4), torch.tensor(CODES))


def through(door, data):
    rows = np.eye(12, 4, dtype=np.float32)
    net = quick(
        classes=[0, 1], module__n_classes=2, weighting="uniform", iterator_train__shuffle=False
    )
    doors = {
        "fit": lambda: net.fit(data, CODES),
        "fit without y": lambda: net.fit(data),
        "X_meta": lambda: net.fit(MAPS, None, (data,)),
        "X_val": lambda: net.fit(MAPS, None, X_val=(data,)),
        "train_split": lambda: net.set_params(train_split=predefined_split(data)).fit(rows, CODES),
        "split_meta": lambda: split_meta(data, CODES, 2),
        "predict": lambda: net.fit(rows, CODES).predict(data),
        "score": lambda: net.fit(rows, CODES).score(data),
    }
    return doors[door]()


WHOLE = ["fit", "fit without y", "X_meta", "X_val", "train_split", "split_meta"]


@pytest.mark.parametrize("door", WHOLE)
@pytest.mark.parametrize("is_chained", [False, True])
def test_datasets_that_cannot_count_their_rows(door, is_chained):
    data = ChainDataset([Stream(6), Stream(6)]) if is_chained else Stream()
    name = door if door in ("X_meta", "X_val", "train_split") else "X"
    words = rf"`{name}` as a Dataset must have a length; got {type(data).__name__} without one. Wr"
    with pytest.raises(TypeError, match=words):
        through(door, data)


@pytest.mark.parametrize("door", ["predict", "score"])
def test_streams_that_cannot_count_their_rows_are_predicted(door):
    chained, whole = through(door, ChainDataset([Stream(6), Stream(6)])), through(door, Stream())
    assert_array_equal(chained, whole)


@pytest.mark.parametrize("door", ["fit", "fit without y", "X_meta", "X_val", "train_split"])
def test_chains_that_can_count_their_rows(door):
    through(door, ChainDataset([Counted(6), Counted(6)]))


@pytest.mark.parametrize("door", [*WHOLE, "predict", "score"])
def test_a_chain_of_what_is_no_stream(door):
    name = door if door in ("X_meta", "X_val", "train_split") else "X"
    words = (
        rf"`{name}` as a ChainDataset must chain streams, each an IterableDataset; got "
        r"TensorDataset in place 0, Squares in place 2. Join these by torch.utils.data.ConcatDat"
    )
    with pytest.raises(TypeError, match=words):
        through(door, ChainDataset([MAPS, Stream(), Squares()]))


@pytest.mark.parametrize("door", ["meta_mask", "no meta set", "train_split", "split_meta"])
def test_rows_of_a_stream_cannot_be_taken_out(door):
    net = quick(module__n_classes=2, iterator_train__shuffle=False)
    doors = {
        "meta_mask": lambda: net.fit(Counted(), CODES, meta_mask=np.arange(12) < 4),
        "no meta set": lambda: net.fit(Counted(), CODES),
        "train_split": lambda: net.set_params(weighting="uniform", train_split=ValidSplit(2)).fit(
            Counted(), CODES
        ),
        "split_meta": lambda: split_meta(Counted(), CODES, 2),
    }
    with pytest.raises(TypeError, match=r"found by number where some are taken out, .*got a stre"):
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
