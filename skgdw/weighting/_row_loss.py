"""What a criterion says of single rows: their losses and their logit gradients."""

from __future__ import annotations

import copy
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skgdw.exceptions import CriterionError
from skgdw.functional import PROBABILITY_CAP, logit_gradient

# Size of a row's gradient, as a share of the largest, below which it is rounding.
_ROUNDED_AWAY = 1e-9

_REMEDY = (
    "Use torch.nn.CrossEntropyLoss (class weights are fine, label smoothing is not) on a module "
    'that returns logits, or weighting="uniform", which takes any criterion.'
)


class RowLoss(Protocol):
    """Row losses and logit gradients of a criterion.

    The gradient is scaled so that its mean over the rows is the criterion's own gradient,
    whatever its reduction: weights of one then give the plain step.
    """

    def losses(self, logits: Tensor, y: Tensor) -> Tensor:
        """Return the loss of each row, shape (n,), without a graph."""

    def logit_grad(self, logits: Tensor, y: Tensor, *, cap: float = PROBABILITY_CAP) -> Tensor:
        """Return D, shape (n, c), without a graph; its probabilities capped, at 1 not at all."""

    def scale(self, logits: Tensor, y: Tensor) -> Tensor | None:
        """Return what D is of plain cross-entropy's for each row, shape (n,); None for one."""

    def whole(self, losses: Tensor, logits: Tensor, y: Tensor) -> Tensor:
        """Return the criterion of the batch, shape (), without a graph; `losses` as above."""

    def given_probability(self, losses: Tensor, logits: Tensor, y: Tensor) -> Tensor:
        """Return the probability of each row's label, shape (n,); `losses` as above."""


def _softmax_at(logits: Tensor, y: Tensor) -> Tensor:
    """Return the softmax at class codes; NaN at codes of no class, which torch may ignore."""
    n_classes = logits.shape[1]
    place = y.clamp(0, n_classes - 1)
    found = torch.softmax(logits, dim=1).gather(1, place.unsqueeze(1)).squeeze(1)
    return torch.where(place == y, found, torch.nan)


class CrossEntropyRows:
    """Cross-entropy in closed form, with class weights and any reduction."""

    def __init__(self, criterion: nn.CrossEntropyLoss) -> None:
        self.criterion = criterion

    def losses(self, logits: Tensor, y: Tensor) -> Tensor:
        """Return the loss of each row."""
        weight = self.criterion.weight
        return F.cross_entropy(logits.detach(), y, weight=weight, reduction="none")

    def logit_grad(self, logits: Tensor, y: Tensor, *, cap: float = PROBABILITY_CAP) -> Tensor:
        """Return the capped logit gradient."""
        grad = logit_gradient(logits.detach(), y, cap=cap)
        weight = self.criterion.weight
        if weight is not None:
            grad = grad * weight[y].unsqueeze(1)
        if self.criterion.reduction == "sum":
            return grad * len(y)
        return grad if weight is None else grad / weight[y].mean()

    def scale(self, logits: Tensor, y: Tensor) -> Tensor | None:
        """Return the weights of the classes, and what the reduction makes of them."""
        weight = self.criterion.weight
        if self.criterion.reduction == "sum":
            each = logits.new_ones(len(y)) if weight is None else weight[y]
            return each * len(y)
        return None if weight is None else weight[y] / weight[y].mean()

    def whole(self, losses: Tensor, logits: Tensor, y: Tensor) -> Tensor:
        """Return the criterion of the batch."""
        if self.criterion.reduction == "sum":
            return losses.sum()
        if self.criterion.weight is None:
            return losses.mean()
        loss: Tensor = self.criterion(logits.detach(), y)
        return loss

    def given_probability(self, losses: Tensor, logits: Tensor, y: Tensor) -> Tensor:
        """Return the probability of each row's label."""
        if self.criterion.weight is not None:
            return _softmax_at(logits, y)
        # The loss has it already, but of labels that are to be ignored.
        return (-losses).exp().masked_fill(y == self.criterion.ignore_index, torch.nan)


class AnyRows:
    """Any criterion with a ``reduction``, differentiated by autograd."""

    def __init__(self, criterion: nn.Module) -> None:
        self.criterion = criterion

    def losses(self, logits: Tensor, y: Tensor) -> Tensor:
        """Return the loss of each row."""
        # Made anew: a callback may have set an attribute of the criterion's.
        each = _without_reduction(self.criterion)
        with torch.no_grad():
            losses: Tensor = each(logits.detach(), y)
        return losses

    def logit_grad(self, logits: Tensor, y: Tensor, *, cap: float = PROBABILITY_CAP) -> Tensor:
        """Return the logit gradient, its target entry kept away from zero."""
        free = logits.detach().requires_grad_()
        with torch.enable_grad():
            (grad,) = torch.autograd.grad(self.criterion(free, y), free)
        grad, target = grad * len(y), y.unsqueeze(1)
        return grad.scatter(1, target, grad.gather(1, target).clamp(max=cap - 1))

    def scale(self, logits: Tensor, y: Tensor) -> Tensor:
        """Return the ratio of the gradients' sizes."""
        plain = logit_gradient(logits.detach(), y)
        return self.logit_grad(logits, y).abs().sum(dim=1) / plain.abs().sum(dim=1)

    def whole(self, losses: Tensor, logits: Tensor, y: Tensor) -> Tensor:
        """Return the criterion of the batch."""
        loss: Tensor = self.criterion(logits.detach(), y)
        return loss.detach()

    def given_probability(self, losses: Tensor, logits: Tensor, y: Tensor) -> Tensor:
        """Return the probability of each row's label."""
        return _softmax_at(logits, y)


