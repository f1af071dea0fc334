"""What can be read off an autograd node, and the word for what cannot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

from torch import Tensor
from torch.autograd.graph import Node

# One for each input of a node, None for zero; a rule is called with at least one given.
Tangents: TypeAlias = Sequence[Tensor | None]

# From a node and the tangents of its inputs to the tangent of its output. What a rule does not
# cover it raises `NotCovered` for; every other error is a fault.
Rule: TypeAlias = Callable[[Node, Tangents], Tensor]

# What torch keeps beside tensors: numbers, flags, sequences of them, None.
Saved: TypeAlias = Any


class NotCovered(NotImplementedError):
    """Forward mode along the recorded graph does not cover what the graph holds.

    Parameters
    ----------
    what : str
        What is not covered, in words that complete "does not cover ...".
    """

    def __init__(self, what: str) -> None:
        super().__init__(what)

    def __str__(self) -> str:
        return (
            f"forward mode along the recorded graph does not cover {self.args[0]}; "
            'dual numbers (method="forward") need no graph.'
        )


def attribute(of: object, name: str) -> Saved:
    """Return an attribute whose name is torch's own affair, and may be another in another version.

    That torch lacks it says that a rule is not for this torch. No other error says so.

    Returns
    -------
    object
        Its value.

    Raises
    ------
    NotCovered
        If this torch has nothing of that name.
    """
    try:
        return getattr(of, name)
    except AttributeError:
        described = of.name() if isinstance(of, Node) else type(of).__name__
        raise NotCovered(f"{described} without the attribute `{name}`") from None


def saved(node: Node, name: str) -> Saved:
    """Return what the node keeps beside tensors, such as a flag or an axis."""
    return attribute(node, f"_saved_{name}")


def kept(node: Node, name: str) -> Tensor:
    """Return a tensor that the node keeps for its backward.

    One behind a hook is refused before it is asked for: the hook of a checkpoint would run a part
    of the module again for it, once for every tensor.

    Returns
    -------
    Tensor
        As the forward pass kept it.

    Raises
    ------
    NotCovered
        If it lies behind a hook, or this torch calls it otherwise.
    """
    if attribute(attribute(node, f"_raw_saved_{name}"), "unpack_hook") is not None:
        raise NotCovered(f"`{name}` of {node.name()}, kept by saved-tensor hooks")
    tensor: Tensor = attribute(node, f"_saved_{name}")
    return tensor


def shape(node: Node) -> tuple[int, ...]:
    """Return the shape of what the node computed: the "input" is that of its backward."""
    return tuple(attribute(node, "_input_metadata")[0].shape)


def signed(number: int) -> int:
    """Undo that torch hands out its 64-bit integers without their sign: -1 as 2^64 - 1."""
    return number - 2**64 if number >= 2**63 else number


def signed_all(numbers: Sequence[int]) -> list[int]:
    """Undo the same for several."""
    return [signed(number) for number in numbers]


def backward(node: Node, cotangent: Tensor) -> Tensor:
    """Run the node's own backward and return the gradient by its first input.

    Called like this a node computes and no more: hooks and accumulation are the engine's.

    Returns
    -------
    Tensor
        Of the shape of that input.
    """
    gradients = cast("Callable[[Tensor], Tensor | tuple[Tensor, ...]]", node)(cotangent)
    return gradients[0] if isinstance(gradients, tuple) else gradients


def total(node: Node, parts: Sequence[Tensor]) -> Tensor:
    """Add the parts up, spread over the shape of the output where inputs were broadcast."""
    first, *others = parts
    for other in others:
        first = first + other
    return first.expand(shape(node))
