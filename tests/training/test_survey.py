"""Passes over whole sets of rows, which leave the training as it was."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from cases import seeded
from properties import untouched
from skgdw._feed import _feed
from skgdw._feed._dataset import RowDataset
from skgdw._feed._feed import Feed, Loading
from skgdw._feed._layout import Layout
from skgdw._intake._hold_out import Rows
from skgdw._training._random import RandomStream
from skgdw._training._survey import Survey
from skgdw._training.step._stateless import Stateless, evaluating
from skgdw.weighting._row_loss import make_row_loss

PLACES = np.array([5, 3, 8, 1, 0, 9, 7])


def drawn(n, seed, places):
    X = np.random.default_rng(seed).normal(size=(n, 4)).astype(np.float32)
    return Rows(X, np.arange(n) % 3, places)


TRAIN, META = drawn(7, 0, PLACES), drawn(4, 1, np.arange(4))


def network():
    def make():
        return nn.Sequential(
            nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, 3)
        )

    return seeded(make).train()


def survey_of(module, meta=META):
    def dataset(X, y):
        rows = torch.as_tensor(PLACES) if X is TRAIN.X else None
        return RowDataset(torch.as_tensor(X), torch.as_tensor(y), rows)

    loading = Loading(DataLoader, 2)
    feed = Feed(dataset, loading, loading, Layout("cpu"), balance_meta=True, meta_seed=0)
    row_loss = make_row_loss(nn.CrossEntropyLoss(), 3)
    stream = RandomStream(0, torch.device("cpu"))
    return Survey(Stateless(module), feed, TRAIN, meta, row_loss, stream)


@pytest.mark.parametrize("at_once", [2, 1024])
@pytest.mark.parametrize("name", ["training_rows", "meta_rows"])
def test_all_rows_come_in_their_order(monkeypatch, name, at_once):
    monkeypatch.setattr(_feed, "_SURVEY_ROWS", at_once)
    module, rows = network(), TRAIN if name == "training_rows" else META
    with untouched(module):
        found = list(getattr(survey_of(module), name)())
    assert len(found) == max(len(rows.y) // at_once, 1)  # a single row joins those before
    logits = torch.cat([evidence.logits for evidence in found])
    expected = network().eval()(torch.from_numpy(rows.X))
    torch.testing.assert_close(logits, expected.detach())
    assert torch.cat([evidence.y for evidence in found]).tolist() == rows.y.tolist()
    losses = nn.functional.cross_entropy(expected, torch.from_numpy(rows.y), reduction="none")
    torch.testing.assert_close(torch.cat([e.losses for e in found]), losses.detach())
    assert not logits.requires_grad
    if name == "meta_rows":
        assert all(evidence.rows is None for evidence in found)
    else:
        assert torch.cat([evidence.rows for evidence in found]).tolist() == PLACES.tolist()


def test_no_meta_set_has_no_rows():
    assert list(survey_of(network(), meta=None).meta_rows()) == []


def test_modes_are_as_before_between_the_batches(monkeypatch):
    monkeypatch.setattr(_feed, "_SURVEY_ROWS", 2)
    module = network()
    module[1].eval()  # a layer that its owner has frozen
    for _ in survey_of(module).training_rows():
        assert module.training
        assert not module[1].training
        assert module[3].training
        assert torch.is_grad_enabled()


def test_modes_come_back_after_an_error():
    module = network()
    module[1].eval()
    seen = []

    def fail():
        with evaluating(module):
            seen.extend(part.training for part in module.modules())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not any(seen)
    assert [part.training for part in module] == [True, False, True, True, True]


def test_another_module_is_surveyed_in_its_place():
    module, other = network(), network()
    with torch.no_grad():
        other[4].bias.add_(1.0)
    survey = survey_of(module)
    (found,) = survey.with_module(other).of(TRAIN)
    (own,) = survey.training_rows()
    torch.testing.assert_close(found.logits, own.logits + 1.0)


def test_a_module_that_draws_draws_nothing_from_the_stream():
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.out = nn.Linear(4, 3)

        def forward(self, X):
            return self.out(X) + torch.rand(len(X), 3)

    survey = survey_of(Noisy())
    stream = survey._stream
    with stream.active():
        before = stream.rng_state()
    list(survey.training_rows())
    with stream.active():
        assert all(map(torch.equal, stream.rng_state(), before))
