"""Which rows teach and which rows are trained on."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from torch.utils.data import Dataset, Subset

from skgdw._intake._balanced import balanced_meta_indices, meta_row_count
from skgdw._warn import warn
from skgdw.exceptions import NoMetaSetWarning


class Rows(NamedTuple):
    """Rows with their class codes, and where they stood in the arrays given to ``fit``.

    Attributes
    ----------
    X : ndarray of shape (n, ...), mapping of str to arrays, or torch Dataset
    y : ndarray of shape (n,), or None for a Dataset that holds its labels itself
    rows : ndarray of shape (n,)
    """

    X: Any
    y: Any
    rows: np.ndarray


class Relabelled(Dataset):
    """A Dataset of the user's with class codes in place of its labels."""

    def __init__(self, dataset: Any, codes: np.ndarray) -> None:
        self.dataset, self.codes = dataset, codes

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        item = self.dataset[index]
        return (item[0] if isinstance(item, tuple | list) else item), int(self.codes[index])


def relabel(X: Any, codes: Any) -> Any:
    """Return X, its labels replaced where it is a Dataset that holds some."""
    return Relabelled(X, codes) if isinstance(X, Dataset) and codes is not None else X


def take_rows(X: Any, rows: np.ndarray) -> Any:
    """Take rows of an array, a mapping of arrays or a Dataset."""
    if isinstance(X, Dataset):
        return Subset(X, rows.tolist())
    return {name: value[rows] for name, value in X.items()} if isinstance(X, dict) else X[rows]


def separate(X: Any, y: Any, mask: np.ndarray) -> tuple[Rows, Rows]:
    """Split rows by a mask of shape (n,): the training rows, then the meta rows."""

    def side(rows: np.ndarray) -> Rows:
        return Rows(take_rows(X, rows), None if y is None else y[rows], rows)

    return side(np.flatnonzero(~mask)), side(np.flatnonzero(mask))


def hold_out(
    X: Any,
    y: np.ndarray,
    classes: np.ndarray,
    meta_size: float,
    random_state: np.random.RandomState,
) -> tuple[Rows, Rows]:
    """Take a class-balanced meta set out of the training rows, and warn of what it cannot do."""
    mask = np.zeros(len(y), dtype=bool)
    n_meta = max(meta_row_count(meta_size, np.bincount(y)), 2)  # one row has no batch statistics
    mask[balanced_meta_indices(y, len(classes), n_meta, random_state)] = True
    train, meta = separate(X, y, mask)
    single = classes[np.bincount(y, minlength=len(classes)) == 1].tolist()
    note = f" Classes with a single row gave none: {single}." if single else ""
    warn(
        f"No meta set was given: {mask.sum()} of the {len(y)} rows, balanced over the classes, "
        "were taken out of the training set to serve as one. That can mend class imbalance; it "
        "cannot mend label noise, because their labels are as noisy as the rest. Pass X_meta and "
        f"y_meta, or meta_mask, with trusted labels.{note}",
        NoMetaSetWarning,
    )
    return train, meta
