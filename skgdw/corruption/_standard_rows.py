"""Rows of any container as standardised columns of numbers, read a block at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.preprocessing import StandardScaler

from skgdw._rows import IntArray, n_rows, take_rows

from ._transition import FloatArray

# Numbers of float64 held at a time: 32 MiB.
_BLOCK_SIZE = 2**22

_KIND_NAMES = {"U": "text", "S": "bytes", "c": "complex numbers", "M": "dates", "m": "durations"}


class StandardRows:
    """Rows of X flattened to d columns, each brought to mean 0 and variance 1 over `rows` (n,).

    Constant columns become 0. Sparse matrices are never made dense, other containers only a block
    at a time. Raises if `rows`, one or more, do not hold finite numbers; others are not read.
    """

    def __init__(self, X: Any, rows: IntArray) -> None:
        self._X = X.tocsr() if hasattr(X, "tocsr") else X
        self.n_columns = int(self._block(rows[:1]).shape[1])
        if self.n_columns == 0:
            raise ValueError("`X` must have columns; got rows of length 0; pass rows with values.")
        # What a row takes as a block: a sparse one its entries.
        self._row_size = self._X.nnz // n_rows(X) + 1 if hasattr(X, "tocsr") else self.n_columns
        # Counts only: its transform obeys scikit-learn's global setting of the output's container.
        self._scaler = StandardScaler(with_mean=not hasattr(X, "tocsr"))
        bad: list[int] = []
        for part in self.blocks(rows):
            block = self._block(part)
            bad += part[_non_finite_rows(block)].tolist()
            if not bad:
                with np.errstate(over="ignore", invalid="ignore"):  # refused below
                    self._scaler.partial_fit(block)
        if bad:
            raise ValueError(
                f"`X` must hold finite numbers; got NaN or infinity in {len(bad)} rows, the first "
                f"in row {bad[0]}; impute or drop them first."
            )
        too_large = np.flatnonzero(~np.isfinite(self._scaler.scale_ + self._scaler.mean_))
        if len(too_large):
            raise ValueError(
                "`X` must hold numbers whose variance is finite; got too large ones in "
                f"{len(too_large)} columns, the first being {too_large[0]}; divide them."
            )

    def blocks(self, rows: IntArray, width: int = 1) -> Iterator[IntArray]:
        """Yield the row numbers `rows` (m,) in pieces small enough for `project` to `width`."""
        size = max(1, _BLOCK_SIZE // max(width, self._row_size))
        for start in range(0, len(rows), size):
            yield rows[start : start + size]

    def project(self, rows: IntArray, weights: FloatArray) -> FloatArray:
        """Return the standardised `rows` (m,) times `weights` (d, width)."""
        block, mean, scale = self._block(rows), self._scaler.mean_, self._scaler.scale_
        if not hasattr(block, "tocsr"):
            return np.asarray((block - mean) / scale @ weights)
        scaled = weights / scale[:, None]
        return np.asarray(block @ scaled - mean @ scaled)

    def _block(self, rows: IntArray) -> Any:
        """Return rows as float64 (m, d), sparse if X is, or raise."""
        block = take_rows(self._X, rows)
        if hasattr(block, "tocsr"):
            _check_kind(block.dtype.kind)
            return block.astype(np.float64)
        if hasattr(block, "iloc"):
            _check_frame(block)
            values = block.to_numpy(dtype=np.float64, na_value=np.nan)
        elif hasattr(block, "detach"):
            values = np.asarray(block.detach().cpu().double())
        else:
            values = _as_numbers(block)
        return values.reshape(len(rows), -1)


def _as_numbers(block: Any) -> FloatArray:
    """Return an array or a sequence of rows as float64."""
    try:
        values = np.asarray(block)
    except ValueError as error:
        raise ValueError(
            "`X` must hold rows of one shape; got rows of unequal length; pad or cut them."
        ) from error
    if values.dtype.kind == "O":
        # What numpy reads as a number need not be one: text of digits is not.
        kinds = {type(value).__name__ for value in values.ravel() if isinstance(value, str | bytes)}
        try:
            values = values.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise _not_numeric(", ".join(sorted(kinds)) or "objects") from error
        if kinds:
            raise _not_numeric(", ".join(sorted(kinds)))
    _check_kind(values.dtype.kind)
    return np.asarray(values, dtype=np.float64)


def _check_frame(frame: Any) -> None:
    """Raise if a frame or a series has columns that are no numbers, all of them named."""
    if not hasattr(frame, "columns"):
        _check_kind(frame.dtype.kind, str(frame.dtype))
        return
    odd = [
        f"{name!r} ({dtype})"
        for name, dtype in zip(frame.columns, frame.dtypes, strict=True)
        if dtype.kind not in "biuf"
    ]
    if odd:
        raise _not_numeric(f"columns {', '.join(odd)}")


def _check_kind(kind: str, found: str | None = None) -> None:
    if kind not in "biuf":
        raise _not_numeric(found or _KIND_NAMES.get(kind, "objects"))


def _not_numeric(found: str) -> TypeError:
    return TypeError(
        "`X` must hold numbers, on which InstanceDependentNoise depends; got "
        f"{found}; encode them, or use LabelNoise, which takes any rows."
    )


def _non_finite_rows(block: Any) -> IntArray:
    """Return which rows of a block hold NaN or infinity."""
    if not hasattr(block, "tocsr"):
        return np.flatnonzero(~np.isfinite(block).all(axis=1))
    entries = np.flatnonzero(~np.isfinite(block.data))
    return np.unique(np.searchsorted(block.indptr, entries, side="right") - 1)
