"""Batches that know their rows, and the dataset that hands them out."""

import copy
import pickle

import pytest
import torch
from torch.utils.data._utils.pin_memory import pin_memory

from feed_cases import dataset
from skgdw._feed._dataset import Batch, RowDataset


def test_batch_is_a_pair_that_knows_its_rows():
    batch = dataset()[torch.tensor([4, 1])]
    X, y = batch
    assert isinstance(batch, tuple)
    assert torch.equal(X, torch.tensor([[8.0, 9.0], [2.0, 3.0]]))
    assert y.tolist() == [1, 1]
    assert batch.rows.tolist() == [40, 10]
    assert Batch(X, y).rows is None


@pytest.mark.parametrize(
    "again",
    [copy.copy, copy.deepcopy, *(lambda b, p=p: pickle.loads(pickle.dumps(b, p)) for p in (2, 5))],
    ids=["copy", "deepcopy", "pickle 2", "pickle 5"],
)
def test_batch_survives_copies_and_pickles(again):
    batch = dataset()[torch.tensor([4, 1])]
    twin = again(batch)
    assert type(twin) is Batch
    assert all(map(torch.equal, twin, batch))
    assert torch.equal(twin.rows, batch.rows)


def test_subset_keeps_places():
    part = dataset(mapping=True).subset([5, 2])
    assert len(part) == 2
    assert part.rows.tolist() == [50, 20]
    assert part.y.tolist() == [2, 2]
    assert torch.equal(part.X["b"][:, 0], torch.tensor([110.0, 104.0]))


def test_dataset_without_labels_is_for_prediction():
    data = RowDataset(torch.zeros(3, 2))
    assert data.y.tolist() == [0, 0, 0]
    assert data.rows.tolist() == [0, 1, 2]


def test_trust_goes_with_the_rows():
    data = dataset(trusted=True)
    assert dataset()[torch.tensor([1])].trusted is None
    assert data[torch.tensor([5, 2, 1])].trusted.tolist() == [True, False, True]
    assert data.subset([5, 2]).trusted.tolist() == [True, False]
    assert data.to(torch.device("meta")).trusted.device.type == "meta"
    parts = list(data[torch.arange(9)].split([4, 5]))
    assert [part.trusted.tolist() for part in parts] == [
        [False, True, False, False],
        [False, True, False, False, False],
    ]
    assert [part.rows.tolist() for part in parts] == [[0, 10, 20, 30], [40, 50, 60, 70, 80]]
    again = pickle.loads(pickle.dumps(parts[0]))
    assert torch.equal(again.trusted, parts[0].trusted)


@pytest.mark.parametrize("mapping", [False, True])
def test_samples_of_a_batch(mapping):
    batch = dataset(mapping=mapping)[torch.tensor([4, 1])]
    (x, y), (other_x, other_y) = batch.samples()
    assert (y.item(), other_y.item()) == (1, 1)
    if mapping:
        assert {name: value.tolist() for name, value in x.items()} == {
            "a": [8.0, 9.0],
            "b": [108.0, 109.0],
        }
    else:
        assert (x.tolist(), other_x.tolist()) == ([8.0, 9.0], [2.0, 3.0])


@pytest.mark.parametrize("mapping", [False, True])
def test_pinned_batch_knows_its_rows(mapping, monkeypatch):
    pinned = []

    def pin(tensor):
        pinned.append(tensor)
        return tensor.clone()

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    batch = dataset(mapping=mapping, trusted=True)[torch.tensor([4, 1])]
    found = pin_memory(batch)  # as a DataLoader does
    assert type(found) is Batch
    assert found.rows.tolist() == [40, 10]
    assert found.trusted.tolist() == [False, True]
    assert torch.equal(found[1], batch[1])
    parts = [*batch[0].values()] if mapping else [batch[0]]
    for part in (*parts, batch[1], batch.rows, batch.trusted):
        assert any(part is tensor for tensor in pinned)
    assert dataset()[torch.tensor([4])].pin_memory().trusted is None
