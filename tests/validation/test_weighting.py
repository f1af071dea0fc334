"""What a weighting may return, and what is said where it does not."""

import math

import pytest
import torch
from torch import nn

from properties import untouched
from skgdw._validation._weighting import check_weighting, weighting_fault
from skgdw.modules import WeightNet
from skgdw.weighting import ClassWeighting, Evidence, Pull, UniformWeighting, Weighting

EVIDENCE = Evidence(torch.tensor([[1.0, -1.0, 0.2], [0.0, 2.0, -3.0]]), torch.tensor([0, 2]))


def returning(weight, grad=None):
    """Make a weighting that returns this."""

    class Fixed(Weighting):
        def forward(self, evidence):
            return weight

        def pull(self, evidence, weight):
            return super().pull(evidence, weight) if grad is None else Pull(weight, grad)

    return Fixed()


@pytest.mark.parametrize(
    "weighting",
    [
        ClassWeighting(WeightNet(hidden=2)),
        UniformWeighting(),
        returning(torch.ones(2, 1)),
        returning(torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, 1.0]])),
        returning(torch.ones(2, 3), torch.tensor([[1.0, -1.0, 0.0], [0.0, 0.0, 0.0]])),
    ],
    ids=["net", "uniform", "rows", "classes", "pull"],
)
def test_what_will_do(weighting):
    with untouched(weighting):
        check_weighting(weighting, EVIDENCE)


@pytest.mark.parametrize(
    ("weight", "found"),
    [
        (torch.ones(2), r"\(2,\)"),
        (torch.ones(1, 3), r"\(1, 3\)"),
        (torch.ones(2, 2), r"\(2, 2\)"),
        (torch.ones(3, 1), r"\(3, 1\)"),
        ([[1.0], [1.0]], "list"),
        (None, "NoneType"),
    ],
)
def test_weights_of_another_shape_are_refused(weight, found):
    with pytest.raises(
        ValueError,
        match=rf"`weighting` must return weights of shape \(n, c\), .* or \(n, 1\), .*; "
        rf"Fixed.forward returned {found} for 2 rows and 3 classes. Reshape them.",
    ):
        check_weighting(returning(weight), EVIDENCE)


def test_rows_that_do_not_balance_are_refused():
    grad = torch.tensor([[0.5, -0.5, 0.0], [0.5, -0.25, 0.0]])
    with pytest.raises(
        ValueError,
        match=r"rows of shape \(n, c\) that sum to zero; Fixed sends back shape \(2, 3\), whose "
        r"rows miss zero by up to 0.25. Subtract at its label what a row misses.",
    ):
        check_weighting(returning(torch.ones(2, 3), grad), EVIDENCE)


def test_pulls_of_another_shape_are_refused():
    grad = torch.zeros(2, 2)
    match = r"rows of shape \(n, c\).*Fixed sends back shape \(2, 2\)"
    with pytest.raises(ValueError, match=match):
        check_weighting(returning(torch.ones(2, 3), grad), EVIDENCE)


def test_a_weighting_net_is_named_where_it_is_at_fault():
    match = r"`weight_net` must map losses .*; Unsqueeze returned shape \(2, 1\) for 2"
    with pytest.raises(ValueError, match=match):
        check_weighting(ClassWeighting(Unsqueeze()), EVIDENCE)


class Unsqueeze(nn.Module):
    def forward(self, losses):
        return losses.unsqueeze(1)


@pytest.mark.parametrize("good", ["class", UniformWeighting, UniformWeighting()])
def test_names_classes_and_instances_are_weightings(good):
    assert weighting_fault(good) is None


@pytest.mark.parametrize("bad", ["klass", nn.Linear, nn.Linear(1, 1), None])
def test_anything_else_is_told_the_names(bad):
    fault = weighting_fault(bad)
    assert fault.startswith("`weighting` must be one of ['class', 'class_pair', 'inst")
    assert fault.endswith(f"got {bad!r}.")


# As the first step asks.


