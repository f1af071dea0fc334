"""Mean predictions by label, of all rows or of a fixed share of them."""

import pytest
import torch

from properties import assert_close
from skgdw.weighting import Evidence
from skgdw.weighting._mean_predictions import drawn_rows, mean_predictions, pool_predictions


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


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_folds_have_all_rows_among_them_and_none_twice(share):
    rows = torch.arange(10_000)
    times = sum(drawn_rows(rows, share, fold).int() for fold in range(round(1 / share)))
    assert (times == 1).all()


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


def test_networks_of_rows_of_their_own_are_pooled_as_one():
    *_, batches = drawn_batches()
    like = torch.zeros(4, 4)
    parts = [mean_predictions(iter(batches), like, share=0.25, fold=fold) for fold in range(4)]
    found, whole = (
        pool_predictions(parts, of_same_rows=False),
        mean_predictions(iter(batches), like),
    )
    assert_close(found.by_label, whole.by_label, 1e-12)
    assert_close(found.entered, whole.entered, 1e-12)
    assert_close(found.counts, whole.counts, 1e-12)
    assert_close(found.given_mean, whole.given_mean, 1e-12)
    # Of independent means; that of the whole knows the spread between the parts besides.
    shares = [part.entered.sum() / 60 for part in parts]
    expected = sum(w**2 * part.given_variance for w, part in zip(shares, parts, strict=True))
    assert_close(found.given_variance, expected, 1e-12)


def test_of_the_same_rows_networks_are_averaged_and_tell_no_more():
    logits, y, _, _ = drawn_batches()
    like = torch.zeros(4, 4)
    one, other = (mean_predictions(iter([Evidence(z, y)]), like) for z in (logits, 2 * logits))
    found = pool_predictions([one, other], of_same_rows=True)
    assert_close(found.by_label, (one.by_label + other.by_label) / 2, 1e-12)
    assert_close(found.given_mean, (one.given_mean + other.given_mean) / 2, 1e-12)
    assert_close(found.given_variance, (one.given_variance + other.given_variance) / 2, 1e-12)
    assert pool_predictions([one], of_same_rows=True) is one