class UnknownRows:
    """A criterion that says nothing of single rows: their losses are NaN."""

    def losses(self, logits: Tensor, y: Tensor) -> Tensor:
        """Return NaN for each row."""
        return logits.new_full((len(y),), torch.nan)

    def logit_grad(self, logits: Tensor, y: Tensor, *, cap: float = PROBABILITY_CAP) -> Tensor:
        """Return NaN for each entry."""
        return torch.full_like(logits, torch.nan)

    def scale(self, logits: Tensor, y: Tensor) -> Tensor:
        """Return NaN for each row."""
        return self.losses(logits, y)

    def whole(self, losses: Tensor, logits: Tensor, y: Tensor) -> Tensor:
        """Return NaN."""
        return losses.mean()

    def given_probability(self, losses: Tensor, logits: Tensor, y: Tensor) -> Tensor:
        """Return NaN for each row: its outputs may be no logits."""
        return torch.full_like(losses, torch.nan)


def plain_row_loss(criterion: nn.Module) -> RowLoss:
    """Return what plain training, which takes any criterion, can tell of single rows.

    Other criteria than cross-entropy are not asked: they may take other outputs than logits, other
    labels than class codes, whole batches only, or draw random numbers.

    Returns
    -------
    RowLoss
    """
    if type(criterion) is not nn.CrossEntropyLoss:  # a subclass may override forward
        return UnknownRows()
    return AnyRows(criterion) if criterion.label_smoothing else CrossEntropyRows(criterion)


def make_row_loss(criterion: nn.Module, n_classes: int) -> RowLoss:
    """Return the row loss of a criterion, or refuse it.

    Returns
    -------
    RowLoss
        The criterion's view of single rows.

    Raises
    ------
    CriterionError
        If the criterion's logit gradient does not sum to zero over each row, or is not negative
        at the target: the weights of a row could then not be balanced.
    """
    # The exact class: a subclass may override forward.
    if (
        type(criterion) is nn.CrossEntropyLoss
        and criterion.label_smoothing == 0
        and not 0 <= criterion.ignore_index < n_classes
    ):
        return CrossEntropyRows(criterion)
    name = type(criterion).__name__
    if not hasattr(criterion, "reduction"):
        raise CriterionError(
            f"`criterion` must have a `reduction` that can be set to 'none', so that the loss of "
            f"each row is known; got {name} without one. {_REMEDY}"
        )
    _probe(criterion, n_classes, name)
    return AnyRows(criterion)


def _without_reduction(criterion: nn.Module) -> nn.Module:
    """Return a criterion that shares all with another but the reduction."""
    each: nn.Module
    if any(getattr(value, "__self__", None) is criterion for value in vars(criterion).values()):
        each = copy.deepcopy(criterion)  # which binds its methods to the copy
        vars(each)["reduction"] = "none"
        return each
    each = object.__new__(type(criterion))
    vars(each).update(vars(criterion), reduction="none")
    return each


def _probe(criterion: nn.Module, n_classes: int, name: str) -> None:
    """Look at the uncapped logit gradient at random and at confident logits."""
    if n_classes < 2:
        return
    classes = torch.arange(min(n_classes, 32))
    generator = torch.Generator().manual_seed(0)
    shape = (len(classes), n_classes)
    random = torch.randn(shape, generator=generator, dtype=torch.float64)
    confident = random + 12 * F.one_hot(classes, n_classes)
    logits = torch.cat([torch.zeros_like(random), random, 4 * random, confident])
    y = classes.repeat(4)
    each = _without_reduction(copy.deepcopy(criterion).cpu().double())
    free = logits.requires_grad_()
    try:
        losses = each(free, y)
        (grad,) = torch.autograd.grad(losses.sum(), free)
    except Exception as error:
        raise CriterionError(
            f"`criterion` must take logits (n, c) and class codes (n,); {name} failed on them: "
            f"{error} {_REMEDY}"
        ) from error
    if losses.shape != y.shape:
        raise CriterionError(
            f"`criterion` with reduction='none' must return one loss a row; {name} returned "
            f"shape {tuple(losses.shape)} for {len(y)} rows. {_REMEDY}"
        )
    # Of rows with next to no gradient, but some, rounding has left no more.
    size = grad.abs().sum(dim=1)
    told = (size == 0) | (size > _ROUNDED_AWAY * size.max())
    off = (grad.sum(dim=1).abs() / size.clamp(min=1e-300))[told].max().item()
    target = grad.gather(1, y.unsqueeze(1))[told].max().item()
    faults = []
    if off > 1e-6:
        faults.append(f"rows that miss zero by {off:.2g} of their size")
    if not target < 0:
        faults.append(f"a target entry of {target:.2g}")
    if faults:
        raise CriterionError(
            "`criterion` must have a logit gradient whose rows sum to zero and which is negative "
            f"at the target; got {name} with {' and '.join(faults)}. {_REMEDY}"
        )
