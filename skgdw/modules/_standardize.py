"""Standardisation of inputs as a layer, and the base class of the networks that begin with it."""

from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from skgdw.modules._checks import check_count
from skgdw.modules._location import as_rows, check_shape, location_and_scale

# Beyond this many scales from the centre, values are compressed to their logarithm.
_LIMIT = 10.0
# What the centre may be off by, in scales.
_ROUNDING = 1e-4
# Keeps overflow finite: the logarithm of it is 14.
_LARGEST_EXCESS = 1e6


class Standardize(nn.Module):
    """Centre and scale each column of a table, or each channel of images.

    It is the identity until `fit_scaling` has seen training rows. After that, values more than 10
    scales from the centre are compressed to 10 plus the logarithm of the rest: a bounded cut would
    make all outliers alike, and none at all lets a single cell swamp the network.

    Parameters
    ----------
    n_features : int
        Number of columns or channels, at least 1: the second dimension of the inputs.

    Attributes
    ----------
    shift : Tensor of shape (n_features,)
        What is subtracted; a buffer, 0 before `fit_scaling`.
    shift_rest : Tensor of shape (n_features,)
        What is subtracted besides, a buffer: what the dtype of `shift` has no room for in columns
        that lie far from 0 for their scale, such as times; 0 in others.
    scale : Tensor of shape (n_features,)
        What the rest is divided by; a buffer, 1 before `fit_scaling` and for constant columns.
    limit : Tensor of shape ()
        Where the compression begins, in scales; a buffer, infinite before `fit_scaling`.

    Notes
    -----
    The buffers are part of the state dict, so a saved network keeps its scaling.

    Examples
    --------
    >>> import torch
    >>> from skgdw.modules import Standardize
    >>> X = torch.tensor([[1.0, 7.0], [3.0, 7.0]])
    >>> Standardize(2).fit_scaling(X)(X)
    tensor([[-1.,  0.],
            [ 1.,  0.]])
    """

    shift: Tensor
    shift_rest: Tensor
    scale: Tensor
    limit: Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.n_features = check_count(
            "n_features",
            n_features,
            minimum=1,
            remedy="pass the number of columns or channels, as in `X.shape[1]`",
        )
        self.register_buffer("shift", torch.zeros(self.n_features))
        self.register_buffer("shift_rest", torch.zeros(self.n_features))
        self.register_buffer("scale", torch.ones(self.n_features))
        self.register_buffer("limit", torch.tensor(torch.inf))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore; what was saved before times were centred to the second has no rest."""
        super().__setstate__(state)
        if "shift_rest" not in self._buffers:
            self.register_buffer("shift_rest", torch.zeros_like(self.shift))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        rest = prefix + "shift_rest"
        if prefix + "shift" in state_dict and rest not in state_dict:
            state_dict[rest] = torch.zeros_like(state_dict[prefix + "shift"])
        super()._load_from_state_dict(state_dict, prefix, *args)

    @property
    def is_fitted(self) -> bool:
        """Whether `fit_scaling` has seen rows."""
        return bool(torch.isfinite(self.limit))

    @torch.no_grad()
    def fit_scaling(self, X: Tensor | ArrayLike) -> Self:
        """Set centre and scale from training rows.

        The mean and the standard deviation are used; in tables, a column whose standard deviation
        is mostly the work of a few far cells (more than 3 times what its quartiles suggest) gets
        its median and its interquartile range over 1.349 instead.

        Parameters
        ----------
        X : Tensor or array-like of shape (n, n_features) or (n, n_features, ...)
            Training rows, finite numbers, n at least 1.

        Returns
        -------
        Standardize
            The layer itself.

        Raises
        ------
        TypeError
            If X does not hold real numbers.
        ValueError
            If X has another shape, no rows, or values that are NaN or infinite.
        """
        rows = as_rows(X, self.n_features)
        shift, scale = location_and_scale(rows, torch.finfo(self.shift.dtype))
        self.shift.copy_(torch.from_numpy(shift))
        self.scale.copy_(torch.from_numpy(scale))
        rest = shift - self.shift.double().cpu().numpy()
        self.shift_rest.copy_(torch.from_numpy(np.where(np.abs(rest) > _ROUNDING * scale, rest, 0)))
        self.limit.fill_(_LIMIT)
        return self

    def forward(self, X: Tensor) -> Tensor:
        """Return X standardised, in the dtype of the buffers.

        Parameters
        ----------
        X : Tensor of shape (n, n_features) or (n, n_features, ...)
            Rows or images of any real dtype.

        Returns
        -------
        Tensor of the shape of X
            Standardised rows.

        Raises
        ------
        ValueError
            If X has another number of columns or channels.
        """
        if X.ndim < 2 or X.shape[1] != self.n_features:
            check_shape(tuple(X.shape), self.n_features)  # which words the error
        shift, rest, scale = self.shift, self.shift_rest, self.scale
        if X.ndim > 2:
            across = (self.n_features,) + (1,) * (X.ndim - 2)
            shift, rest, scale = shift.view(across), rest.view(across), scale.view(across)
        # Subtract before any loss of precision: float64 rows are rounded once they are small.
        z = (X - shift - rest) / scale
        bounded = z.clamp(-self.limit, self.limit)
        excess = (z - bounded).clamp(-_LARGEST_EXCESS, _LARGEST_EXCESS)
        # Not by copysign, which torch does not export.
        return (bounded + excess.sign() * excess.abs().log1p()).to(self.shift.dtype)

    def extra_repr(self) -> str:
        """Return what `repr` shows between the brackets."""
        return str(self.n_features)


class SelfScaling(nn.Module):
    """A network whose first layer standardises its inputs."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.standardize = Standardize(n_features)

    def fit_scaling(self, X: Tensor | ArrayLike) -> Self:
        """Set the input standardisation from training rows; see `Standardize.fit_scaling`.

        Parameters
        ----------
        X : Tensor or array-like of shape (n, n_features) or (n, n_features, ...)
            Training rows, finite numbers, n at least 1.

        Returns
        -------
        Module
            The network itself.
        """
        self.standardize.fit_scaling(X)
        return self
