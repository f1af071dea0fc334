"""Rules of operations that multiply two inputs, both of which may carry a tangent.

By the product rule each given tangent contributes the operation with it in its input's place.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor
from torch.autograd.graph import Node
from torch.nn import functional as F

from skgdw.functional._recorded._nodes import (
    NotCovered,
    Rule,
    Tangents,
    backward,
    kept,
    saved,
    shape,
    total,
)


def _plus_product(before: Tensor | None, left: Tensor, right: Tensor) -> Tensor:
    # One call for product and sum spares a pass over memory.
    return torch.mm(left, right) if before is None else torch.addmm(before, left, right)


def _matrix_product(node: Node, tangents: Tangents) -> Tensor:
    left, right = tangents
    found = None if left is None else torch.mm(left, kept(node, "mat2"))
    if right is not None:
        found = _plus_product(found, kept(node, "self"), right)
    return cast("Tensor", found)  # one of the two was given


def _affine(node: Node, tangents: Tangents) -> Tensor:
    found, left, right = tangents
    if saved(node, "alpha") != 1 or saved(node, "beta") != 1:
        raise NotCovered(f"{node.name()} with an `alpha` or `beta` other than 1")
    if right is not None:
        found = _plus_product(found, kept(node, "mat1"), right)
    if left is not None:
        found = _plus_product(found, left, kept(node, "mat2"))
    return cast("Tensor", found).expand(shape(node))  # the bias alone is one row


def _convolution(node: Node, tangents: Tangents) -> Tensor:
    images, weight, bias = tangents
    names = "stride", "padding", "dilation", "transposed", "output_padding", "groups"
    how = [saved(node, name) for name in names]
    parts = []
    if weight is not None:
        # The bias goes along for nothing.
        parts.append(torch.convolution(kept(node, "input"), weight, bias, *how))
    elif bias is not None:
        parts.append(_across(node, bias))
    if images is not None:
        parts.append(torch.convolution(images, kept(node, "weight"), None, *how))
    return total(node, parts)


def _across(node: Node, channels: Tensor) -> Tensor:
    """Shape one number per channel so that it spreads over (n, channels, ...)."""
    return channels.view(-1, *[1] * (len(shape(node)) - 2))


def _multiply(node: Node, tangents: Tangents) -> Tensor:
    # Each factor's tangent meets the other factor; a node keeps those that it needs for that.
    pairs = zip(tangents, ("other", "self"), strict=True)
    return total(node, [t * kept(node, name) for t, name in pairs if t is not None])


def _divide(node: Node, tangents: Tangents) -> Tensor:
    above, below = tangents
    if above is None or below is not None:
        raise NotCovered(f"{node.name()} with a divisor that carries a tangent")
    return total(node, [above / kept(node, "other")])


def _embedding(node: Node, tangents: Tangents) -> Tensor:
    (table,) = tangents
    return F.embedding(kept(node, "indices"), cast("Tensor", table))


def _batch_norm(node: Node, tangents: Tangents) -> Tensor:
    images, weight, bias = tangents
    inputs = kept(node, "input")
    parts = []
    if images is not None:
        # With xhat = (x - mean) / sd over the m entries of a channel, d y / d x is
        # weight / sd * (I - 1 1'/m - xhat xhat'/m): symmetric, so that backward's product with
        # the transpose is the product wanted here. By running averages it is diagonal.
        parts.append(backward(node, images))
    if weight is not None:
        # xhat * weight + bias as inputs * slope + shift: one pass over memory, which is the cost.
        centre, scale = _statistics(node)
        slope = scale * weight
        shift = -centre * slope if bias is None else bias - centre * slope
        parts.append(torch.addcmul(_across(node, shift), inputs, _across(node, slope)))
    elif bias is not None:
        parts.append(_across(node, bias))
    return total(node, parts)


def _statistics(node: Node) -> tuple[Tensor, Tensor]:
    """Return mean and 1 / standard deviation of each channel, as the pass took them."""
    if saved(node, "training"):
        return kept(node, "result1"), kept(node, "result2")
    variance = kept(node, "running_var") + saved(node, "eps")
    return kept(node, "running_mean"), variance.rsqrt()


PRODUCT_RULES: dict[str, Rule] = {
    "AddmmBackward0": _affine,
    "MmBackward0": _matrix_product,
    "ConvolutionBackward0": _convolution,
    "MulBackward0": _multiply,
    "DivBackward0": _divide,
    "EmbeddingBackward0": _embedding,
    "NativeBatchNormBackward0": _batch_norm,
}
