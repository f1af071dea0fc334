"""Which of a module's outputs are the logits."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset

from skgdw._rows import RowContainer, n_rows
from skgdw._tensors import is_narrow
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


def widened(output: Any) -> Any:
    """Return a module's output with logits of 16 bits in float32, as all that follows needs them.

    Parameters
    ----------
    output : Any
        What the module returned, logits alone or first.

    Returns
    -------
    Any
        The same, but for such logits; what comes after them is left alone.
    """
    if isinstance(output, Tensor):
        return output.float() if is_narrow(output) else output
    if isinstance(output, (tuple, list)) and output:
        first = widened(output[0])
        return output if first is output[0] else (first, *output[1:])
    return output


def portable(output: Any) -> Any:
    """Return an output that skorch can move, or else its logits: it knows tuples of tensors."""
    is_tuple = type(output) is tuple and all(
        isinstance(part, Tensor) and part.ndim > 0 for part in output
    )
    return output if is_tuple else first_output(output)


def check_outputs(outputs: NDArray[Any], X: RowContainer) -> None:
    """Refuse to predict from outputs that are not one a row, or that hold NaN or infinity.

    Parameters
    ----------
    outputs : ndarray of shape (n, c)
        Probabilities or logits. Minus infinity among these rules a class out.
    X : array, mapping or Dataset
        Rows to predict for; of a stream nobody knows how many there are.

    Raises
    ------
    ValueError
        If outputs are missing or too many, or a row holds NaN, which has no largest entry.
    """
    _check_one_a_row(outputs, X)
    _check_finite(outputs)


def _check_one_a_row(outputs: NDArray[Any], X: RowContainer) -> None:
    if isinstance(X, IterableDataset) or len(outputs) == (n := n_rows(X)):
        return
    raise ValueError(
        "`iterator_valid` must hand out each row once to predict; got outputs for "
        f"{len(outputs)} of {n} rows. Have its collate function keep all rows, and its batches "
        "hold all of them."
    )


def _check_finite(outputs: NDArray[Any]) -> None:
    is_odd = (np.isnan(outputs) | np.isposinf(outputs)).reshape(len(outputs), -1).any(axis=1)
    n_odd = int(is_odd.sum())
    if not n_odd:
        return
    why = (
        "; the network has diverged, or the rows hold such numbers. Lower `lr`, scale the rows, or "
        "clip gradients with skorch's GradientNormClipping callback, and fit again."
        if n_odd == len(outputs)
        else f", the first in row {int(is_odd.argmax())}. Look at these rows for NaN and for "
        "numbers far outside of the training rows; where there are none, lower `lr` and fit again."
    )
    raise ValueError(
        f"What `module` returns must be finite to predict; got NaN or infinity in {n_odd} of "
        f"{len(outputs)} rows{why}"
    )
