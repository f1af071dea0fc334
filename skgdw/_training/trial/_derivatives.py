"""Which way to J g a module can go, found by trying it on a few rows."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor

from skgdw._training.step._jvp import (
    Difference,
    DualNumbers,
    Jvp,
    Recorded,
    Unrolled,
    WideDifference,
)
from skgdw._warn import warn
from skgdw.exceptions import MetaGradientFallbackWarning

logger = logging.getLogger("skgdw")

# Both need nothing but forward passes, and end every row.
_DIFFERENCES: tuple[Callable[[], Jvp], ...] = (WideDifference, Difference)

# What is tried in turn.
_UNROLLED: tuple[Callable[[], Jvp], ...] = (
    Unrolled,
    lambda: Unrolled(math_attention=True),
    *_DIFFERENCES,
)
_FORWARD: tuple[Callable[[], Jvp], ...] = (
    DualNumbers,
    lambda: DualNumbers(math_attention=True),
    *_UNROLLED,
)
_FALLBACKS = {
    "auto": _FORWARD,
    "forward": _FORWARD,
    "difference": _DIFFERENCES,
    "unrolled": _UNROLLED,
}

META_GRADIENTS = tuple(_FALLBACKS)
"""What the estimator's parameter ``meta_gradient`` may be."""


def choose_jvp(
    requested: str,
    attempt: Callable[[Jvp], Tensor],
    module_name: str,
    *,
    eps: float | None = None,
) -> Jvp:
    """Return the first way that works, starting from the requested one.

    Parameters
    ----------
    requested : {"auto", "forward", "difference", "unrolled"}
    attempt : callable
        Computes J g that way on a few rows; raises RuntimeError or NotImplementedError where torch
        cannot.
    module_name : str
        What messages call the network.
    eps : float, optional
        Relative rounding error of the module's passes, where not that of the result's dtype.

    Returns
    -------
    Jvp
        The requested way, or the next one that works.

    Raises
    ------
    RuntimeError
        If none works.
    """
    refusals: list[str] = []
    candidates = [make() for make in _FALLBACKS[requested]]
    for jvp in candidates:
        try:
            found = attempt(jvp)
            if isinstance(jvp, DualNumbers):
                _check_backward_agrees(found, jvp, attempt, eps)
        except (RuntimeError, NotImplementedError) as error:
            if jvp is candidates[-1]:
                raise
            # torch's texts run over several lines; the first says what is missing.
            text = str(error).strip() or type(error).__name__
            reason = f'"{jvp.method}": {text.splitlines()[0][:160]}'
            if reason not in refusals:  # math attention is no help where there is no attention
                refusals.append(reason)
        else:
            break
    if refusals:
        advice = (
            "build the module on torch's math attention to be rid of this message."
            if getattr(jvp, "math_attention", False)
            else f'set meta_gradient="{jvp.method}" to choose it yourself.'
        )
        warn(
            f'`meta_gradient` "{requested}" needs derivatives that {module_name} does not have '
            f"({'; '.join(refusals)}). Using {jvp} instead; {advice}",
            MetaGradientFallbackWarning,
        )
    return jvp


def _check_backward_agrees(
    found: Tensor, jvp: DualNumbers, attempt: Callable[[Jvp], Tensor], eps: float | None
) -> None:
    """Raise if forward mode differentiates what backward does not, as under torch.no_grad."""
    try:
        expected = attempt(Unrolled(math_attention=jvp.math_attention))
    except Exception:  # whatever the module says of it: it is no more than a comparison
        return
    if not agree(found, expected, eps):
        raise RuntimeError(
            "its forward-mode derivative is not that of its backward; does it stop the gradient "
            "with torch.no_grad?"
        )


def _rounding_of_passes(result: Tensor) -> float:
    """Return the relative rounding error of passes that led to this."""
    # On a GPU torch lets cuDNN convolve in TF32, of float32 with ten bits behind the point.
    is_short = result.is_cuda and result.dtype is torch.float32
    return 2.0**-10 if is_short else torch.finfo(result.dtype).eps


def agree(one: Tensor, other: Tensor, eps: float | None = None) -> bool:
    """Tell whether two derivatives are the same up to rounding of relative size eps."""
    rounding = 3 * (_rounding_of_passes(other) if eps is None else eps) ** 0.5
    norm = torch.linalg.vector_norm
    # What is not finite is no difference between the methods.
    return not norm(one - other) > rounding * torch.maximum(norm(one), norm(other))


def fastest(chosen: Jvp, *attempts: Callable[[Jvp], Tensor], eps: float | None = None) -> Jvp:
    """Return what steps take for the way that was chosen: a faster one, where it agrees with it.

    Forward mode along the recorded graph stands on rules of our own about torch's autograd nodes,
    so it is taken only where dual numbers give the same on the rows of the trial.

    Parameters
    ----------
    chosen : Jvp
        As `choose_jvp` returned it.
    *attempts : callable
        As in `choose_jvp`, each at other parameters: the two ways have to agree in all of them.
    eps : float, optional
        Relative rounding error of the module's passes.

    Returns
    -------
    Jvp
        The faster way, or `chosen` itself.
    """
    if not isinstance(chosen, DualNumbers):
        return chosen
    recorded = Recorded(chosen)
    fault = None
    for attempt in attempts:
        try:
            found = attempt(recorded)
        except Exception as error:  # a rule that is wrong: dual numbers do without it
            fault = f"a rule of it fails: {type(error).__name__}: {error}"
        else:
            if not recorded.is_on:
                fault = "it holds what no rule covers"
            elif not _is_same(found, attempt(chosen), eps):
                fault = "it gives another derivative than dual numbers"
        if fault is not None:
            logger.info("forward mode by dual numbers, not along the recorded graph: %s", fault)
            return chosen
    return recorded


def _is_same(found: Tensor, expected: Tensor, eps: float | None) -> bool:
    # Of what is not finite `agree` says nothing; a rule must not bring it in.
    return torch.equal(found.isfinite(), expected.isfinite()) and agree(found, expected, eps)
