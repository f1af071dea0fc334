"""Weights by the places of rows, and the weighted mean that they make."""

import numpy as np
import pytest
import torch

from skgdw._training.step._sample_weights import SampleWeights, weigh, weigh_evidence
from skgdw.weighting import Evidence

CPU = torch.device("cpu")


def test_they_are_looked_up_by_place():
    weights = SampleWeights.placed(np.array([1.0, 2.0, 3.0]), CPU)
    assert weights.of(torch.tensor([2, 0, 2])).tolist() == [3.0, 1.0, 3.0]
    with pytest.raises(ValueError, match="rows whose numbers are known"):
        weights.of(None)
    none = SampleWeights.placed(None, CPU)
    assert none.of(None) is None
    assert none.of(torch.tensor([1])) is None


def test_the_mean_becomes_a_weighted_one():
    each, weight = torch.randn(5, 3, dtype=torch.float64), torch.tensor([0.0, 1.0, 2.0, 0.5, 4.0])
    found = weigh(each, weight.double()).mean(dim=0)
    expected = torch.as_tensor(np.average(each.numpy(), axis=0, weights=weight.numpy()))
    torch.testing.assert_close(found, expected)
    assert weigh(each, None) is each
    assert torch.equal(weigh(each, torch.zeros(5)), torch.zeros_like(each))
    assert weigh(each.float(), weight.double()).dtype is torch.float32


def test_evidence_brings_its_own():
    logits, y, weight = torch.randn(2, 3), torch.tensor([0, 1]), torch.tensor([1.0, 3.0])
    evidence = Evidence(logits, y, sample_weight=weight)
    assert torch.equal(weigh_evidence(logits, evidence), weigh(logits, weight))
    assert weigh_evidence(logits, Evidence(logits, y)) is logits
    both = Evidence.join([evidence, evidence])
    assert both.sample_weight.tolist() == [1.0, 3.0, 1.0, 3.0]
    assert Evidence.join([evidence, Evidence(logits, y)]).sample_weight is None
