"""Wide residual networks."""

from torch import Tensor, nn
from torch.nn import functional as F

from skgdw.modules._checks import check_count, check_in_channels, check_n_classes
from skgdw.modules._residual import conv3x3, init_kaiming
from skgdw.modules._standardize import SelfScaling


class WideBlock(nn.Module):
    """Normalise, activate, convolve, twice; (n, c, h, w) -> (n, c', h', w')."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.conv1 = conv3x3(in_channels, out_channels, stride)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.conv2 = conv3x3(out_channels, out_channels)
        self.dropout = nn.Dropout(dropout)
        self.project: nn.Conv2d | None = None
        if in_channels != out_channels or stride > 1:
            self.project = nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)

    def forward(self, X: Tensor) -> Tensor:
        """Return the sum of shortcut and residual."""
        activated = F.relu(self.norm1(X))
        shortcut = X if self.project is None else self.project(activated)
        hidden = F.relu(self.norm2(self.conv1(activated)))
        return shortcut + self.conv2(self.dropout(hidden))


class WideResNet(SelfScaling):
    """Wide residual network, WRN-`depth`-`width`.

    Three stages of (depth - 4) / 6 blocks with 16, 32 and 64 times `width` channels [1]_. The
    default has 36.5 million parameters; `depth=16, width=4` has 2.7 million.

    Parameters
    ----------
    n_classes : int
        Number of logits per image, at least 1.
    in_channels : int, default=3
        Number of channels of the images, at least 1.
    depth : int, default=28
        Number of layers: 4 more than a multiple of 6, at least 10.
    width : int, default=10
        Factor on the number of channels, at least 1.
    dropout : float, default=0.0
        Rate of dropout between the two convolutions of a block, in [0, 1).

    Attributes
    ----------
    standardize : Standardize
        The input layer; `fit_scaling` sets centre and scale of each channel.

    Notes
    -----
    Dropout draws from the global random generator of torch.

    References
    ----------
    .. [1] Zagoruyko, S. and Komodakis, N. (2016). Wide residual networks. BMVC.

    Examples
    --------
    >>> import torch
    >>> from skgdw.modules import WideResNet
    >>> WideResNet(n_classes=10, depth=10, width=1)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self,
        n_classes: int,
        in_channels: int = 3,
        depth: int = 28,
        width: int = 10,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(check_in_channels(in_channels))
        depth = check_count("depth", depth, minimum=10, remedy="the paper uses 16, 22, 28 and 40")
        if depth % 6 != 4:
            raise ValueError(
                f"`depth` must be 4 more than a multiple of 6; got {depth}; "
                f"the nearest below is {depth - (depth - 4) % 6}"
            )
        width = check_count("width", width, minimum=1, remedy="the paper uses 1 to 12")
        if not 0.0 <= dropout < 1.0:
            raise ValueError(
                f"`dropout` must be at least 0 and below 1; got {dropout!r}; 0 turns it off"
            )
        self.conv = conv3x3(in_channels, 16)
        blocks: list[nn.Module] = []
        before = 16
        for stage, channels in enumerate((16 * width, 32 * width, 64 * width)):
            for block in range((depth - 4) // 6):
                stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(WideBlock(before, channels, stride, dropout))
                before = channels
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.BatchNorm2d(before)
        self.linear = nn.Linear(before, check_n_classes(n_classes))
        init_kaiming(self)

    def forward(self, X: Tensor) -> Tensor:
        """Return logits.

        Parameters
        ----------
        X : Tensor of shape (n, in_channels, height, width)
            Images of any real dtype and range.

        Returns
        -------
        Tensor of shape (n, n_classes)
            Logits.
        """
        features = self.blocks(self.conv(self.standardize(X)))
        logits: Tensor = self.linear(F.relu(self.norm(features)).mean(dim=(2, 3)))
        return logits
