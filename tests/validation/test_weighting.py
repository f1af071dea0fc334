"""What a weighting may return, and what is said where it does not."""

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
