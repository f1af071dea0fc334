"""What a weighting may be, and what it may return."""

from __future__ import annotations

import copy
from dataclasses import replace
from numbers import Real

import torch
from torch import Tensor

from skgdw._validation._built import check_weights
from skgdw.weighting import WEIGHTINGS, Evidence, NetworkWeighting, Pull, Weighting

# Of sums of rows, relative to the largest row; of rows that cancel, to the weights.
_ROUNDING, _CANCELLED = 1e-3, 1e-5


def check_weighting(weighting: Weighting, evidence: Evidence, rows: Tensor | None = None) -> None:
    """Check what a weighting returns for a few rows.

    Parameters
    ----------
    weighting : Weighting
        Its state is as before afterwards.
    evidence : Evidence
        Of rows whose places are not known.
    rows : Tensor of shape (n,), optional
        Their places, as the first step will know them.

    Raises
    ------
    TypeError
        If its pull is none.
    ValueError
        If its weights, or what it sends back, are of another shape or do not balance, or its
        warm-up is no share.
    """
    share, name = weighting.warm_up, type(weighting).__name__
    if not isinstance(share, Real) or isinstance(share, bool) or not 0 <= share < 1:
        raise ValueError(
            f"`warm_up` of a weighting must be a share of the steps in [0, 1); {name} has "
            f"{share!r}. Set another."
        )
    if isinstance(weighting, NetworkWeighting):
        weights = weighting.weight_net(evidence.losses)
        check_weights(weights, len(evidence.y), weighting.weight_net)
    _check_answers(weighting, evidence)
    # As the first step asks: memory of rows may change the answers.
    known = replace(evidence, rows=rows)
    before = copy.deepcopy(weighting.state_dict())
    if share and not weighting.is_warm:
        with torch.no_grad():
            sent = weighting.warm_up_pull(known)
        _check_balance(sent, known, f"{name}.warm_up_pull")
    elif rows is not None:
        _check_answers(weighting, known)
    weighting.load_state_dict(before, strict=False)


def _check_answers(weighting: Weighting, evidence: Evidence) -> None:
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
    if not weight.is_floating_point():
        raise ValueError(
            f"`weighting` must return weights in floating point; {name}.forward returned "
            f"{weight.dtype}. Convert them: weight.to(evidence.logits)."
        )
    pull = weighting.pull(evidence, weight)
    if not isinstance(pull, Pull):
        raise TypeError(
            f"`weighting` must return a skgdw.weighting.Pull from `pull`; {name}.pull returned "
            f"{type(pull).__name__}. Return Pull(weight, grad)."
        )
    if (reported := tuple(pull.weight.shape)) != (n, c):
        raise ValueError(
            "`weighting` must report weights of shape (n, c) beside what it sends back; "
            f"{name}.pull reports {reported} for {n} rows and {c} classes. Expand them."
        )
    for grad in (weighting.trial_pull(evidence, weight), pull.grad):
        _check_balance(grad, evidence, name, weight)


def _check_balance(
    grad: Tensor, evidence: Evidence, name: str, weight: Tensor | None = None
) -> None:
    shape = tuple(evidence.logits.shape)
    grad, size = (
        grad.detach(),
        1.0 if weight is None else weight.detach().abs().max().clamp(min=1.0),
    )
    if tuple(grad.shape) != shape:
        fault, remedy = f"where there are {shape}", "Reshape it"
    elif not grad.isfinite().all() and evidence.logits.isfinite().all():
        fault, remedy = "which are not finite", "Guard what divides, and takes logarithms"
    else:
        off = grad.sum(dim=1).abs().max()
        if not off > _ROUNDING * grad.abs().sum(dim=1).max() + _CANCELLED * size:
            return
        fault = f"whose rows miss zero by up to {off:.2g}"
        remedy = "Subtract at its label what a row misses"
    raise ValueError(
        f"`weighting` must send back finite rows of shape (n, c) that sum to zero; {name} sends "
        f"back shape {tuple(grad.shape)}, {fault}. {remedy}."
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
