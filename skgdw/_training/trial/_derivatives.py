"""Which way to the meta gradient a module can go, found by trying it on a few rows."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from skgdw._warn import warn
from skgdw.exceptions import MetaGradientFallbackWarning

logger = logging.getLogger("skgdw")


@dataclass(frozen=True)
class MetaGradient:
    """A method of `skgdw.functional.weight_gradient`, and the attention it needs.

    Attributes
    ----------
    method : {"forward", "difference", "unrolled"}
    math_attention : bool
        Whether attention runs on torch's composite backend, the only one with forward-mode
        and double derivatives.
    is_wide : bool
        Whether a difference is one of passes in double precision.
    """

    method: str
    math_attention: bool = False
    is_wide: bool = False

    def attention(self) -> AbstractContextManager[None]:
        """Return a context in which attention is what the method needs."""
        return sdpa_kernel(SDPBackend.MATH) if self.math_attention else nullcontext()

    def __str__(self) -> str:
        """Name the method as messages do."""
        if self.method == "difference" and not self.is_wide:
            return '"difference" in single precision'
        return f'"{self.method}"' + (" with math attention" if self.math_attention else "")


# Both need nothing but forward passes, and end every row.
_DIFFERENCES = (MetaGradient("difference", is_wide=True), MetaGradient("difference"))

# What is tried in turn.
_FALLBACKS: dict[str, tuple[MetaGradient, ...]] = {
    "forward": (
        MetaGradient("forward"),
        MetaGradient("forward", math_attention=True),
        MetaGradient("unrolled"),
        MetaGradient("unrolled", math_attention=True),
        *_DIFFERENCES,
    ),
    "unrolled": (
        MetaGradient("unrolled"),
        MetaGradient("unrolled", math_attention=True),
        *_DIFFERENCES,
    ),
    "difference": _DIFFERENCES,
}
_FALLBACKS["auto"] = _FALLBACKS["forward"]

META_GRADIENTS = tuple(_FALLBACKS)


def choose_meta_gradient(
    requested: str,
    attempt: Callable[[MetaGradient], Tensor],
    module: nn.Module,
    *,
    eps: float | None = None,
) -> MetaGradient:
    """Return the first way that works, starting from the requested one.

    Parameters
    ----------
    requested : {"auto", "forward", "difference", "unrolled"}
    attempt : callable
        Computes a weight gradient that way on a few rows; raises RuntimeError or
        NotImplementedError where torch cannot.
    module : nn.Module
        The network.
    eps : float, optional
        Relative rounding error of the module's passes, where not that of the gradient's dtype.
    """
    module_name = type(module).__name__
    refusals = []
    ways = _FALLBACKS[requested]
    for way in ways:
        try:
            gradient = attempt(way)
            if way.method == "forward":
                _check_backward_agrees(gradient, way, attempt, eps)
        except (RuntimeError, NotImplementedError) as error:
            if way is ways[-1]:
                raise
            # torch's texts run over several lines; the first says what is missing.
            text = str(error).strip() or type(error).__name__
            reason = f'"{way.method}": {text.splitlines()[0][:160]}'
            if reason not in refusals:  # math attention is no help where there is no attention
                refusals.append(reason)
        else:
            break
    logger.debug("meta gradient of %s: %s (asked for %r)", module_name, way, requested)
    if refusals:
        advice = (
            "build the module on torch's math attention to be rid of this message."
            if way.math_attention
            else f'set meta_gradient="{way.method}" to choose it yourself.'
        )
        warn(
            f'`meta_gradient` "{requested}" needs derivatives that {module_name} does not have '
            f"({'; '.join(refusals)}). Using {way} instead; {advice}",
            MetaGradientFallbackWarning,
        )
    return way


def _check_backward_agrees(
    gradient: Tensor,
    way: MetaGradient,
    attempt: Callable[[MetaGradient], Tensor],
    eps: float | None,
) -> None:
    """Raise if forward mode differentiates what backward does not, as under torch.no_grad."""
    try:
        expected = attempt(MetaGradient("unrolled", way.math_attention))
    except Exception:  # whatever the module says of it: it is no more than a comparison
        return
    if not _is_close(gradient, expected, eps):
        raise RuntimeError(
            "its forward-mode derivative is not that of its backward; does it stop the gradient "
            "with torch.no_grad?"
        )


def _is_close(one: Tensor, other: Tensor, eps: float | None) -> bool:
    rounding = 3 * (torch.finfo(other.dtype).eps if eps is None else eps) ** 0.5
    norm = torch.linalg.vector_norm
    # What is not finite is no difference between the methods.
    return not norm(one - other) > rounding * torch.maximum(norm(one), norm(other))
