"""Numbers of rows that a collate function has put into another order."""

import random

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from classifier_cases import quick
from feed_cases import Single, dataset, loader_of, one_by_one


class OneClass(Single):
    """Rows that no label tells apart."""

    def __getitem__(self, index):
        return super().__getitem__(index)[0], 1


def by_value(samples):
    return one_by_one(sorted(samples, key=lambda sample: -float(sample[0][0])))


def at_random(samples):
    return one_by_one([samples[i] for i in torch.randperm(len(samples))])


def moved(samples):
    X, y = one_by_one(samples)
    return X + 0.25, y


def sorted_and_moved(samples):
    return moved(sorted(samples, key=lambda sample: -float(sample[0][0])))


@pytest.mark.parametrize("kind", [Single, OneClass, dataset])
@pytest.mark.parametrize("collate", [by_value, at_random, moved, sorted_and_moved])
def test_rows_in_another_order_keep_their_numbers(kind, collate):
    torch.manual_seed(0)
    for X, y in (loader := list(loader_of(kind(), rows=torch.arange(9), collate_fn=collate))):
        assert len(X) == len(y)
    scale = 2 / 10 if kind is dataset else 1
    for batch in loader:
        assert batch.rows.tolist() == (batch[0][:, 0] // 1 / scale).long().tolist()


def test_a_second_call_draws_nothing():
    calls = []

    def collate(samples):
        calls.append((random.random(), np.random.random(), torch.rand(()).item()))  # noqa: NPY002
        return sorted_and_moved(samples)

    def draws(loader):
        loader = iter(loader)
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002
        torch.manual_seed(0)
        calls.clear()
        list(loader)
        return list(calls)

    once = draws(DataLoader(OneClass(8), 4, collate_fn=collate))
    twice = draws(loader_of(OneClass(8), rows=torch.arange(8), collate_fn=collate))
    assert twice[::2] == twice[1::2] == once


@pytest.mark.parametrize("answer", [[0.0] * 4, [5] * 4, [1_000_003] * 3, "raises"])
def test_answers_that_tell_nothing_give_no_numbers(answer):
    def collate(samples):
        X, y = moved(samples)
        if int(y[0]) < 1_000_003:
            return X, y
        if answer == "raises":
            raise ValueError("no such class")
        return X, torch.tensor(answer)

    for batch in loader_of(OneClass(), rows=torch.arange(9), collate_fn=collate):
        assert batch.rows is None


@pytest.mark.parametrize("mapping", [False, True])
def test_inputs_that_came_as_they_are_need_no_second_call(mapping):
    calls = []

    def collate(samples):
        calls.append(len(samples))
        if not mapping:
            return one_by_one(samples)
        inputs = {"a": torch.stack([sample["a"] for sample, _ in samples])}
        return inputs, torch.tensor([int(y) for _, y in samples])

    loader = loader_of(dataset(mapping=mapping), collate_fn=collate)
    assert [batch.rows.tolist() for batch in loader] == [[0, 10, 20, 30], [40, 50, 60, 70, 80]]
    assert calls == [4, 5]


def test_labels_that_differ_enough_need_no_second_call():
    calls = []

    def collate(samples):
        calls.append(len(samples))
        return moved(samples)

    loader = loader_of(Single(60), rows=torch.arange(60), batch_size=30, collate_fn=collate)
    assert [batch.rows.tolist() for batch in loader] == [[*range(30)], [*range(30, 60)]]
    assert calls == [30, 30]


@pytest.mark.parametrize("moves", [False, True])
def test_weights_and_ledger_follow_rows_of_one_class_that_are_sorted(moves):
    """Unshuffled batches hold one class each: their labels tell nothing of the order."""
    X = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
    y, weight = np.repeat([0, 1], 32), (X[:, 0] > 0).astype(float)
    options = {"weighting": "uniform", "batch_size": 8, "iterator_train__shuffle": False}

    def collate(samples):
        X, y = by_value(samples)
        return (X + 1 - 1 if moves else X), y

    def fit(**more):
        net = quick(max_epochs=2, module__n_classes=2, **options, **more)
        return net.fit(X, y, sample_weight=weight)

    sorted_, plain = fit(iterator_train__collate_fn=collate), fit()
    np.testing.assert_allclose(sorted_.predict_proba(X), plain.predict_proba(X), atol=1e-5)
    assert np.array_equal(sorted_.row_ledger_["times_seen"], plain.row_ledger_["times_seen"])
    losses = (net.row_ledger_["last_loss"] for net in (sorted_, plain))
    np.testing.assert_allclose(*losses, atol=1e-5)
