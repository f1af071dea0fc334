"""The criterion as it is built: a copy, with weights of classes in the dtype of the logits."""

import numpy as np
import pytest
import torch
from torch import nn

from classifier_cases import blobs, quick, weights

DATA = blobs(n=60, n_meta=15)
SHARED = nn.CrossEntropyLoss(weight=torch.ones(3).double())


def shared():
    return SHARED


def test_what_a_function_returns_again_and_again_stays_as_it_is():
    net = quick(criterion=shared).fit(*DATA)
    assert net.criterion_ is not SHARED
    assert net.criterion_.weight.dtype == torch.float32
    assert SHARED.weight.dtype == torch.float64


@pytest.mark.parametrize(
    "weight",
    [torch.tensor([1.0, 3.0, 0.5]).double(), np.array([1, 3, 0.5]), [1, 3, 0.5]],
    ids=lambda weight: type(weight).__name__,
)
def test_weights_of_the_criterion_come_in_any_container(weight):
    expected = quick(criterion__weight=torch.tensor([1.0, 3.0, 0.5])).fit(*DATA)
    assert np.array_equal(weights(quick(criterion__weight=weight).fit(*DATA)), weights(expected))
    if isinstance(weight, torch.Tensor):
        net = quick(criterion=nn.CrossEntropyLoss(weight=weight)).fit(*DATA)
        assert np.array_equal(weights(net), weights(expected))
        assert weight.dtype == net.criterion.weight.dtype == torch.float64


@pytest.mark.parametrize(
    ("weight", "found"),
    [
        (torch.ones(2), r"tensor\(\[1., 1.\]\)"),
        ([1, 2, 3, 4], r"\[1, 2, 3, 4\]"),
        ([1, -1, 1], r"\[1, -1, 1\]"),
        ([1, 0, 1], r"\[1, 0, 1\]. Pass .* Give rows that are not to count a `sample_weight` of 0"),
        ([1, np.nan, 1], "nan"),
        ("balanced", "'balanced'"),
        (np.ones((3, 1)), "array"),
        ([], r"\[\]"),
    ],
)
def test_weights_of_the_criterion_that_are_none(weight, found):
    words = rf"`criterion__weight` must hold a finite number > 0 for each of the 3.*got .*{found}"
    with pytest.raises(ValueError, match=words):
        quick(criterion__weight=weight).fit(*DATA)
