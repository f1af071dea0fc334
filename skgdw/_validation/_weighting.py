"""What a weighting may be, and what it may return."""

from __future__ import annotations

from torch import Tensor

from skgdw._validation._built import check_weights
from skgdw.weighting import WEIGHTINGS, Evidence, NetworkWeighting, Weighting

# Of sums of rows, relative to the largest row.
_ROUNDING = 1e-3


def check_weighting(weighting: Weighting, evidence: Evidence) -> None:
    """Check what a weighting returns for a few rows.

    Parameters
    ----------
    weighting : Weighting
    evidence : Evidence
        Of rows whose places are not known.

    Raises
    ------
    ValueError
        If its weights, or what it sends back, are of another shape or do not balance.
    """
    if isinstance(weighting, NetworkWeighting):
        weights = weighting.weight_net(evidence.losses)
        check_weights(weights, len(evidence.y), weighting.weight_net)
    weight = weighting(evidence)
    n, c = evidence.logits.shape
    name = type(weighting).__name__
    if not isinstance(weight, Tensor) or tuple(weight.shape) not in {(n, c), (n, 1)}:
        found = tuple(weight.shape) if isinstance(weight, Tensor) else type(weight).__name__
        raise ValueError(
            "`weighting` must return weights of shape (n, c), one for each class, or (n, 1), one "
            f"for each row; {name}.forward returned {found} for {n} rows and {c} classes. Reshape "
            "them."
        )
    pull = weighting.pull(evidence, weight)
    if (reported := tuple(pull.weight.shape)) != (n, c):
        raise ValueError(
            "`weighting` must report weights of shape (n, c) beside what it sends back; "
            f"{name}.pull reports {reported} for {n} rows and {c} classes. Expand them."
        )
    for grad in (weighting.trial_pull(evidence, weight).detach(), pull.grad.detach()):
        _check_balance(grad, (n, c), name)


def _check_balance(grad: Tensor, shape: tuple[int, int], name: str) -> None:
    off = grad.sum(dim=1).abs().max()
    if tuple(grad.shape) != shape or off > _ROUNDING * grad.abs().sum(dim=1).max().clamp(min=1.0):
        raise ValueError(
            f"`weighting` must send back rows of shape (n, c) that sum to zero; {name} sends back "
            f"shape {tuple(grad.shape)}, whose rows miss zero by up to {off:.2g}. Subtract "
            "at its label what a row misses."
        )


def weighting_fault(weighting: object) -> str | None:
    """Say what is wrong with what was given as ``weighting``, if anything."""
    is_class = isinstance(weighting, type) and issubclass(weighting, Weighting)
    is_name = isinstance(weighting, str) and weighting in WEIGHTINGS
    if is_class or is_name or isinstance(weighting, Weighting):
        return None
    return (
        f"`weighting` must be one of {list(WEIGHTINGS)}, or a skgdw.weighting.Weighting, its class "
        f"or an instance; got {weighting!r}."
    )
