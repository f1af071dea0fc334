"""Forward mode along the graph that a pass has recorded, without another pass.

The dual numbers of torch compute a pass anew to carry a tangent through it. Where its logits are
at hand with their graph, all that a tangent needs is recorded there: what a node keeps for its
backward is what its derivative needs. Graphs with nodes that are not known here are left to dual
numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from skgdw.functional._recorded._rules import RULES, Rule


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
        The directional derivative; None where the graph holds an operation that is not known, or
        does not say how the logits depend on all of the parameters.
    """
    if not _has_one_graph(logits, params):
        return None
    starts = {id(params[name]): along for name, along in tangent.items()}
    known: dict[Any, Tensor] = {
        value.grad_fn: tangent[name] for name, value in params.items() if not value.is_leaf
    }
    plan = _plan(logits.grad_fn, known, starts)
    if plan is None:
        return None
    left = Counter(f for _, inputs, _ in plan for f in inputs)
    with torch.no_grad():
        for node, inputs, rule in plan:
            try:
                known[node] = rule(node, [known.get(f) for f in inputs])
            except Exception:  # of any kind: dual numbers do without, or say better what is wrong
                return None
            for f in inputs:
                left[f] -= 1
                if not left[f]:
                    known.pop(f, None)  # its memory is wanted again
    derivative = known[logits.grad_fn].contiguous()
    return derivative if derivative.dtype is logits.dtype else None  # else autocast cut it short


def _has_one_graph(logits: Tensor, params: Mapping[str, Tensor]) -> bool:
    """Tell whether all parameters, each once, may be in a graph of one kind of real numbers."""
    return (
        logits.output_nr == 0
        and len({id(value) for value in params.values()}) == len(params)
        and logits.is_floating_point()
        and all(
            value.requires_grad and value.output_nr == 0 and value.dtype is logits.dtype
            for value in params.values()
        )
    )


def _plan(
    last: Any, known: dict[Any, Tensor], starts: Mapping[int, Tensor]
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
            rule = RULES.get(node.name())
            if rule is None or any(place for f, place in before if f in reached):
                return None
            plan.append((node, [f if f in reached else None for f, _ in before], rule))
    return plan if plan and plan[-1][0] is last else None
