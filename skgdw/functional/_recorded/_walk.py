"""Forward mode along the graph that a pass has recorded, without another pass.

The dual numbers of torch compute a pass anew to carry a tangent through it. Where its logits are
at hand with their graph, all that a tangent needs is recorded there: what a node keeps for its
backward is what its derivative needs.

A graph points from the logits back to the parameters; tangents go the other way. So the graph is
walked twice: once backwards, to find which nodes a tangent passes and in what order, and once
along that plan, to compute.

Every step of training comes through here, with a network whose operations may take no longer than a
few lines of Python: the loops are plain ones, and nothing is asked for twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias, cast

import torch
from torch import Tensor

from skgdw.functional._not_covered import NotCovered
from skgdw.functional._recorded._nodes import GraphNode, Rule, missing_attribute
from skgdw.functional._recorded._rules import RULES


def recorded_derivative(
    logits: Tensor, params: Mapping[str, Tensor], tangent: Mapping[str, Tensor]
) -> Tensor:
    """Push a direction in parameter space through the graph of the logits: J u.

    Parameters
    ----------
    logits : Tensor of shape (n, c)
        With their graph, which is kept.
    params, tangent : mapping of str to Tensor
        The parameters that the graph begins with, and the direction u.

    Returns
    -------
    Tensor of shape (n, c)
        The directional derivative, without a graph.

    Raises
    ------
    NotCovered
        If the graph holds what no rule covers, or does not say how the logits depend on all of the
        parameters. Any other error is a fault, of a rule or of a graph that is gone or whose
        tensors were changed.
    """
    offences = list(_offences(logits, params, tangent))
    if logits.grad_fn is None or offences:
        raise NotCovered("; ".join(offences or ["logits without a graph"]))
    last = cast("GraphNode", logits.grad_fn)
    # A leaf is told by its tensor; a parameter that is a result itself, by the node it came from.
    starts = {id(params[name]): along for name, along in tangent.items()}
    known = {
        cast("GraphNode", value.grad_fn): tangent[name]
        for name, value in params.items()
        if value.grad_fn is not None
    }
    plan = _plan(last, known, starts)
    with torch.no_grad():
        _push(plan, known, logits.dtype)
    return known[last].contiguous()


def _offences(
    logits: Tensor, params: Mapping[str, Tensor], tangent: Mapping[str, Tensor]
) -> Iterator[str]:
    """Yield why the graph cannot say how the logits depend on each parameter."""
    if not logits.is_floating_point():
        yield f"logits of {logits.dtype}"
    if logits.output_nr:
        yield f"logits that are output {logits.output_nr} of an operation"
    # The graph adds up over the names of a tensor, whose directions may differ.
    if len({id(value) for value in params.values()}) < len(params):
        yield "one tensor under several names"
    if constant := [name for name, value in params.items() if not value.requires_grad]:
        yield f"parameters that require no gradient: {constant}"
    if further := [name for name, value in params.items() if value.output_nr]:
        yield f"parameters that are further outputs of an operation: {further}"
    for kind, values in (("parameters", params), ("directions", tangent)):
        if mixed := [name for name, value in values.items() if value.dtype is not logits.dtype]:
            yield f"mixed dtypes: logits of {logits.dtype}, but other {kind}: {mixed}"
    if sparse := [name for name, value in tangent.items() if value.layout is not torch.strided]:
        yield f"sparse directions: {sparse}"


# A node that a tangent passes through, its inputs, None where no tangent reaches, and its rule.
_Step: TypeAlias = tuple[GraphNode, list[GraphNode | None], Rule]

# What leads to a node, as torch gives it: nodes, each with the number of its output that does.
_Before: TypeAlias = tuple[tuple[GraphNode | None, int], ...]


def _plan(
    last: GraphNode, known: dict[GraphNode, Tensor], starts: Mapping[int, Tensor]
) -> list[_Step]:
    """Find the nodes that tangents pass through, each after its inputs.

    Parameters
    ----------
    last : GraphNode
        That of the logits.
    known : dict of GraphNode to Tensor
        Tangents where the graph goes on before the parameters; gets those of the leaves.
    starts : mapping of int to Tensor
        Tangents by the identity of the parameter.

    Returns
    -------
    list of _Step
        What to do at each node, in order.

    Raises
    ------
    NotCovered
        If there is no rule for one of the nodes.
    """
    plan: list[_Step] = []
    offences: list[str] = []
    reached = set(known)
    for node, before in _inputs_first(last, reached):
        if not before:
            # Of leaves only those that gather gradients have a tensor.
            along = starts.get(id(getattr(node, "variable", None)))
            if along is not None:
                known[node] = along
                reached.add(node)
            continue
        inputs: list[GraphNode | None] = []
        for f, place in before:
            if f in reached:
                inputs.append(f)
                if place:
                    # A tangent is known by its node, which is enough for nodes with one output.
                    offences.append(f"{f.name()} by an output other than its first")
            else:
                inputs.append(None)
        if any(inputs):
            reached.add(node)
            rule = RULES.get(node.name())
            if rule is None:
                offences.append(node.name())
            else:
                plan.append((node, inputs, rule))
    if offences:
        raise NotCovered(", ".join(dict.fromkeys(offences)))
    if not plan or plan[-1][0] is not last:
        raise NotCovered("logits that no operation derives from the parameters")
    return plan


def _inputs_first(last: GraphNode, known: set[GraphNode]) -> list[tuple[GraphNode, _Before]]:
    """List all nodes that lead to the last, each after what leads to it.

    A depth-first search with a stack of its own, since a deep network is deeper than Python's: a
    node is put back below its inputs when it is met, and listed when they have been. Inputs in
    front of the nodes known to begin with are left out.

    Returns
    -------
    list of (GraphNode, _Before)
        Each node once, the last at the end, and what leads to it.
    """
    found: list[tuple[GraphNode, _Before]] = []
    # Also keeps Python's objects of the nodes alive: torch makes a new one, equal to none before,
    # for a node that has lost its own, and the search would go through the node again.
    met = set(known)
    # A node to be met stands as torch gives it, with a number; one that was, with what leads to it.
    stack: list[tuple[GraphNode | None, int | _Before]] = [(last, 0)]
    while stack:
        node, before = stack.pop()
        if node is None:
            continue
        if isinstance(before, tuple):
            found.append((node, before))
        elif node not in met:
            met.add(node)
            before = node.next_functions
            stack.append((node, before))
            stack += before
    return found


def _push(plan: Sequence[_Step], known: dict[GraphNode, Tensor], dtype: torch.dtype) -> None:
    """Take the steps of the plan, and leave the tangent of the last in `known`."""
    # A tangent is as large as the activations it belongs to. Each is let go after its last use, so
    # that at no time more are held than the widest place of the graph needs.
    last_uses = {f: number for number, (_, inputs, _) in enumerate(plan) for f in inputs}
    try:
        for number, (node, inputs, rule) in enumerate(plan):
            along = rule(node, [None if f is None else known[f] for f in inputs])
            if along.dtype is not dtype:
                # A kept tensor of another dtype, or autocast around this: a product is neither.
                raise NotCovered(f"mixed dtypes: {node.name()} made {along.dtype} of {dtype}")
            known[node] = along
            for f in inputs:
                if f is not None and last_uses[f] == number:
                    known.pop(f, None)  # a node may be both inputs of one
    except AttributeError as error:
        missing = missing_attribute(error)
        if missing is None:
            raise
        raise NotCovered(missing) from error
