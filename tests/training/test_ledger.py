"""What weight the label of each row got."""

import torch

from properties import assert_close
from skgdw._training._ledger import Ledger


def test_means_and_memory():
    ledger = Ledger(5, torch.device("cpu"))
    assert ledger.given.shape == (5,)
    assert torch.isnan(ledger.given).all()
    weight = torch.tensor([[0.1, 0.2, 0.3], [1.0, 2.0, 4.0]], dtype=torch.float64)
    figures = ledger.note(torch.tensor([3, 0]), torch.tensor([2, 1]), weight)
    assert set(figures) == {"weight_given", "weight_other"}
    assert_close(figures["weight_given"], (0.3 + 2.0) / 2, 1e-12)
    assert_close(figures["weight_other"], (0.1 + 0.2 + 1.0 + 4.0) / 4, 1e-12)
    assert ledger.given[[3, 0]].tolist() == [torch.tensor(0.3).item(), 2.0]
    assert torch.isnan(ledger.given[[1, 2, 4]]).all()


def test_the_last_weight_stays():
    ledger = Ledger(2, torch.device("cpu"))
    for value in (0.25, 0.75):
        ledger.note(torch.tensor([1]), torch.tensor([0]), torch.tensor([[value, 9.0]]))
    assert ledger.given[1] == 0.75


def test_batches_without_places_are_averaged_and_not_remembered():
    ledger = Ledger(2, torch.device("cpu"))
    figures = ledger.note(None, torch.tensor([0]), torch.tensor([[0.5, 1.5]]))
    assert figures["weight_given"] == 0.5
    assert figures["weight_other"] == 1.5
    assert torch.isnan(ledger.given).all()


def test_a_single_class_has_no_others():
    ledger = Ledger(1, torch.device("cpu"))
    figures = ledger.note(torch.tensor([0]), torch.tensor([0]), torch.tensor([[0.5]]))
    assert figures["weight_other"] == 0.0
