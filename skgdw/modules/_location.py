"""Centre and scale of the columns of a table or the channels of images, in numpy and float64."""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

# Standard deviation over quartile scale above which a column counts as ruled by a few far cells.
# A normal column has 1, an exponential one 1.2, a balanced binary one 0.7.
_HEAVY_TAIL = 3.0
# Interquartile range of the standard normal distribution.
_NORMAL_IQR = 1.349
_CHUNK_ROWS = 1024
# Spread of a column over its centre that computing in doubles may have left.
_ROUNDING_OF_DOUBLES = 2.0**-36
# Scale of a huge constant column, as a share of it.
_CONSTANT = 2.0**-40


def check_shape(shape: tuple[int, ...], n_features: int) -> None:
    """Raise unless `shape` is (n, n_features, ...)."""
    if len(shape) < 2 or shape[1] != n_features:
        raise ValueError(
            f"`X` must have {n_features} columns or channels in its second dimension; got shape "
            f"{shape}; build the network with the size of your data, or reshape the rows"
        )


def as_rows(X: Tensor | ArrayLike, n_features: int) -> NDArray[np.number]:
    """Return X as a checked numpy array of real numbers, without a copy where possible."""
    if isinstance(X, Tensor):
        X = X.detach().cpu()
        X = X.float().numpy() if X.dtype == torch.bfloat16 else X.numpy()
    rows = np.asarray(X)
    if rows.dtype.kind not in "biuf":
        raise TypeError(
            f"`X` must hold real numbers; got dtype {rows.dtype}; encode or drop other columns"
        )
    check_shape(rows.shape, n_features)
    if rows.size == 0:
        raise ValueError(
            f"`X` must have at least one row; got shape {rows.shape}; pass the training rows"
        )
    return rows


def location_and_scale(
    rows: NDArray[np.number], info: torch.finfo
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return shift and scale, each of shape (n_features,) and within the range of `info`."""
    parts = [rows[i : i + _CHUNK_ROWS] for i in range(0, len(rows), _CHUNK_ROWS)]

    def flat(part: NDArray[np.number]) -> NDArray[np.float64]:
        return np.moveaxis(part.astype(np.float64), 1, -1).reshape(-1, part.shape[1])

    # In units of the largest value nothing overflows, and a constant column is exactly +-1.
    largest = np.max([np.abs(flat(part)).max(axis=0) for part in parts], axis=0)
    if not np.isfinite(largest).all():
        bad = np.flatnonzero(~np.isfinite(largest)).tolist()
        raise ValueError(
            f"`X` must be finite; got NaN or infinity in columns or channels {bad}; "
            "impute or drop these rows first"
        )
    unit = np.where(largest > 0, largest, 1.0)
    count = rows.size // rows.shape[1]
    centre = sum((flat(part) / unit).sum(axis=0) for part in parts) / count
    spread = np.sqrt(sum(((flat(part) / unit - centre) ** 2).sum(axis=0) for part in parts) / count)
    if rows.ndim == 2:  # pixels are bounded: no outliers to guard against
        for j in range(rows.shape[1]):
            low, middle, high = np.quantile(flat(rows[:, j : j + 1]) / unit[j], [0.25, 0.5, 0.75])
            bulk = (high - low) / _NORMAL_IQR
            if bulk > 0 and spread[j] > _HEAVY_TAIL * bulk:
                centre[j], spread[j] = middle, bulk
    shift, scale = centre * unit, spread * unit
    # A spread that may be rounding, here or in what was reckoned before, is that of a constant.
    is_short = rows.dtype.kind == "f" and rows.dtype.itemsize < 8
    eps = float(np.spacing(rows.dtype.type(1))) if is_short else _ROUNDING_OF_DOUBLES
    constant = (spread <= eps * np.abs(centre)) | (scale < info.tiny)
    # What two numbers in the format of `info` leave of a huge constant should not look large.
    left = _CONSTANT * np.abs(shift) if eps < info.eps else 0.0
    scale = np.where(constant, np.maximum(1.0, left), scale)
    return np.clip(shift, info.min, info.max), np.minimum(scale, info.max)
