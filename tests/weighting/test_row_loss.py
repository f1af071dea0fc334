"""What a criterion says of single rows, and which criteria are refused."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from properties import assert_close, assert_rows_balance
from skgdw.exceptions import CriterionError
from skgdw.functional import PROBABILITY_CAP, zero_mean
from skgdw.weighting._row_loss import make_row_loss

N, C = 7, 4


class Focal(nn.Module):
    """Focal loss, as users write it."""

    def __init__(self, gamma=2.0, reduction="mean"):
        super().__init__()
        self.gamma, self.reduction = gamma, reduction

    def forward(self, logits, y):
        losses = F.cross_entropy(logits, y, reduction="none")
        losses = (1 - torch.exp(-losses)) ** self.gamma * losses
        return losses if self.reduction == "none" else getattr(losses, self.reduction)()


class Scaled(nn.CrossEntropyLoss):
    """A subclass with a forward of its own."""

    def forward(self, logits, y):
        return 3 * super().forward(logits, y)


class Averaged(nn.Module):
    """Has a reduction, and pays no heed to it."""

    reduction = "mean"

    def forward(self, logits, y):
        return F.cross_entropy(logits, y)


class Unreduced(nn.Module):
    def forward(self, logits, y):
        return F.cross_entropy(logits, y)


class Reversed(nn.Module):
    reduction = "mean"

    def forward(self, logits, y):
        return F.cross_entropy(-logits, y, reduction=self.reduction)


def class_weight():
    return torch.tensor([0.5, 2.0, 1.0, 4.0], dtype=torch.float64)


ACCEPTED = {
    "plain": lambda reduction: nn.CrossEntropyLoss(reduction=reduction),
    "class weights": lambda reduction: nn.CrossEntropyLoss(class_weight(), reduction=reduction),
    "focal": lambda reduction: Focal(reduction=reduction),
    "subclass": lambda reduction: Scaled(reduction=reduction),
    "weighted subclass": lambda reduction: Scaled(class_weight(), reduction=reduction),
}
accepted = pytest.mark.parametrize(
    ("name", "reduction"), [(name, r) for name in ACCEPTED for r in ("mean", "sum")]
)


def rows(scale=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(N, C, generator=generator, dtype=torch.float64)
    return logits, torch.arange(N) % C


@accepted
def test_weights_of_one_give_the_gradient_of_the_criterion(name, reduction):
    criterion = ACCEPTED[name](reduction)
    logits, y = rows()
    row_loss = make_row_loss(criterion, C)
    logit_grad = row_loss.logit_grad(logits, y)
    weight = zero_mean(torch.ones_like(logit_grad), logit_grad, y)
    free = logits.clone().requires_grad_()
    criterion(free, y).backward()
    assert_close(weight * logit_grad / N, free.grad, 1e-12)
    assert_rows_balance(torch.ones_like(logit_grad), logit_grad, 1e-12)
    assert not logit_grad.requires_grad


@accepted
def test_row_losses_are_those_of_the_criterion(name, reduction):
    criterion, each = ACCEPTED[name](reduction), ACCEPTED[name]("none")
    logits, y = rows()
    losses = make_row_loss(criterion, C).losses(logits.requires_grad_(), y)
    assert_close(losses, each(logits, y), 1e-14)
    assert not losses.requires_grad
    assert criterion.reduction == reduction  # the user's own is left alone


@accepted
def test_target_entries_can_always_be_divided_by(name, reduction):
    logits, y = rows(scale=1e4)
    logits[0] = 0.0
    logits[0, y[0]] = 1e4
    logit_grad = make_row_loss(ACCEPTED[name](reduction), C).logit_grad(logits, y)
    assert torch.isfinite(logit_grad).all()
    target = logit_grad.gather(1, y.unsqueeze(1))
    # Class weights scale the row as a whole.
    smallest = 0.5 / 4 if "weight" in name else 1.0
    assert (target <= smallest * (PROBABILITY_CAP - 1) * (1 - 1e-9)).all()
    assert torch.isfinite(zero_mean(torch.ones_like(logits), logit_grad, y)).all()


def test_an_ignored_class_is_refused_or_ignored():
    criterion = nn.CrossEntropyLoss(ignore_index=1)
    logits, y = rows()
    try:
        logit_grad = make_row_loss(criterion, C).logit_grad(logits, y)
    except CriterionError:
        return
    free = logits.clone().requires_grad_()
    criterion(free, y).backward()
    assert_close(logit_grad / N, free.grad, 1e-12)


def test_float32_stays_float32():
    logits, y = rows()
    for criterion in (nn.CrossEntropyLoss(), Focal()):
        row_loss = make_row_loss(criterion, C)
        assert row_loss.losses(logits.float(), y).dtype is torch.float32
        assert row_loss.logit_grad(logits.float(), y).dtype is torch.float32


@pytest.mark.parametrize(
    ("criterion", "text"),
    [
        (nn.CrossEntropyLoss(label_smoothing=0.1), r"CrossEntropyLoss with a target entry of 0\.0"),
        (nn.MultiMarginLoss(), r"negative at the target; got MultiMarginLoss with a target entry"),
        (nn.NLLLoss(), r"sum to zero .* got NLLLoss with rows that miss zero by 1 of their size"),
        (Reversed(), r"got Reversed with a target entry of"),
        (Unreduced(), r"must have a `reduction` .* got Unreduced without one"),
        (Averaged(), r"must return one loss a row; Averaged returned shape \(\) for 16 rows"),
        (nn.BCEWithLogitsLoss(), r"must take logits .*; BCEWithLogitsLoss failed on them"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_unfit_criteria_are_refused(criterion, text):
    before = copy.deepcopy(vars(criterion))
    with pytest.raises(CriterionError, match=text) as caught:
        make_row_loss(criterion, C)
    assert str(caught.value).endswith(
        "Use torch.nn.CrossEntropyLoss (class weights are fine, label smoothing is not) on a "
        'module that returns logits, or weighting="uniform", which takes any criterion.'
    )
    assert vars(criterion).keys() == before.keys()


def test_probe_leaves_the_global_random_state_alone():
    before = torch.get_rng_state()
    make_row_loss(Focal(), C)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("n_classes", [2, 3, 100])
def test_focal_loss_is_accepted_for_every_number_of_classes(n_classes):
    make_row_loss(Focal(), n_classes)


class Cosine(nn.CrossEntropyLoss):
    """Of logits times a factor, as cosine classifiers have it."""

    factor = 16.0

    def forward(self, logits, y):
        return super().forward(self.factor * logits, y)


@pytest.mark.parametrize("factor", [0.1, 2.0, 16.0, 32.0])
def test_a_gradient_that_has_rounded_away_is_no_fault(factor):
    criterion = Cosine()
    criterion.factor = factor
    found = make_row_loss(criterion, 10)
    logits, y = torch.randn(6, 10, dtype=torch.float64), torch.arange(6)
    expected = F.cross_entropy(factor * logits, y, reduction="none")
    torch.testing.assert_close(found.losses(logits, y), expected)


def test_what_is_set_on_the_criterion_holds_for_single_rows_too():
    criterion = Cosine()
    found = make_row_loss(criterion, 3)
    criterion.factor = 2.0
    logits, y = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    torch.testing.assert_close(found.losses(logits, y).mean(), criterion(logits, y))
    assert criterion.reduction == "mean"


class Bound(nn.CrossEntropyLoss):
    """Keeps a method of its own."""

    def __init__(self):
        super().__init__()
        self.of = self._of

    def _of(self, logits, y):
        return F.cross_entropy(logits, y, reduction=self.reduction)

    def forward(self, logits, y):
        return self.of(logits, y)


def test_methods_that_a_criterion_keeps_are_those_of_single_rows():
    logits, y = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    expected = F.cross_entropy(logits, y, reduction="none")
    torch.testing.assert_close(make_row_loss(Bound(), 3).losses(logits, y), expected)
