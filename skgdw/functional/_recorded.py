"""Forward mode along the graph that a pass has recorded, without another pass.

The dual numbers of torch compute a pass anew to carry a tangent through it. Where its logits are
at hand with their graph, all that a tangent needs is recorded there: what a node keeps for its
backward is what its derivative needs. Graphs with nodes that are not known here are left to dual
numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Tangent = Tensor | None  # None for zero, which most nodes need not compute
# Of torch's node and its inputs' tangents; NotImplemented where it does not cover the case.
Rule = Callable[[Any, Sequence[Any]], Any]


def recorded_derivative(
    logits: Tensor, params: Mapping[str, Tensor], tangent: Mapping[str, Tensor]
) -> Tensor | None:
    """Push a direction in parameter space through the graph of the logits: J u.

    Parameters
    ----------
    logits : Tensor of shape (n, c)
        With their graph, which is kept.
    params, tangent : mapping of str to Tensor
        The parameters that the graph begins with, and the direction u.

    Returns
    -------
    Tensor of shape (n, c) or None
        The directional derivative; None where the graph holds an operation that is not known.
    """
    if logits.output_nr or any(value.output_nr for value in params.values()):
        return None
    starts = {id(params[name]): along for name, along in tangent.items()}
    known: dict[Any, Tangent] = {
        value.grad_fn: tangent[name] for name, value in params.items() if not value.is_leaf
    }
    plan = _plan(logits.grad_fn, known, starts)
    if plan is None:
        return None
    left = Counter(f for _, inputs, _ in plan for f in inputs)
    with torch.no_grad():
        for node, inputs, rule in plan:
            derivative = rule(node, [known.get(f) for f in inputs])
            if derivative is NotImplemented:
                return None
            known[node] = derivative
            for f in inputs:
                left[f] -= 1
                if not left[f]:
                    known.pop(f, None)  # its memory is wanted again
    return known[logits.grad_fn]


def _plan(
    last: Any, known: dict[Any, Tangent], starts: Mapping[int, Tensor]
) -> list[tuple[Any, list[Any], Rule]] | None:
    """Find the nodes that tangents pass through, each after its inputs.

    Parameters
    ----------
    last : node
    known : dict of node to Tensor
        Tangents where the graph goes on before the parameters; gets those of the leaves.
    starts : mapping of int to Tensor
        Tangents by the identity of the parameter.

    Returns
    -------
    list of (node, inputs, rule) or None
        Inputs without a tangent are None. The whole is None where a node has no rule, or takes
        another than the first output of one before it, or where no tangent reaches the last.
    """
    plan = []
    reached, met = set(known), set(known)
    ready: list[tuple[Any, Any]] = [(last, None)]
    while ready:
        node, before = ready.pop()
        if before is None:
            if node is not None and node not in met:
                met.add(node)
                before = node.next_functions
                leaf = 0 if before else id(getattr(node, "variable", None))
                if leaf in starts:
                    known[node] = starts[leaf]
                    reached.add(node)
                ready.append((node, before))
                ready += [(f, None) for f, _ in before]
        elif any(f in reached for f, _ in before):
            reached.add(node)
            rule = _RULES.get(node.name())
            if rule is None or any(place for f, place in before if f in reached):
                return None
            plan.append((node, [f if f in reached else None for f, _ in before], rule))
    return plan if plan and plan[-1][0] is last else None


def _shape(node: Any) -> tuple[int, ...]:
    """Return the shape of what the node computed."""
    return tuple(node._input_metadata[0].shape)


def _size(node: Any) -> tuple[int, int]:
    height, width = _shape(node)[-2:]
    return height, width


def _plus_product(total: Tangent, left: Tensor, right: Tensor) -> Tensor:
    return torch.mm(left, right) if total is None else torch.addmm(total, left, right)


def _matrix_product(node: Any, tangents: Sequence[Any]) -> Any:
    left, right = tangents
    total = None if left is None else torch.mm(left, node._saved_mat2)
    return total if right is None else _plus_product(total, node._saved_self, right)


def _linear(node: Any, tangents: Sequence[Any]) -> Any:
    total, left, right = tangents
    if node._saved_alpha != 1 or node._saved_beta != 1:
        return NotImplemented
    if left is None and right is None:
        return total.expand(_shape(node))
    if right is not None:
        total = _plus_product(total, node._saved_mat1, right)
    return total if left is None else _plus_product(total, left, node._saved_mat2)


def _convolution(node: Any, tangents: Sequence[Any]) -> Any:
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
        parts.append(torch.convolution(node._saved_input, weight, bias, *how))
    elif bias is not None:
        parts.append(bias.view(-1, *[1] * (len(_shape(node)) - 2)))
    if images is not None:
        parts.append(torch.convolution(images, node._saved_weight, None, *how))
    return _sum(node, parts)


def _batch_norm(node: Any, tangents: Sequence[Any]) -> Any:
    images, weight, bias = tangents
    across = (-1, *[1] * (len(_shape(node)) - 2))
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
        parts.append(torch.addcmul(shift.view(across), node._saved_input, slope.view(across)))
    elif bias is not None:
        parts.append(bias.view(across))
    return _sum(node, parts)


def _sum(node: Any, parts: Sequence[Tensor]) -> Tensor:
    first, *others = parts
    for other in others:
        first = first + other
    return first.expand(_shape(node))


def _add(node: Any, tangents: Sequence[Any]) -> Any:
    if node._saved_alpha != 1:
        return NotImplemented
    return _sum(node, [t for t in tangents if t is not None])


def _multiply(node: Any, tangents: Sequence[Any]) -> Any:
    others = node._saved_other, node._saved_self
    pairs = zip(tangents, others, strict=True)
    return _sum(node, [t * other for t, other in pairs if t is not None])


def _max_pool(node: Any, tangents: Sequence[Any]) -> Any:
    (images,) = tangents
    places = node._saved_result1
    return images.flatten(2).gather(2, places.flatten(2)).view_as(places)


def _signed(number: int) -> int:
    # torch hands out negative dimensions as unsigned numbers.
    return number - 2**64 if number >= 2**63 else number


def _mean(node: Any, tangent: Tensor) -> Tensor:
    return tangent.mean([_signed(dim) for dim in node._saved_dim], node._saved_keepdim)


def _slice(node: Any, tangent: Tensor) -> Any:
    numbers = (node._saved_dim, node._saved_start, node._saved_end, node._saved_step)
    return torch.ops.aten.slice(tangent, *map(_signed, numbers))


def _only(of: Callable[[Any, Tensor], Tensor]) -> Rule:
    """Return the rule of a node with one input that is differentiated."""
    return lambda node, tangents: of(node, next(t for t in tangents if t is not None))


def _reshaped(node: Any, tangent: Tensor) -> Tensor:
    return tangent.reshape(_shape(node))


# Each entry depends on one entry of the input, so that backward does what forward does.
_ENTRYWISE = (
    "Relu",
    "LeakyRelu",
    "Elu",
    "Gelu",
    "Silu",
    "Hardtanh",
    "Hardswish",
    "Mish",
    "Softplus",
    "Tanh",
    "Sigmoid",
    "NativeDropout",
)

_RESHAPING = ("View", "UnsafeView", "ReshapeAlias", "Unsqueeze", "Squeeze")

_RULES: dict[str, Rule] = {
    **{f"{name}Backward0": _only(lambda node, t: node(t)) for name in _ENTRYWISE},
    **{f"{name}Backward0": _only(_reshaped) for name in _RESHAPING},
    "SqueezeBackward1": _only(_reshaped),
    "AddmmBackward0": _linear,
    "MmBackward0": _matrix_product,
    "TBackward0": _only(lambda node, t: t.t()),
    "ConvolutionBackward0": _convolution,
    "NativeBatchNormBackward0": _batch_norm,
    "AddBackward0": _add,
    "MulBackward0": _multiply,
    "MeanBackward1": _only(_mean),
    "MaxPool2DWithIndicesBackward0": _max_pool,
    "AdaptiveAvgPool2DBackward0": _only(lambda node, t: F.adaptive_avg_pool2d(t, _size(node))),
    "SliceBackward0": _only(_slice),
    "ConstantPadNdBackward0": _only(lambda node, t: F.pad(t, node._saved_pad)),
}
