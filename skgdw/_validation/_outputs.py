"""Which of a module's outputs are the logits."""

from __future__ import annotations

from typing import cast

from torch import Tensor

from skgdw.exceptions import ModuleOutputError


def first_output(output: object) -> Tensor:
    """Return the logits of a module that may return more after them.

    Parameters
    ----------
    output : Tensor, or tuple or list that begins with one
        Whatever else a module returns is handed on, to be refused where logits are checked.

    Returns
    -------
    Tensor
        The logits.

    Raises
    ------
    ModuleOutputError
        If the output has them as an attribute.
    """
    first = output[0] if isinstance(output, (tuple, list)) and output else output
    if not isinstance(first, Tensor) and hasattr(output, "logits"):
        raise ModuleOutputError(
            "`module` must return its logits alone, or first in a tuple or list; got "
            f"{type(output).__name__}, which has them as an attribute. Wrap the module in one "
            "whose `forward` returns `self.model(X).logits`."
        )
    return cast("Tensor", first)
