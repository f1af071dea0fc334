"""Rules of operations that are linear in all their inputs: sums, and what moves entries about.

The derivative of a linear operation is the operation itself, done to the tangents.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from skgdw.functional._not_covered import NotCovered
from skgdw.functional._recorded._nodes import (
    GraphNode,
    Rule,
    Tangents,
    kept,
    shape,
    signed,
    signed_all,
    total,
)


def only(of: Callable[[GraphNode, Tensor], Tensor]) -> Rule:
    """Return the rule of a node that has one differentiable input."""

    def rule(node: GraphNode, tangents: Tangents) -> Tensor:
        (tangent,) = tangents
        return of(node, cast("Tensor", tangent))

    return rule


# Sums.


def _combined(sign: int) -> Rule:
    """Return the rule of left + sign * alpha * right."""

    def rule(node: GraphNode, tangents: Tangents) -> Tensor:
        left, right = tangents
        factor = sign * node._saved_alpha
        if right is not None and factor != 1:
            right = factor * right
        return total(node, [t for t in (left, right) if t is not None])

    return rule


def _subtracted(node: GraphNode, tangent: Tensor) -> Tensor:
    alpha: float = node._saved_alpha
    return -alpha * tangent  # of number - alpha * tensor


def _axes(node: GraphNode) -> list[int] | None:
    axes = node._saved_dim
    return None if axes is None else signed_all(axes)


def _mean(node: GraphNode, tangent: Tensor) -> Tensor:
    return tangent.mean(_axes(node), node._saved_keepdim)


def _sum(node: GraphNode, tangent: Tensor) -> Tensor:
    return tangent.sum(_axes(node), node._saved_keepdim)


# Places.


def _reshape(node: GraphNode, tangent: Tensor) -> Tensor:
    return tangent.reshape(shape(node))


def _permute(node: GraphNode, tangent: Tensor) -> Tensor:
    return tangent.permute(signed_all(node._saved_dims))


def _slice(node: GraphNode, tangent: Tensor) -> Tensor:
    # As aten's function took them, open ends and all, which Python's slicing would need rewritten.
    numbers = (node._saved_dim, node._saved_start, node._saved_end, node._saved_step)
    part: Tensor = torch.ops.aten.slice(
        tangent, *[None if number is None else signed(number) for number in numbers]
    )
    return part


def _pad(node: GraphNode, tangent: Tensor) -> Tensor:
    # With zeros, whatever the pass padded with: a constant has no derivative.
    return F.pad(tangent, signed_all(node._saved_pad))


def _concatenate(node: GraphNode, tangents: Tangents) -> Tensor:
    given = [t for t in tangents if t is not None]
    if len(given) < len(tangents):
        # Zeros of what shape is not recorded: several inputs could share the rest in any way.
        raise NotCovered(f"{node.name()} of what depends on the parameters and what does not")
    return torch.cat(given, signed(node._saved_dim))


# Pooling.


def _max_pool(node: GraphNode, tangent: Tensor) -> Tensor:
    # The largest entry is chosen once; small changes of the input move it, not the choice.
    places = kept(node, "result1")
    return tangent.flatten(-2).gather(-1, places.flatten(-2)).view(places.shape)


def _average_pool(node: GraphNode, tangent: Tensor) -> Tensor:
    return F.avg_pool2d(
        tangent,
        node._saved_kernel_size,
        node._saved_stride,
        node._saved_padding,
        node._saved_ceil_mode,
        node._saved_count_include_pad,
        node._saved_divisor_override,
    )


def _adaptive_pool(node: GraphNode, tangent: Tensor) -> Tensor:
    height, width = shape(node)[-2:]
    return F.adaptive_avg_pool2d(tangent, (height, width))


LINEAR_RULES: dict[str, Rule] = {
    "AddBackward0": _combined(1),
    "SubBackward0": _combined(-1),
    "RsubBackward1": only(_subtracted),
    "NegBackward0": only(lambda node, t: -t),
    "MeanBackward1": only(_mean),
    "SumBackward1": only(_sum),
    "ViewBackward0": only(_reshape),
    "UnsafeViewBackward0": only(_reshape),
    "ReshapeAliasBackward0": only(_reshape),
    "UnsqueezeBackward0": only(_reshape),
    "SqueezeBackward0": only(_reshape),
    "SqueezeBackward1": only(_reshape),
    "TBackward0": only(lambda node, t: t.t()),
    "PermuteBackward0": only(_permute),
    "CloneBackward0": only(lambda node, t: t),
    "SliceBackward0": only(_slice),
    "ConstantPadNdBackward0": only(_pad),
    "CatBackward0": _concatenate,
    "MaxPool2DWithIndicesBackward0": only(_max_pool),
    "AvgPool2DBackward0": only(_average_pool),
    "AdaptiveAvgPool2DBackward0": only(_adaptive_pool),
}
