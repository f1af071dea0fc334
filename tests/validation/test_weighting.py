"""What a weighting may be, and what it may return."""

import pytest
import torch
from torch import nn

from skgdw._validation._weighting import check_weighting, weighting_fault
from skgdw.weighting import Evidence, NetworkWeighting, Pull, UniformWeighting, Weighting

EVIDENCE = Evidence(torch.randn(5, 3), torch.arange(5) % 3)


class Returns(Weighting):
    """Returns what is asked for in place of weights."""

    def __init__(self, what):
        super().__init__()
        self.what = what

    def forward(self, evidence):
        return self.what


@pytest.mark.parametrize(
    ("what", "found"),
    [
        (torch.ones(5), r"\(5,\)"),
        (torch.ones(3, 5), r"\(3, 5\)"),
        (torch.ones(5, 2), r"\(5, 2\)"),
        ([[1.0]] * 5, "list"),
        (None, "NoneType"),
    ],
)
def test_weights_of_another_shape_are_refused(what, found):
    words = rf"shape \(n, c\).* or \(n, 1\).*; Returns.forward returned {found} for 5 rows and 3 c"
    with pytest.raises(ValueError, match=words):
        check_weighting(Returns(what), EVIDENCE)


@pytest.mark.parametrize("shape", [(5, 1), (5, 3)])
def test_weights_of_either_shape_are_taken(shape):
    check_weighting(Returns(torch.rand(shape)), EVIDENCE)


def test_what_is_sent_back_has_to_balance():
    class Lopsided(UniformWeighting):
        def pull(self, evidence, weight):
            return Pull(weight, torch.ones_like(evidence.logits))

    words = r"rows of shape \(n, c\) that sum to zero; Lopsided sends .* miss zero by up to 3\. Sub"
    with pytest.raises(ValueError, match=words):
        check_weighting(Lopsided(), EVIDENCE)


def test_the_weighting_net_is_asked_first():
    net = nn.Sequential(nn.Unflatten(0, (-1, 1)), nn.Linear(1, 1))
    with pytest.raises(
        ValueError, match=r"`weight_net` must map losses \(n,\).* \(5, 1\) for 5 los"
    ):
        check_weighting(NetworkWeighting(net), EVIDENCE)


@pytest.mark.parametrize("good", ["class", UniformWeighting, UniformWeighting()])
def test_names_classes_and_instances_are_weightings(good):
    assert weighting_fault(good) is None


@pytest.mark.parametrize("bad", ["klass", nn.Linear, nn.Linear(1, 1), None])
def test_anything_else_is_told_the_names(bad):
    fault = weighting_fault(bad)
    assert fault.startswith("`weighting` must be one of ['class', 'instance', 'network', 'unif")
    assert fault.endswith(f"got {bad!r}.")
