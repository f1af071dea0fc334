"""Datasets of the user's whose labels become class codes as they are handed out."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from skorch.dataset import Dataset as SkorchDataset
from torch.utils.data import Dataset, IterableDataset

from skgdw._rows import RowContainer, check_no_loader, is_dataset, label_kind, n_rows


class EncodedDataset(Dataset):
    """A Dataset of the user's with class codes in place of its labels.

    Parameters
    ----------
    dataset : Dataset
        Gives rows, or pairs of a row and its label.
    code_of : callable
        From the number of a row and what the dataset gives for it to its class code.
    """

    def __init__(self, dataset: Any, code_of: Callable[[int, Any], int]) -> None:
        self.dataset, self.code_of = dataset, code_of

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        item = self.dataset[index]
        return _row_in(item), self.code_of(index, item)


class EncodedStream(IterableDataset):
    """A stream of the user's with class codes in place of its labels.

    Parameters
    ----------
    dataset : IterableDataset
        Gives rows, or pairs of a row and its label.
    code_of : callable
        As that of an `EncodedDataset`.
    """

    def __init__(self, dataset: Any, code_of: Callable[[int, Any], int]) -> None:
        self.dataset, self.code_of = dataset, code_of

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self) -> Iterator[tuple[Any, int]]:
        for index, item in enumerate(self.dataset):
            yield _row_in(item), self.code_of(index, item)


class CheckedDataset(Dataset):
    """A Dataset of the user's that holds class codes, each looked at as it is handed out.

    Parameters
    ----------
    dataset : Dataset
        Its items are handed out as they are, and its attributes are to be had here.
    n_classes : int
    """

    def __init__(self, dataset: Any, n_classes: int) -> None:
        self.dataset, self.n_classes = dataset, n_classes

    def __getattr__(self, name: str) -> Any:
        if name in ("dataset", "n_classes"):  # before a copy has its own
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        item = self.dataset[index]
        self._check(index, item)
        return item

    def __getitems__(self, indices: list[int]) -> Any:
        many = getattr(self.dataset, "__getitems__", None)
        items = many(indices) if many else [self.dataset[index] for index in indices]
        if isinstance(items, list):
            for index, item in zip(indices, items, strict=False):
                self._check(index, item)
        return items

    def _check(self, index: int, item: object) -> None:
        code = _label_in(item)
        code = code.item() if hasattr(code, "item") and np.ndim(code) == 0 else code
        if np.ndim(code) == 0 and code not in range(self.n_classes):
            raise ValueError(
                "A Dataset that holds class codes must hold those of `classes`, "
                f"0 to {self.n_classes - 1}; got {code!r} in row {index}. Leave such rows out, or "
                "name what the Dataset holds in `classes`."
            )


class CheckedStream(CheckedDataset, IterableDataset):
    """A stream of the user's that holds class codes."""

    def __iter__(self) -> Iterator[Any]:
        for index, item in enumerate(self.dataset):
            self._check(index, item)
            yield item


class KnownCodes:
    """The codes of rows whose labels came beside the Dataset."""

    def __init__(self, codes: NDArray[np.int64]) -> None:
        self.codes = codes

    def __call__(self, index: int, item: object) -> int:
        return int(self.codes[index])


class CodesOfLabels:
    """The codes of labels inside a Dataset, looked up one by one: reading all may take long."""

    def __init__(self, classes: NDArray[Any]) -> None:
        self.code_by_label = {label: code for code, label in enumerate(classes.tolist())}

    def __call__(self, index: int, item: object) -> int:
        label = _label_in(item)
        if label is None:
            raise ValueError(
                "A Dataset without `y` must give pairs of a row and its label; got a row without "
                f"one in place {index}. Pass y beside it, or have it give both."
            )
        try:
            return self.code_by_label[label]
        except (KeyError, TypeError):
            raise ValueError(
                "`classes` must hold every label that the Dataset holds; got "
                f"{list(self.code_by_label)}, and the label {label!r} in row {index}. Add it, or "
                "have the Dataset give labels out of `classes`."
            ) from None


def with_codes(X: RowContainer, codes: NDArray[np.int64] | None, classes: NDArray[Any]) -> Any:
    """Return X; where it is a Dataset, such that it hands out class codes.

    Parameters
    ----------
    X : array, mapping or Dataset
    codes : ndarray of shape (n,), or None
        Those of labels that came beside it; None for a Dataset that holds the labels.
    classes : ndarray of shape (c,)

    Returns
    -------
    array, mapping or Dataset
        X itself, unless it is a Dataset: that is wrapped.
    """
    if not is_dataset(X):
        return X
    if codes is not None and isinstance(X, SkorchDataset) and X.y is not None:
        coded = copy.copy(X)  # of a kind that skorch takes rows and labels out of
        coded.y = codes
        return coded
    is_stream = isinstance(X, IterableDataset)
    encoded = EncodedStream if is_stream else EncodedDataset
    if codes is not None:
        return encoded(X, KnownCodes(codes))
    if _holds_codes(X, classes):
        return (CheckedStream if is_stream else CheckedDataset)(X, len(classes))
    return encoded(X, CodesOfLabels(classes))


def labels_inside(dataset: RowContainer, classes: ArrayLike | None) -> list[Any]:
    """Return the labels that a small Dataset holds, by reading it through.

    Parameters
    ----------
    dataset : Dataset
    classes : array-like of shape (c,), or None
        What the user said that its labels, or its class codes, stand for.

    Returns
    -------
    list
        A label for each row.
    """
    check_no_loader(dataset, "X")
    is_stream = isinstance(dataset, IterableDataset)
    items = iter(dataset) if is_stream else (dataset[i] for i in range(n_rows(dataset)))
    labels = [_label_in(item) for item in items]
    known = None if classes is None else np.asarray(classes)
    is_coded = known is not None and label_kind(known) != "numbers" and _holds_codes(dataset, known)
    return known[labels].tolist() if known is not None and is_coded else labels


def _holds_codes(dataset: RowContainer, classes: NDArray[Any]) -> bool:
    """Tell whether the labels inside a Dataset are class codes already.

    They are where `classes` are 0, ..., c - 1, and where they are no numbers but the labels are.
    Of a kind that torch takes for codes, that is: floats and short integers are encoded as well.

    Returns
    -------
    bool
        Whether they may be trained on as they are.
    """
    if n_rows(dataset) == 0:
        return False
    if label_kind(classes) == "numbers" and not np.array_equal(classes, np.arange(len(classes))):
        return False
    item: Any = next(iter(dataset)) if isinstance(dataset, IterableDataset) else dataset[0]
    label = item[1] if isinstance(item, tuple | list) and len(item) > 1 else None
    return type(label) is int or str(getattr(label, "dtype", "")) in ("int64", "torch.int64")


def _row_in(item: object) -> Any:
    return item[0] if isinstance(item, tuple | list) else item


def _label_in(item: object) -> Any:
    """Return the label of what a Dataset gives for a row, as Python's own type."""
    label: Any = item[1] if isinstance(item, tuple | list) and len(item) > 1 else None
    return label.item() if hasattr(label, "item") and np.ndim(label) == 0 else label
