"""The Jacobian-vector product J g of a step: the training logits along the meta gradient.

One object for each way to it. `skgdw._training.trial` finds out which ways a module can go.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import ClassVar, Protocol

from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from skgdw._training.step._passes import TrainingPass
from skgdw.functional import (
    MetaGradient,
    NotCovered,
    directional_derivative,
    unrolled_derivative,
)

Params = Mapping[str, Tensor]

logger = logging.getLogger("skgdw")


class Jvp(Protocol):
    """A way to J g.

    Attributes
    ----------
    method : {"forward", "difference", "unrolled"}
        What users call it.
    is_unrolled : bool
        Whether the look-ahead's backward needs a graph of its own.
    """

    method: ClassVar[str]
    is_unrolled: ClassVar[bool]

    def attention(self) -> AbstractContextManager[None]:
        """Return the context that the passes of a step need."""

    def __call__(self, batch: TrainingPass, params: Params, meta: MetaGradient) -> Tensor:
        """Differentiate the logits of a batch along ``meta.direction``, shape (n, c)."""


@dataclass(frozen=True)
class _WithAttention:
    """Attention, if there is some, on torch's composite backend where that is asked for.

    It is the only one with forward-mode and double derivatives.
    """

    math_attention: bool = False

    def attention(self) -> AbstractContextManager[None]:
        """Return the context that the passes of a step need."""
        return sdpa_kernel(SDPBackend.MATH) if self.math_attention else nullcontext()

    def _named(self, name: str) -> str:
        return f'"{name}" with math attention' if self.math_attention else f'"{name}"'


@dataclass(frozen=True)
class DualNumbers(_WithAttention):
    """Forward mode by a pass over dual numbers."""

    method: ClassVar[str] = "forward"
    is_unrolled: ClassVar[bool] = False

    def __call__(self, batch: TrainingPass, params: Params, meta: MetaGradient) -> Tensor:
        """Differentiate by one more pass."""
        return directional_derivative(batch.train_logits, params, meta.direction, method="forward")

    def __str__(self) -> str:
        return self._named(self.method)


class Recorded:
    """Forward mode along the graph of the live pass, without a pass of its own.

    A later graph may hold what no rule covers, where the module branches: dual numbers then take
    over for good, so that the search for rules is not paid for again.

    Parameters
    ----------
    otherwise : DualNumbers
    """

    method: ClassVar[str] = "forward"
    is_unrolled: ClassVar[bool] = False

    def __init__(self, otherwise: DualNumbers) -> None:
        self.otherwise = otherwise
        self.is_on = True

    def attention(self) -> AbstractContextManager[None]:
        """Return the context that the passes of a step need."""
        return self.otherwise.attention()

    def __call__(self, batch: TrainingPass, params: Params, meta: MetaGradient) -> Tensor:
        """Push the direction along the graph."""
        if self.is_on:
            try:
                return directional_derivative(
                    batch.train_logits,
                    params,
                    meta.direction,
                    method="recorded",
                    logits=batch.logits,
                )
            except NotCovered as error:
                self.is_on = False
                logger.info("forward mode goes on by dual numbers: %s", error)
        return self.otherwise(batch, params, meta)

    def __str__(self) -> str:
        return '"forward" along the recorded graph'


@dataclass(frozen=True)
class Unrolled(_WithAttention):
    """Double backward, through the look-ahead's own backward.

    Parameters
    ----------
    is_tried : bool
        Whether functions that cannot be differentiated twice need not be looked for any more.
    """

    is_tried: bool = False
    method: ClassVar[str] = "unrolled"
    is_unrolled: ClassVar[bool] = True

    def __call__(self, batch: TrainingPass, params: Params, meta: MetaGradient) -> Tensor:
        """Go back through the backward."""
        return unrolled_derivative(meta, is_tried=self.is_tried)

    def __str__(self) -> str:
        return self._named(self.method)


@dataclass(frozen=True)
class Difference(_WithAttention):
    """A difference of two passes in the module's own precision.

    Parameters
    ----------
    shares_pass : bool
        Whether it starts from the logits of the live pass, which is then one pass less. Not where
        passes without a graph round otherwise than those with one, nor from a pass in bf16.
    """

    shares_pass: bool = False
    method: ClassVar[str] = "difference"
    is_unrolled: ClassVar[bool] = False

    def __call__(self, batch: TrainingPass, params: Params, meta: MetaGradient) -> Tensor:
        """Take the difference."""
        return directional_derivative(
            batch.full_logits,
            params,
            meta.direction,
            method="difference",
            logits=batch.logits if self.shares_pass else None,
        )

    def __str__(self) -> str:
        return '"difference" in single precision'


@dataclass(frozen=True)
class WideDifference(_WithAttention):
    """A difference of two passes in double precision."""

    method: ClassVar[str] = "difference"
    is_unrolled: ClassVar[bool] = False

    def __call__(self, batch: TrainingPass, params: Params, meta: MetaGradient) -> Tensor:
        """Take the difference."""
        return directional_derivative(
            batch.full_logits,
            params,
            meta.direction,
            method="difference",
            wide_logits=batch.wide_logits,
        )

    def __str__(self) -> str:
        return '"difference"'
