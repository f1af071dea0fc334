"""The network that turns a loss into a weight."""

from torch import Tensor, nn

from skgdw.modules._checks import check_count

# A diverging row must not saturate the net for good, nor bring infinities into its gradient.
_LOSS_CAP = 1e4


class WeightNet(nn.Module):
    """Map each row's loss to a weight between 0 and 1: one ReLU layer, then a sigmoid.

    Parameters
    ----------
    hidden : int, default=100
        Width of the hidden layer, at least 1.

    Notes
    -----
    Losses above 1e4 are taken as 1e4. The design is that of Meta-Weight-Net [1]_.

    References
    ----------
    .. [1] Shu, J., Xie, Q., Yi, L., Zhao, Q., Zhou, S., Xu, Z. and Meng, D. (2019).
       Meta-Weight-Net: Learning an explicit mapping for sample weighting. NeurIPS.

    Examples
    --------
    >>> import torch
    >>> from skgdw.modules import WeightNet
    >>> weight = WeightNet()(torch.tensor([0.1, 2.0, 30.0]))
    >>> weight.shape, bool(((weight > 0) & (weight < 1)).all())
    (torch.Size([3]), True)
    """

    def __init__(self, hidden: int = 100) -> None:
        super().__init__()
        hidden = check_count(
            "hidden", hidden, minimum=1, remedy="pass the width of the one hidden layer"
        )
        self.layers = nn.Sequential(
            nn.Linear(1, hidden), nn.ReLU(), nn.Linear(hidden, 1), nn.Sigmoid()
        )

    def forward(self, losses: Tensor) -> Tensor:
        """Return one weight per loss.

        Parameters
        ----------
        losses : Tensor of shape (n,)
            Losses of the rows, not negative for cross-entropy.

        Returns
        -------
        Tensor of shape (n,)
            Weights between 0 and 1.

        Raises
        ------
        ValueError
            If `losses` has not exactly one dimension.
        """
        if losses.ndim != 1:
            raise ValueError(
                f"`losses` must have one dimension; got shape {tuple(losses.shape)}; "
                'pass one loss per row, as with `reduction="none"`'
            )
        weight: Tensor = self.layers(losses.clamp(max=_LOSS_CAP).unsqueeze(1))
        return weight.squeeze(1)
