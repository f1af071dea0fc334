"""What can be read off an autograd node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

from torch import Tensor
from torch.autograd.graph import Node

from skgdw.functional._not_covered import NotCovered


class GraphNode(Protocol):
    """An autograd node with what torch's own type hints leave out: what it keeps, and its call.

    The names `_saved_*`, `_raw_saved_*` and `_input_metadata` are torch's own affair, and may be
    others in another version. Rules read them as they are, for a step of training cannot spare the
    time to ask for each; `missing_attribute` tells afterwards what was not there.
    """

    @property
    def next_functions(self) -> tuple[tuple[GraphNode | None, int], ...]:
        """The nodes that lead here, each with the number of its output that does."""

    def name(self) -> str:
        """Return the name that the rules go by."""

    def __call__(self, *cotangents: Tensor | None) -> Tensor | tuple[Tensor, ...]:
        """Run the node's own backward."""

    def __getattr__(self, name: str, /) -> Any:
        """Return what the node keeps: a tensor, a number, a flag, a sequence of them, None."""


# One for each input of a node, None for zero; a rule is called with at least one given.
Tangents: TypeAlias = Sequence[Tensor | None]

# From a node and the tangents of its inputs to the tangent of its output. What a rule does not
# cover it raises `NotCovered` for; every other error is a fault.
Rule: TypeAlias = Callable[[GraphNode, Tangents], Tensor]


def missing_attribute(error: AttributeError) -> str | None:
    """Return what torch lacks of that which rules read, where that is what the error is about.

    It says that a rule is not for this torch. No other error says so, and of errors of this type
    none about anything but nodes and the tensors that they keep.

    Returns
    -------
    str or None
        What is missing and where, for `NotCovered`; None where the error is a fault.
    """
    of, name = error.obj, error.name or ""
    if isinstance(of, Node) and name.startswith(("_saved_", "_raw_saved_", "_input_metadata")):
        return f"{of.name()} without the attribute `{name}`"
    if name == "unpack_hook":
        return f"{type(of).__name__} without the attribute `{name}`"
    return None


def refuse_hook(node: GraphNode, name: str) -> None:
    """Refuse a tensor behind a hook, before it is asked for.

    The hook of a checkpoint would run a part of the module again for it, once for every tensor.

    Raises
    ------
    NotCovered
        If the node keeps the tensor behind a hook.
    """
    if getattr(node, f"_raw_saved_{name}").unpack_hook is not None:
        raise NotCovered(f"`{name}` of {node.name()}, kept by saved-tensor hooks")


def kept(node: GraphNode, name: str) -> Tensor:
    """Return a tensor that the node keeps for its backward, unless it lies behind a hook.

    Returns
    -------
    Tensor
        As the forward pass kept it.
    """
    refuse_hook(node, name)
    tensor: Tensor = getattr(node, f"_saved_{name}")
    return tensor


def shape(node: GraphNode) -> tuple[int, ...]:
    """Return the shape of what the node computed: the "input" is that of its backward."""
    return tuple(node._input_metadata[0].shape)


def signed(number: int) -> int:
    """Undo that torch hands out its 64-bit integers without their sign: -1 as 2^64 - 1."""
    return number - 2**64 if number >= 2**63 else number


def signed_all(numbers: Sequence[int]) -> list[int]:
    """Undo the same for several."""
    return [signed(number) for number in numbers]


def backward(node: GraphNode, cotangent: Tensor | None) -> Tensor:
    """Run the node's own backward and return the gradient by its first input.

    Called like this a node computes and no more: hooks and accumulation are the engine's.

    Returns
    -------
    Tensor
        Of the shape of that input.
    """
    gradients = node(cotangent)
    return gradients[0] if isinstance(gradients, tuple) else gradients


def total(node: GraphNode, parts: Sequence[Tensor]) -> Tensor:
    """Add the parts up, spread over the shape of the output where inputs were broadcast."""
    first, *others = parts
    for other in others:
        first = first + other
    return spread(node, first)


def spread(node: GraphNode, part: Tensor) -> Tensor:
    """Repeat a part over the shape of the output, as broadcasting does."""
    whole = shape(node)
    # Mostly it has that shape: to see that costs less than a view.
    return part if part.shape == whole else part.expand(whole)
