"""Rows that a ``train_split`` hands out and takes back, with labels of the user's."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from skorch import NeuralNet
from skorch.dataset import Dataset as SkorchDataset
from torch.utils.data import Subset

from skgdw import _validation as check
from skgdw._feed._dataset import RowDataset
from skgdw._feed._draws import seeded
from skgdw._feed._feed import SPLIT
from skgdw._intake._datasets import labels_inside, with_codes
from skgdw._net._scoring import shown
from skgdw._rows import check_has_length, check_no_loader, check_no_stream, encode, is_dataset


def split(net: NeuralNet, X: Any, y: NDArray[np.int64] | None) -> tuple[Any, Any]:
    """Return training and validation rows of a net as datasets of class codes.

    Parameters
    ----------
    net : GDWClassifier
        Its ``train_split`` sees labels of the user's, and gives them.
    X : array, mapping or Dataset
        Training rows, checked.
    y : ndarray of shape (n,), or None
        Their class codes; None where a Dataset holds them.

    Returns
    -------
    tuple of two datasets
        The second is None where nothing is held out.

    Raises
    ------
    ValueError
        If validation rows of the split's own will not do, or it asks for more than rows and labels.
    TypeError
        If these rows are of another kind.
    """
    coded, classes = net.get_dataset(X, y), net.classes_inferred_
    if not net.train_split:
        return coded, None
    given = shown(coded, classes)
    labels = () if y is None else (classes[y],)
    with seeded(net._seeds["meta"], SPLIT):
        try:
            train, valid = net.train_split(given, *labels)
        except ValueError as error:
            _refuse_groups(net.train_split, error)
            raise
    own = _Own(net, X, coded, given)
    return own.coded_part(train, is_valid=False), own.coded_part(valid, is_valid=True)


def _refuse_groups(train_split: object, error: ValueError) -> None:
    """Say of a splitter that goes by groups that it gets none; its own words tell no way out."""
    if "groups" in str(error):
        raise ValueError(
            "`train_split` must split rows by what `fit` hands it, X and y; got "
            f"{getattr(train_split, 'cv', train_split)!r}, which asks for groups ({error}). Split "
            "by groups before `fit`, and pass the validation rows as X_val and y_val."
        ) from error


class _Own:
    """Tells parts of the net's dataset from rows that a split has brought along."""

    def __init__(self, net: NeuralNet, X: Any, coded: Any, shown: Any) -> None:
        self.net, self.X, self.coded, self.shown = net, X, coded, shown

    def coded_part(self, part: Any, *, is_valid: bool) -> Any:
        """Return a dataset of class codes in place of one that a split has given."""
        if part is None:
            return None
        if part is self.shown:
            return self.coded
        if (indices := self._indices(part)) is not None:
            if isinstance(self.coded, RowDataset):
                return self.coded.subset(indices)
            check_no_stream(self.coded)
            return Subset(self.coded, indices.tolist())
        return self._checked(part) if is_valid else with_codes(part, None, self._classes)

    @property
    def _classes(self) -> NDArray[Any]:
        classes: NDArray[Any] = self.net.classes_inferred_
        return classes

    def _indices(self, part: Any) -> NDArray[np.intp] | None:
        """Return which rows of the net's dataset a Subset holds; None of another dataset."""
        if not isinstance(part, Subset):
            return None
        own = np.asarray(part.indices, dtype=np.intp)
        if part.dataset is self.shown:
            return own
        outer = self._indices(part.dataset)
        return None if outer is None else outer[own]

    def _checked(self, part: Any) -> Any:
        """Return validation rows of the split's own, checked as `X_val` and `y_val` are."""
        names, classes = check.SPLIT_ROWS, self._classes
        check_no_loader(part, names.X)
        check_has_length(part, names.X)
        holds_labels = isinstance(part, SkorchDataset) and part.y is not None
        given = part.y if holds_labels else labels_inside(part, classes)
        labels = check.check_pair_labels(given, names)
        check.check_same_kind(labels, classes, names)
        check.check_known(labels, classes, names.y)
        codes = encode(labels, classes)
        if type(part) is SkorchDataset and not is_dataset(self.X):
            X = check.open_mapping(part.X, names.X)
            rows = check.check_pair_rows(self.net, X, labels, self.X, names)
            check.check_columns(self.net, part.X, names.X)
            return self.net.get_dataset(rows, codes)
        return with_codes(part, codes if holds_labels else None, classes)
