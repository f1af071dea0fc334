"""What each kind of autograd node does to a tangent, from what it keeps for its backward.

Everything that a derivative needs is kept for the backward already: both are products with the same
Jacobian, this one from the right, the backward's from the left. A node whose name is not in the
table is not covered.

A rule of its own for another node: read numbers and flags as `node._saved_*`, tensors by `kept` and
the shape of the output by `shape`, raise `NotCovered` for what is left out, enter it in one of the
tables, and give it a network in the tests, which compare every rule with dual numbers.
"""

from __future__ import annotations

from torch import Tensor

from skgdw.functional._recorded._linear_rules import LINEAR_RULES
from skgdw.functional._recorded._nodes import (
    GraphNode,
    Rule,
    Tangents,
    backward,
    refuse_hook,
)
from skgdw.functional._recorded._product_rules import PRODUCT_RULES


def _entrywise(name: str) -> Rule:
    """Return the rule where each output depends on one input: its backward is its rule.

    The Jacobian is diagonal then, its own transpose, so that the product with the transpose, which
    is all that a backward computes, is the product with it. This holds for a ReLU and for dropout.

    Returns
    -------
    Rule
        From the tangent of the input of that name to that of the output.
    """

    def rule(node: GraphNode, tangents: Tangents) -> Tensor:
        refuse_hook(node, name)  # the backward asks for the tensor
        return backward(node, tangents[0])

    return rule


# By the name of the node: the tensor that its backward asks for.
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

RULES: dict[str, Rule] = {
    **{name: _entrywise(of) for name, of in _ENTRYWISE.items()},
    **PRODUCT_RULES,
    **LINEAR_RULES,
}
