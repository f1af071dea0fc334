"""Random crops and flips of image batches."""

from typing import Literal

import torch
from torch import Tensor, nn

from skgdw.modules._checks import check_count


class RandomCropFlip(nn.Module):
    """Shift each image by a random number of pixels and mirror half of them, in training mode.

    The same as padding by `padding` pixels, cutting a window of the old size at a random place and
    flipping it from left to right with probability 1/2. In evaluation mode images pass unchanged.

    Parameters
    ----------
    padding : int, default=4
        Largest shift in either direction, in pixels, at least 0.
    flip : bool, default=True
        Whether to flip at random. Turn it off where left and right matter, as for digits.
    padding_mode : {"reflect", "zeros"}, default="reflect"
        What stands outside the image: its mirror image (the edge pixel not repeated), which needs
        `padding` below the side of the image, or 0, right where 0 is the background.

    Notes
    -----
    Draws come from torch's global generator of the images' device, with no host synchronisation;
    the same generator state gives the same images. The output is a gather of input pixels, so
    forward-mode and double backward derivatives pass through.

    Examples
    --------
    >>> import torch
    >>> from skgdw.modules import RandomCropFlip, ResNet32
    >>> network = torch.nn.Sequential(RandomCropFlip(), ResNet32(10))
    >>> network(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self,
        padding: int = 4,
        flip: bool = True,
        padding_mode: Literal["reflect", "zeros"] = "reflect",
    ) -> None:
        super().__init__()
        self.padding = check_count("padding", padding, minimum=0, remedy="0 turns the crop off")
        self.flip = bool(flip)
        if padding_mode not in ("reflect", "zeros"):
            raise ValueError(
                f"`padding_mode` must be 'reflect' or 'zeros'; got {padding_mode!r}; "
                "'reflect' suits photographs"
            )
        self.padding_mode = padding_mode

    def forward(self, X: Tensor) -> Tensor:
        """Return shifted and flipped images.

        Parameters
        ----------
        X : Tensor of shape (n, n_channels, height, width)
            Images.

        Returns
        -------
        Tensor of the shape of X
            Augmented images; X itself in evaluation mode.

        Raises
        ------
        ValueError
            If X has not four dimensions, or reflection reaches beyond the far edge.
        """
        if not self.training:
            return X
        if X.ndim != 4:
            raise ValueError(
                "`X` must have shape (n, n_channels, height, width); got shape "
                f"{tuple(X.shape)}; reshape the images"
            )
        n, channels, height, width = X.shape
        if self.padding_mode == "reflect" and self.padding >= min(height, width):
            raise ValueError(
                f"`padding` must be below the side of the image to reflect; got {self.padding} "
                f"for {height} x {width} pixels; lower `padding` or use padding_mode='zeros'"
            )
        # Which source row and column stands at each target row and column: (n, h) and (n, w).
        offset = torch.randint(-self.padding, self.padding + 1, (2, n, 1), device=X.device)
        row = torch.arange(height, device=X.device) + offset[0]
        column = torch.arange(width, device=X.device) + offset[1]
        if self.flip:
            flipped = torch.randint(0, 2, (n, 1), device=X.device) == 1
            column = torch.where(flipped, column.flip(1), column)
        image = torch.arange(n, device=X.device).view(n, 1, 1, 1)
        channel = torch.arange(channels, device=X.device).view(1, channels, 1, 1)
        source_row, source_column = _reflect(row, height), _reflect(column, width)
        if self.padding_mode == "zeros":
            source_row, source_column = row.clamp(0, height - 1), column.clamp(0, width - 1)
        out = X[image, channel, source_row[:, None, :, None], source_column[:, None, None, :]]
        if self.padding_mode == "zeros":
            inside = (row == source_row)[:, None, :, None] & (column == source_column)[
                :, None, None
            ]
            out = out.masked_fill(~inside, 0)
        return out

    def extra_repr(self) -> str:
        """Return what `repr` shows between the brackets."""
        return f"padding={self.padding}, flip={self.flip}, padding_mode={self.padding_mode!r}"


def _reflect(index: Tensor, size: int) -> Tensor:
    """Fold indices from -(size - 1) to 2 * (size - 1) back into 0 .. size - 1."""
    last = size - 1
    return last - (last - index.abs()).abs()
