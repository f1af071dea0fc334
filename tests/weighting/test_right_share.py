"""The standard error of the share of right labels, and when they are all taken for right."""

import math

import numpy as np
import pytest
import torch

from skgdw.weighting import Evidence
from skgdw.weighting._mean_predictions import mean_predictions
from skgdw.weighting._right_share import all_seem_right, right_share_error


def logits_of(true, generator, *, sure=1.5, n_classes=3):
    """Predictions of a network that is unsure, about rows of true classes."""
    noise = torch.randn((len(true), n_classes), generator=generator, dtype=torch.float64)
    return noise + sure * torch.nn.functional.one_hot(true, n_classes)


def means(n, rate, generator, **kwargs):
    """Mean predictions on n rows of even classes, of whose labels so many are another's."""
    true = torch.arange(n) % 3
    wrong = torch.rand(n, generator=generator) < rate
    y = (true + wrong * torch.randint(1, 3, (n,), generator=generator)) % 3
    evidence = Evidence(logits_of(true, generator, **kwargs), y)
    return mean_predictions(iter([evidence]), torch.zeros(3, 3))


def estimated_share(held_out, meta):
    """The share that mean probabilities of the labels tell, with the error's own model."""
    other = (meta.by_label.sum() - meta.by_label.diagonal().sum()) / 6
    return (held_out.given_mean - other) / (meta.given_mean - other)


@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_the_error_is_the_spread_over_many_draws(rate):
    generator = torch.Generator().manual_seed(0)
    shares, errors = [], []
    for _ in range(400):
        held_out, meta = means(600, rate, generator), means(60, 0.0, generator)
        shares.append(float(estimated_share(held_out, meta)))
        errors.append(float(right_share_error(torch.tensor(1 - rate), held_out, meta)))
    assert np.mean(shares) == pytest.approx(1 - rate, abs=0.02)
    # The spread of 400 draws is known to 4 %; the mean on other classes, taken for known, moves
    # with that on the meta rows' own and adds to it.
    assert np.mean(errors) == pytest.approx(np.std(shares), rel=0.2)


def test_labels_are_taken_for_right_within_the_error_only():
    generator = torch.Generator().manual_seed(1)
    held_out, meta = means(3000, 0.0, generator), means(300, 0.0, generator)
    error = float(right_share_error(torch.tensor(1.0), held_out, meta))
    assert 0.01 < error < 0.05
    assert all_seem_right(torch.tensor(1.0), held_out, meta)
    assert all_seem_right(torch.tensor(1 - 1.4 * error), held_out, meta)
    assert not all_seem_right(torch.tensor(1 - 2 * error), held_out, meta)


def test_what_is_hardly_known_is_not_taken_for_right():
    generator = torch.Generator().manual_seed(2)
    held_out, meta = means(600, 0.0, generator), means(3, 0.0, generator)
    assert float(right_share_error(torch.tensor(1.0), held_out, meta)) > 0.13
    assert not all_seem_right(torch.tensor(1.0), held_out, meta)
    nothing = means(600, 0.0, generator, sure=0.0)
    backwards = means(60, 0.0, generator, sure=-1.0)
    assert float(right_share_error(torch.tensor(1.0), nothing, backwards)) == math.inf
    assert not all_seem_right(torch.tensor(1.0), nothing, backwards)


def test_without_rows_nothing_is_taken_for_right():
    generator = torch.Generator().manual_seed(3)
    meta = means(60, 0.0, generator)
    none = mean_predictions(iter([]), torch.zeros(3, 3))
    assert not all_seem_right(torch.tensor(1.0), none, meta)
    assert not all_seem_right(torch.tensor(1.0), meta, none)
