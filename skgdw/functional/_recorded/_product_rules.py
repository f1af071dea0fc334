"""Rules of operations that multiply two inputs, both of which may carry a tangent.

By the product rule each given tangent contributes the operation with it in its input's place.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from skgdw.functional._not_covered import NotCovered
from skgdw.functional._recorded._nodes import (
    GraphNode,
    Rule,
    Tangents,
    backward,
    kept,
    shape,
    spread,
    total,
)

# BatchNorm on a GPU; what it keeps has the same names but for the one of the constant.
_ON_CUDNN = "CudnnBatchNormBackward0"


def _plus_product(before: Tensor | None, left: Tensor, right: Tensor) -> Tensor:
    # One call for product and sum spares a pass over memory.
    return torch.mm(left, right) if before is None else torch.addmm(before, left, right)


def _matrix_product(node: GraphNode, tangents: Tangents) -> Tensor:
    left, right = tangents
    found = None if left is None else torch.mm(left, kept(node, "mat2"))
    if right is not None:
        found = _plus_product(found, kept(node, "self"), right)
    return cast("Tensor", found)  # one of the two was given


def _affine(node: GraphNode, tangents: Tangents) -> Tensor:
    found, left, right = tangents
    if node._saved_alpha != 1 or node._saved_beta != 1:
        raise NotCovered(f"{node.name()} with an `alpha` or `beta` other than 1")
    if right is not None:
        found = _plus_product(found, kept(node, "mat1"), right)
    if left is not None:
        return _plus_product(found, left, kept(node, "mat2"))
    return spread(node, cast("Tensor", found))  # the bias alone is one row


def _convolution(node: GraphNode, tangents: Tangents) -> Tensor:
    images, weight, bias = tangents
    how = (
        node._saved_stride,
        node._saved_padding,
        node._saved_dilation,
        node._saved_transposed,
        node._saved_output_padding,
        node._saved_groups,
    )
    parts = []
    if weight is not None:
        # The bias goes along for nothing.
        parts.append(torch.convolution(kept(node, "input"), weight, bias, *how))
    elif bias is not None:
        parts.append(_across(bias, len(shape(node))))
    if images is not None:
        parts.append(torch.convolution(images, kept(node, "weight"), None, *how))
    return total(node, parts)


def _across(channels: Tensor, n_axes: int) -> Tensor:
    """Shape one number per channel so that it spreads over (n, channels, ...)."""
    return channels.view(-1, *[1] * (n_axes - 2))


def _multiply(node: GraphNode, tangents: Tangents) -> Tensor:
    # Each factor's tangent meets the other factor; a node keeps those that it needs for that.
    pairs = zip(tangents, ("other", "self"), strict=True)
    return total(node, [t * kept(node, name) for t, name in pairs if t is not None])


def _divide(node: GraphNode, tangents: Tangents) -> Tensor:
    above, below = tangents
    if above is None or below is not None:
        raise NotCovered(f"{node.name()} with a divisor that carries a tangent")
    return total(node, [above / kept(node, "other")])


def _embedding(node: GraphNode, tangents: Tangents) -> Tensor:
    (table,) = tangents
    return F.embedding(kept(node, "indices"), cast("Tensor", table))


def _batch_norm(node: GraphNode, tangents: Tangents) -> Tensor:
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
        n_axes = inputs.dim()
        parts.append(torch.addcmul(_across(shift, n_axes), inputs, _across(slope, n_axes)))
    elif bias is not None:
        parts.append(_across(bias, inputs.dim()))
    return total(node, parts)


def _statistics(node: GraphNode) -> tuple[Tensor, Tensor]:
    """Return mean and 1 / standard deviation of each channel, as the pass took them."""
    if node._saved_training:
        return kept(node, "result1"), kept(node, "result2")
    eps = node._saved_epsilon if node.name() == _ON_CUDNN else node._saved_eps
    variance = kept(node, "running_var") + eps
    return kept(node, "running_mean"), variance.rsqrt()


PRODUCT_RULES: dict[str, Rule] = {
    "AddmmBackward0": _affine,
    "MmBackward0": _matrix_product,
    "ConvolutionBackward0": _convolution,
    "MulBackward0": _multiply,
    "DivBackward0": _divide,
    "EmbeddingBackward0": _embedding,
    "NativeBatchNormBackward0": _batch_norm,
    _ON_CUDNN: _batch_norm,
}