class Counting(Weighting):
    """Sends back this in the warm-up, and counts in its memory what it was asked for."""

    def __init__(self, warm_up=0.0, sent=None):
        super().__init__()
        self.warm_up, self.sent = warm_up, sent
        self.register_buffer("count", torch.zeros(()))

    def forward(self, evidence):
        self.count += 1
        return torch.ones(2, 1 if evidence.rows is None else 2)

    def warm_up_pull(self, evidence, fold=0):
        self.count += 1
        return super().warm_up_pull(evidence) if self.sent is None else self.sent


def test_weights_of_known_rows_are_looked_at_once_steps_ask_for_them():
    check_weighting(Counting(), EVIDENCE)
    match = r"Counting.forward returned \(2, 2\) for 2 rows and 3 classes"
    with pytest.raises(ValueError, match=match):
        check_weighting(Counting(), EVIDENCE, torch.tensor([4, 7]))
    waiting = Counting(warm_up=0.5)
    check_weighting(waiting, EVIDENCE, torch.tensor([4, 7]))
    waiting.is_warm = True
    with pytest.raises(ValueError, match=match):
        check_weighting(waiting, EVIDENCE, torch.tensor([4, 7]))


def test_asking_about_the_warm_up_leaves_no_trace():
    weighting = Counting(warm_up=0.5)
    check_weighting(weighting, EVIDENCE, torch.tensor([4, 7]))
    assert weighting.count == 1  # `forward`, of rows whose places are not known


@pytest.mark.parametrize(
    ("sent", "match"),
    [
        (torch.ones(2, 3), r"Counting.warm_up_pull .* \(2, 3\), whose rows miss zero by up to 3\."),
        (torch.ones(2), r"Counting.warm_up_pull .* \(2,\), where there are \(2, 3\)\. Reshape it"),
        (torch.full((2, 3), math.nan), r"Counting.warm_up_pull .* \(2, 3\), which are not finite"),
    ],
)
def test_what_is_sent_back_in_the_warm_up_is_looked_at(sent, match):
    check_weighting(Counting(sent=sent), EVIDENCE)
    with pytest.raises(ValueError, match=match):
        check_weighting(Counting(0.5, sent), EVIDENCE)


def test_small_pulls_have_to_balance_too():
    grad = torch.tensor([[5e-4, 0.0, 0.0], [0.0, 0.0, 0.0]])
    with pytest.raises(ValueError, match=r"whose rows miss zero by up to 0\.0005"):
        check_weighting(returning(torch.ones(2, 3), grad), EVIDENCE)
    rounded = torch.tensor([[1e-6, -1.1e-6, 0.0], [0.0, 0.0, 0.0]])  # of numbers near one
    check_weighting(returning(torch.ones(2, 3), rounded), EVIDENCE)


def test_what_is_not_finite_is_refused_where_the_logits_are():
    weighting = returning(torch.full((2, 1), math.nan))
    with pytest.raises(ValueError, match=r"Fixed sends back shape \(2, 3\), which are not finite"):
        check_weighting(weighting, EVIDENCE)
    check_weighting(returning(torch.ones(2, 1)), Evidence(EVIDENCE.logits * math.nan, EVIDENCE.y))


@pytest.mark.parametrize("share", [1.0, 1.5, -0.3, math.nan, True, "0.2"])
def test_a_warm_up_is_a_share(share):
    match = rf"`warm_up` .* share of the steps in \[0, 1\); Counting has {share!r}\."
    with pytest.raises(ValueError, match=match):
        check_weighting(Counting(share), EVIDENCE)


def test_a_pull_is_a_pull():
    class Bare(UniformWeighting):
        def pull(self, evidence, weight):
            return weight * evidence.logit_grad

    match = r"return a skgdw.weighting.Pull from `pull`; Bare.pull returned Tensor"
    with pytest.raises(TypeError, match=match):
        check_weighting(Bare(), EVIDENCE)


def test_weights_are_floating_point():
    match = r"in floating point; Fixed.forward returned torch.int64"
    with pytest.raises(ValueError, match=match):
        check_weighting(returning(torch.ones(2, 1, dtype=torch.int64)), EVIDENCE)
