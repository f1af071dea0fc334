"""A multilayer perceptron for tables."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from skgdw.modules._checks import check_count, check_n_classes
from skgdw.modules._standardize import SelfScaling


class MLP(SelfScaling):
    """ReLU network for tables that standardises its own inputs.

    Parameters
    ----------
    n_features : int
        Number of columns, at least 1.
    n_classes : int
        Number of logits per row, at least 1.
    hidden : sequence of int, default=(128, 128)
        Widths of the hidden layers, each at least 1. Empty for a linear model.

    Attributes
    ----------
    standardize : Standardize
        The input layer; its buffers hold centre and scale of each column.

    Notes
    -----
    Call `fit_scaling` with the training rows before training; until then inputs pass unscaled.

    Examples
    --------
    >>> import torch
    >>> from skgdw.modules import MLP
    >>> X = 1000.0 * torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    >>> MLP(n_features=4, n_classes=3).fit_scaling(X)(X).shape
    torch.Size([6, 3])
    """

    def __init__(self, n_features: int, n_classes: int, hidden: Sequence[int] = (128, 128)) -> None:
        super().__init__(n_features)
        if not isinstance(hidden, Sequence):
            raise TypeError(
                f"`hidden` must be a sequence of layer widths; got {hidden!r}; "
                "for one hidden layer write `hidden=(128,)`"
            )
        widths = [self.standardize.n_features]
        widths += [
            check_count("hidden", width, minimum=1, remedy="leave empty layers out of `hidden`")
            for width in hidden
        ]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], check_n_classes(n_classes)))

    def forward(self, X: Tensor) -> Tensor:
        """Return logits.

        Parameters
        ----------
        X : Tensor of shape (n, n_features)
            Rows of any real dtype.

        Returns
        -------
        Tensor of shape (n, n_classes)
            Logits.
        """
        logits: Tensor = self.layers(self.standardize(X))
        return logits
