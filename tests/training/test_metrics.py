"""Figures of a step and of an epoch."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from skorch.history import History

from properties import assert_close
from skgdw._training._metrics import as_figure, make_plain, settle, weight_figures
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


def test_a_figure_prints_as_a_number():
    figure = as_figure(torch.tensor(0.5, requires_grad=True))
    assert (str(figure), repr([figure]), f"{figure:.2f}") == ("0.5", "[0.5]", "0.50")
    assert type(figure * 2) is torch.Tensor
    assert not figure.requires_grad


def test_copies_of_a_figure_are_numbers():
    figure = as_figure(torch.tensor(0.5))
    copies = [copy.deepcopy(figure), pickle.loads(pickle.dumps(figure))]
    assert [(type(number), number) for number in copies] == [(float, 0.5)] * 2


def test_what_is_no_single_number_stays_as_it_is():
    several = torch.ones(2)
    assert as_figure(several) is several


def test_recorded_tensors_and_numpy_numbers_become_pythons():
    history = epoch(train_loss=[1.0])
    given = {
        "tensor": torch.tensor(0.5, dtype=torch.bfloat16),
        "float": np.float64(0.25),
        "int": np.int64(3),
        "bool": np.bool_(True),
        "text": "plain",
        "several": np.ones(2),
    }
    for name, value in given.items():
        history.record(name, value)
    make_plain(history)
    kinds = [type(history[-1, name]) for name in given]
    assert kinds == [float, float, int, bool, str, np.ndarray]
    assert history[-1, "tensor"] == 0.5


def test_a_loss_that_stays_lost_is_told_once():
    history = epoch(train_loss=[math.nan])
    with pytest.warns(NonFiniteLossWarning):
        settle(history, "train_loss", is_weighted=False)
    history.record("train_loss", math.nan)  # as skorch does at the end of an epoch
    history.new_epoch()
    history.new_batch()
    history.record_batch("train_loss", torch.tensor(math.nan))
    settle(history, "train_loss", is_weighted=False)
