"""Figures of a step and of an epoch."""

import math

import pytest
import torch
from skorch.history import History

from properties import assert_close
from skgdw._training._metrics import settle, weight_figures
from skgdw.exceptions import NonFiniteLossWarning


def test_weights_are_summed_up():
    weight = torch.tensor([[0.1, 0.2, 0.3], [1.0, 2.0, 4.0]], dtype=torch.float64)
    figures = weight_figures(weight, torch.tensor([2, 1]))
    assert figures.at_given.tolist() == [0.3, 2.0]
    assert_close(figures.mean_given, (0.3 + 2.0) / 2, 1e-12)
    assert_close(figures.mean_other, (0.1 + 0.2 + 1.0 + 4.0) / 4, 1e-12)


def test_a_single_class_has_no_others():
    assert weight_figures(torch.tensor([[0.5]]), torch.tensor([0])).mean_other == 0.0


def epoch(**columns):
    """Make a history of one epoch: for each name what its batches hold, None for nothing."""
    history = History()
    history.new_epoch()
    for values in zip(*columns.values(), strict=True):
        history.new_batch()
        for name, value in zip(columns, values, strict=True):
            if value is not None:
                history.record_batch(name, torch.tensor(value))
    return history


def test_figures_become_numbers_and_means():
    history = epoch(
        train_loss=[1.0, 2.0, 4.0],
        meta_loss=[0.5, None, 0.25],
        weight_given=[0.5, 0.25, 0.75],
        weight_other=[1.0, 2.0, 3.0],
    )
    settle(history, "train_loss", is_weighted=True)
    assert history[0, "batches", :, "train_loss"] == [1.0, 2.0, 4.0]
    assert history[0, "meta_loss"] == 0.375  # of the steps that had one
    assert history[0, "weight_given"] == 0.5
    assert history[0, "weight_other"] == 2.0
    assert "train_loss" not in history[0]  # skorch's own callback weighs it by batch sizes
    held = [value for batch in history[0]["batches"] for value in batch.values()]
    assert not any(isinstance(value, torch.Tensor) for value in held)


def test_metrics_that_no_step_gave_are_nan():
    history = epoch(train_loss=[1.0])
    settle(history, "train_loss", is_weighted=True)
    assert all(math.isnan(history[0, n]) for n in ("meta_loss", "weight_given", "weight_other"))


def test_plain_training_has_the_loss_alone():
    history = epoch(train_loss=[1.0])
    settle(history, "train_loss", is_weighted=False)
    assert "meta_loss" not in history[0]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_losses_that_are_not_finite_are_told(value):
    history = epoch(train_loss=[1.0, value])
    with pytest.warns(
        NonFiniteLossWarning,
        match=r"`train_loss` should stay finite; .* in epoch 1. Lower `lr`, or clip gradients",
    ):
        settle(history, "train_loss", is_weighted=False)
