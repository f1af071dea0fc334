"""What each kind of autograd node does to a tangent, from what it keeps for its backward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

# Of torch's node and the tangents of its inputs, None for zero, at least one of which is given.
# What a rule does not cover it raises an error for, of any kind.
Rule = Callable[[Any, Sequence[Any]], Tensor]


def _kept(node: Any, name: str) -> Any:
    """Return a tensor that the node keeps, refusing what hooks would have to make anew.

    Checkpoints run a part of the module again for each tensor that is asked for.
    """
    if getattr(node, f"_raw_saved_{name}").unpack_hook is not None:
        raise NotImplementedError("saved tensors with hooks")
    return getattr(node, f"_saved_{name}")


def _shape(node: Any) -> tuple[int, ...]:
    """Return the shape of what the node computed."""
    return tuple(node._input_metadata[0].shape)


def _signed(number: Any) -> Any:
    # torch hands out negative numbers as unsigned ones.
    return number - 2**64 if number is not None and number >= 2**63 else number


def _signed_all(numbers: Sequence[int]) -> list[int]:
    return [_signed(number) for number in numbers]


def _only(of: Callable[[Any, Tensor], Tensor]) -> Rule:
    """Return the rule of a node with one input that is differentiated."""
    return lambda node, tangents: of(node, next(t for t in tangents if t is not None))


def _sum(node: Any, parts: Sequence[Tensor]) -> Tensor:
    first, *others = parts
    for other in others:
        first = first + other
    return first.expand(_shape(node))


# Products.


def _plus_product(total: Tensor | None, left: Tensor, right: Tensor) -> Tensor:
    return torch.mm(left, right) if total is None else torch.addmm(total, left, right)


def _matrix_product(node: Any, tangents: Sequence[Any]) -> Any:
    left, right = tangents
    total = None if left is None else torch.mm(left, _kept(node, "mat2"))
    return total if right is None else _plus_product(total, _kept(node, "self"), right)


def _linear(node: Any, tangents: Sequence[Any]) -> Any:
    total, left, right = tangents
    if node._saved_alpha != 1 or node._saved_beta != 1:
        raise NotImplementedError
    if left is None and right is None:
        return total.expand(_shape(node))
    if right is not None:
        total = _plus_product(total, _kept(node, "mat1"), right)
    return total if left is None else _plus_product(total, left, _kept(node, "mat2"))


def _convolution(node: Any, tangents: Sequence[Any]) -> Tensor:
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
        parts.append(torch.convolution(_kept(node, "input"), weight, bias, *how))
    elif bias is not None:
        parts.append(bias.view(-1, *[1] * (len(_shape(node)) - 2)))
    if images is not None:
        parts.append(torch.convolution(images, _kept(node, "weight"), None, *how))
    return _sum(node, parts)


def _multiply(node: Any, tangents: Sequence[Any]) -> Tensor:
    names = "other", "self"
    pairs = zip(tangents, names, strict=True)
    return _sum(node, [t * _kept(node, name) for t, name in pairs if t is not None])


def _divide(node: Any, tangents: Sequence[Any]) -> Tensor:
    above, below = tangents
    if below is not None:
        raise NotImplementedError
    return _sum(node, [above / _kept(node, "other")])


def _embedding(node: Any, weight: Tensor) -> Tensor:
    return F.embedding(_kept(node, "indices"), weight)


# Normalisation.


def _batch_norm(node: Any, tangents: Sequence[Any]) -> Tensor:
    images, weight, bias = tangents
    across = (-1, *[1] * (len(_shape(node)) - 2))
    inputs = _kept(node, "input")
    parts = []
    if images is not None:
        # Within a channel the derivative by the input is symmetric: backward gives it too.
        parts.append(node(images)[0])
    if weight is not None:
        if node._saved_training:
            centre, scale = node._saved_result1, node._saved_result2
        else:
            centre = node._saved_running_mean
            scale = (node._saved_running_var + node._saved_eps).rsqrt()
        slope = scale * weight
        shift = -centre * slope if bias is None else bias - centre * slope
        # Both in one pass over memory, which is what this costs.
        parts.append(torch.addcmul(shift.view(across), inputs, slope.view(across)))
    elif bias is not None:
        parts.append(bias.view(across))
    return _sum(node, parts)


# Sums.


def _combined(sign: int) -> Rule:
    """Return the rule of a sum, or of a difference, the second of whose terms has a factor."""

    def rule(node: Any, tangents: Sequence[Any]) -> Tensor:
        left, right = tangents
        factor = sign * node._saved_alpha
        if right is not None and factor != 1:
            right = factor * right
        return _sum(node, [t for t in (left, right) if t is not None])

    return rule


def _mean(node: Any, tangent: Tensor) -> Tensor:
    return tangent.mean(_signed_all(node._saved_dim), node._saved_keepdim)


def _total(node: Any, tangent: Tensor) -> Tensor:
    return tangent.sum(_signed_all(node._saved_dim), node._saved_keepdim)


# Places.


def _slice(node: Any, tangent: Tensor) -> Any:
    numbers = (node._saved_dim, node._saved_start, node._saved_end, node._saved_step)
    return torch.ops.aten.slice(tangent, *map(_signed, numbers))


def _pad(node: Any, tangent: Tensor) -> Tensor:
    return F.pad(tangent, _signed_all(node._saved_pad))


def _concatenate(node: Any, tangents: Sequence[Any]) -> Tensor:
    return torch.cat(list(tangents), _signed(node._saved_dim))  # raises where one is zero


def _max_pool(node: Any, tangent: Tensor) -> Tensor:
    places = _kept(node, "result1")
    return tangent.flatten(-2).gather(-1, places.flatten(-2)).view(places.shape)


def _average_pool(node: Any, tangent: Tensor) -> Tensor:
    return F.avg_pool2d(
        tangent,
        node._saved_kernel_size,
        node._saved_stride,
        node._saved_padding,
        node._saved_ceil_mode,
        node._saved_count_include_pad,
        node._saved_divisor_override,
    )


def _adaptive_pool(node: Any, tangent: Tensor) -> Tensor:
    height, width = _shape(node)[-2:]
    return F.adaptive_avg_pool2d(tangent, (height, width))


def _entrywise(name: str) -> Rule:
    """Return the rule where each entry depends on one entry of the input: backward gives it too."""

    def rule(node: Any, tangents: Sequence[Any]) -> Any:
        _kept(node, name)
        return node(tangents[0])

    return rule


_ENTRYWISE = {
    "ReluBackward0": "result",
    "LeakyReluBackward0": "self",
    "LeakyReluBackward1": "result",
    "EluBackward0": "self",
    "EluBackward1": "result",
    "GeluBackward0": "self",
    "SiluBackward0": "self",
    "HardtanhBackward0": "self",
    "HardswishBackward0": "self",
    "MishBackward0": "self",
    "SoftplusBackward0": "self",
    "TanhBackward0": "result",
    "SigmoidBackward0": "result",
    "NativeDropoutBackward0": "result1",
}

_RESHAPING = (
    "ViewBackward0",
    "UnsafeViewBackward0",
    "ReshapeAliasBackward0",
    "UnsqueezeBackward0",
    "SqueezeBackward0",
    "SqueezeBackward1",
)

RULES: dict[str, Rule] = {
    **{name: _entrywise(kept) for name, kept in _ENTRYWISE.items()},
    **dict.fromkeys(_RESHAPING, _only(lambda node, t: t.reshape(_shape(node)))),
    "AddmmBackward0": _linear,
    "MmBackward0": _matrix_product,
    "ConvolutionBackward0": _convolution,
    "MulBackward0": _multiply,
    "DivBackward0": _divide,
    "EmbeddingBackward0": _only(_embedding),
    "NativeBatchNormBackward0": _batch_norm,
    "AddBackward0": _combined(1),
    "SubBackward0": _combined(-1),
    "RsubBackward1": _only(lambda node, t: -node._saved_alpha * t),
    "NegBackward0": _only(lambda node, t: -t),
    "MeanBackward1": _only(_mean),
    "SumBackward1": _only(_total),
    "TBackward0": _only(lambda node, t: t.t()),
    "PermuteBackward0": _only(lambda node, t: t.permute(_signed_all(node._saved_dims))),
    "CloneBackward0": _only(lambda node, t: t),
    "SliceBackward0": _only(_slice),
    "ConstantPadNdBackward0": _only(_pad),
    "CatBackward0": _concatenate,
    "MaxPool2DWithIndicesBackward0": _only(_max_pool),
    "AvgPool2DBackward0": _only(_average_pool),
    "AdaptiveAvgPool2DBackward0": _only(_adaptive_pool),
}
