"""Mean predictions by label, of all rows or of a fixed share of them."""

import pytest
import torch

from properties import assert_close
from skgdw.weighting import Evidence
from skgdw.weighting._mean_predictions import drawn_rows, mean_predictions


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_a_share_of_the_rows_is_drawn_evenly_and_always_the_same(share):
    rows = torch.arange(100_000)
    drawn = drawn_rows(rows, share)
    assert float(drawn.double().mean()) == pytest.approx(share, abs=0.01)
    order = torch.randperm(100_000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(drawn_rows(rows[order], share), drawn[order])
    for period in (2, 3, 7, 10, 128):  # labels often come in a pattern
        every = drawn.double()[: 100_000 // period * period].view(-1, period).mean(dim=0)
        assert (every - share).abs().max() < 0.05
    assert not drawn_rows(rows, 0.0).any()
    assert drawn_rows(rows, 1.0).all()


def drawn_batches():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn((60, 4), generator=generator, dtype=torch.float64)
    y, rows = torch.randint(3, (60,), generator=generator), torch.randperm(60, generator=generator)
    return (
        logits,
        y,
        rows,
        [
            Evidence(logits[:25], y[:25], rows=rows[:25]),
            Evidence(logits[25:], y[25:], rows=rows[25:]),
        ],
    )


def test_means_are_those_of_a_loop():
    logits, y, rows, batches = drawn_batches()
    for share in (0.0, 0.4):
        found = mean_predictions(iter(batches), torch.zeros(4, 4), share=share)
        means, counts = found.by_label, found.counts
        enters = drawn_rows(rows, share) if share else torch.ones(60, dtype=torch.bool)
        for label in range(3):
            chosen = (y == label) & enters
            assert_close(means[label], logits[chosen].softmax(dim=1).mean(dim=0), 1e-12)
            assert counts[label] == (y == label).sum()
        assert not means[3].any()
        assert counts[3] == 0
        given = logits.softmax(dim=1).gather(1, y.unsqueeze(1))[enters]
        assert_close(found.given_mean, given.mean(), 1e-12)
        assert_close(found.given_variance, given.var(correction=0) / len(given), 1e-12)


def test_rows_without_numbers_all_enter():
    logits, y, _, batches = drawn_batches()
    found = mean_predictions(iter([Evidence(logits, y)]), torch.zeros(4, 4), share=0.4)
    assert_close(found[0], mean_predictions(iter(batches), torch.zeros(4, 4))[0], 1e-12)
