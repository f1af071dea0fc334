"""What callbacks that score see during an epoch: labels, and predictions of the rows they name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score
from sklearn.utils import check_consistent_length
from sklearn.utils.multiclass import type_of_target
from skorch import NeuralNet
from skorch.callbacks.scoring import ScoringBase
from torch.utils.data import Dataset

from skgdw._rows import as_host_array, as_labels, check_readable, is_dataset, is_mapping

# What numpy and torch both have a dtype for.
_NUMBERS = "biuf"


def accuracy(y: Any, predicted: NDArray[Any], sample_weight: Any = None) -> float:
    """Return the share of labels that were predicted.

    Parameters
    ----------
    y : array-like of shape (n,), or one-hot (n, c)
    predicted : ndarray of shape (n,)
    sample_weight : array-like of shape (n,), optional

    Returns
    -------
    float
    """
    check_readable(y, "y")
    labels = as_labels(y, "y") if is_mapping(y) or np.ndim(y) == 2 else y
    try:
        is_known = type_of_target(labels) != "unknown"
    except TypeError:
        is_known = False
    if is_known:
        return float(accuracy_score(labels, predicted, sample_weight=sample_weight))
    # Dates, bytes and the like, which `fit` takes, and scikit-learn's score does not.
    labels = as_labels(labels, "y")
    check_consistent_length(labels, predicted, sample_weight)
    return float(np.average(labels == predicted, weights=sample_weight))


def as_labels_of(codes: Any, classes: NDArray[Any]) -> Any:
    """Return the labels that class codes stand for.

    Parameters
    ----------
    codes : Tensor or ndarray
        Of training or validation rows; what holds no codes, as datasets and collate functions of
        the user's may give, is left as it is.
    classes : ndarray of shape (c,)

    Returns
    -------
    Tensor or ndarray
        A tensor of numbers for a tensor; an array of other labels, for which torch has no dtype.
    """
    if codes is None or isinstance(codes, list | tuple | dict):
        return codes
    numbers = np.asarray(as_host_array(codes))
    is_code = numbers.dtype.kind in "iu" and (
        numbers.size == 0 or (numbers.min() >= 0 and numbers.max() < len(classes))
    )
    if not is_code:
        return codes
    labels = classes[numbers]
    if not isinstance(codes, torch.Tensor) or labels.dtype.kind not in _NUMBERS:
        return labels
    return torch.as_tensor(labels.astype(labels.dtype.newbyteorder("=")))


class LabelledDataset(Dataset[Any]):
    """A dataset of the net's with labels in place of class codes.

    Parameters
    ----------
    dataset : Dataset
        Gives pairs of a row and its class code.
    classes : ndarray of shape (c,)
    """

    def __init__(self, dataset: Any, classes: NDArray[Any]) -> None:
        self.coded, self.classes = dataset, classes

    def __len__(self) -> int:
        return len(self.coded)

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        X, code = self.coded[index]
        label = as_labels_of(np.asarray(as_host_array(code)), self.classes)
        return X, label.item() if np.ndim(label) == 0 and hasattr(label, "item") else label

    @property
    def X(self) -> Any:
        """The rows, of a dataset that holds them."""
        return self.coded.X

    @property
    def y(self) -> Any:
        """The labels, of a dataset that holds class codes."""
        return as_labels_of(np.asarray(as_host_array(self.coded.y)), self.classes)


def shown(dataset: Any, classes: NDArray[Any]) -> Any:
    """Return a dataset of class codes as one of labels; itself where codes are the labels."""
    is_same = classes.dtype.kind in "iu" and np.array_equal(classes, np.arange(len(classes)))
    return dataset if is_same else LabelledDataset(dataset, classes)


class _ForNow:
    """A function in the place of another; copies and pickles hold the other one."""

    def __init__(self, original: Callable[..., Any], function: Callable[..., Any]) -> None:
        self.original, self.function = original, function

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)

    def __reduce__(self) -> tuple[Callable[[Any], Any], tuple[Any]]:
        return _itself, (self.original,)


def _itself(value: Any) -> Any:
    return value


@contextmanager
def labels_for(net: NeuralNet, callback: ScoringBase) -> Iterator[None]:
    """Have a callback compare labels with labels inside the block.

    Batches and datasets hold class codes; `predict` and `classes_` speak of labels.
    """
    extract, scoring = callback.target_extractor, callback._scoring
    classes = net.classes_inferred_

    def extract_labels(y: Any) -> Any:
        return extract(as_labels_of(y, classes))

    def score(of: NeuralNet, X: Any, y: Any) -> Any:
        rows = shown(X, classes) if is_dataset(X) else X
        with _only_for(of, rows):
            return scoring(of, rows, y)

    own = {
        "target_extractor": _ForNow(extract, extract_labels),
        "_scoring": _ForNow(scoring, score),
    }
    before = {name: vars(callback)[name] for name in own if name in vars(callback)}
    vars(callback).update(own)
    try:
        yield
    finally:
        for name in own:
            del vars(callback)[name]
        vars(callback).update(before)


@contextmanager
def _only_for(net: NeuralNet, X: Any) -> Iterator[None]:
    """Have outputs that skorch has cached stand for `X` alone, and be read as often as wanted.

    A score may look at rows of its own, as `trusted_scorer` does: these are predicted.
    """
    own = vars(net)
    cached: Callable[..., Iterator[Any]] | None = own.get("forward_iter")
    if cached is None:
        yield
        return
    outputs: list[Any] = []

    def forward_iter(rows: Any, training: bool = False, device: Any = "cpu") -> Iterator[Any]:
        if rows is not X or training:
            return type(net).forward_iter(net, rows, training=training, device=device)
        if not outputs:
            outputs.extend(cached(rows, device=device))
        return iter(outputs)

    own["forward_iter"], own["_scored_rows"] = forward_iter, X
    try:
        yield
    finally:
        own["forward_iter"] = cached
        del own["_scored_rows"]
