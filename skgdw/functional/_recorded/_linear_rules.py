"""Rules of operations that are linear in all their inputs: sums, and what moves entries about.

The derivative of a linear operation is the operation itself, done to the tangents.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd.graph import Node
from torch.nn import functional as F

from skgdw.functional._recorded._nodes import (
    NotCovered,
    Rule,
    Tangents,
    kept,
    saved,
    shape,
    signed,
    signed_all,
    total,
)


def only(of: Callable[[Node, Tensor], Tensor]) -> Rule:
    """Return the rule of a node that has one differentiable input."""

    def rule(node: Node, tangents: Tangents) -> Tensor:
        return of(node, next(t for t in tangents if t is not None))

    return rule


# Sums.


def _combined(sign: int) -> Rule:
    """Return the rule of left + sign * alpha * right."""

    def rule(node: Node, tangents: Tangents) -> Tensor:
        left, right = tangents
        factor = sign * saved(node, "alpha")
        if right is not None and factor != 1:
            right = factor * right
        return total(node, [t for t in (left, right) if t is not None])

    return rule


def _subtracted(node: Node, tangent: Tensor) -> Tensor:
    alpha: float = saved(node, "alpha")
    return -alpha * tangent  # of number - alpha * tensor


def _axes(node: Node) -> list[int] | None:
    axes = saved(node, "dim")
    return None if axes is None else signed_all(axes)


def _mean(node: Node, tangent: Tensor) -> Tensor:
    return tangent.mean(_axes(node), saved(node, "keepdim"))


def _sum(node: Node, tangent: Tensor) -> Tensor:
    return tangent.sum(_axes(node), saved(node, "keepdim"))


# Places.


def _reshape(node: Node, tangent: Tensor) -> Tensor:
    return tangent.reshape(shape(node))


def _permute(node: Node, tangent: Tensor) -> Tensor:
    return tangent.permute(signed_all(saved(node, "dims")))


def _slice(node: Node, tangent: Tensor) -> Tensor:
    # As aten's function took them, open ends and all, which Python's slicing would need rewritten.
    names = "dim", "start", "end", "step"
    numbers = [saved(node, name) for name in names]
    part: Tensor = torch.ops.aten.slice(
        tangent, *[None if number is None else signed(number) for number in numbers]
    )
    return part


def _pad(node: Node, tangent: Tensor) -> Tensor:
    # With zeros, whatever the pass padded with: a constant has no derivative.
    return F.pad(tangent, signed_all(saved(node, "pad")))


def _concatenate(node: Node, tangents: Tangents) -> Tensor:
    given = [t for t in tangents if t is not None]
    if len(given) < len(tangents):
        # Zeros of what shape is not recorded: several inputs could share the rest in any way.
        raise NotCovered(f"{node.name()} of what depends on the parameters and what does not")
    return torch.cat(given, signed(saved(node, "dim")))


# Pooling.


def _max_pool(node: Node, tangent: Tensor) -> Tensor:
    # The largest entry is chosen once; small changes of the input move it, not the choice.
    places = kept(node, "result1")
    return tangent.flatten(-2).gather(-1, places.flatten(-2)).view(places.shape)


def _average_pool(node: Node, tangent: Tensor) -> Tensor:
    names = (
        "kernel_size",
        "stride",
        "padding",
        "ceil_mode",
        "count_include_pad",
        "divisor_override",
    )
    return F.avg_pool2d(tangent, *[saved(node, name) for name in names])


def _adaptive_pool(node: Node, tangent: Tensor) -> Tensor:
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
