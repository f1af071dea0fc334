"""Orders in which rows are gone through."""

from itertools import islice

import hypothesis.strategies as st
import torch
from hypothesis import given

from skgdw._feed._cursor import RowBatches
from skgdw._feed._orders import make_passes


def is_uneven(codes):
    return len(torch.bincount(codes)[codes.unique()].unique()) > 1


uneven = st.lists(st.integers(0, 4), min_size=1, max_size=40).map(torch.tensor).filter(is_uneven)


def passes_over(codes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return make_passes(len(codes), shuffle=True, generator=generator, balance=codes)


@given(uneven)
def test_balanced_passes_hold_every_class_equally_often(codes):
    passes, classes = passes_over(codes), codes.unique()
    n_each = len(codes) // len(classes)
    for _ in range(2):
        rows = passes()
        assert len(rows) == len(passes) == n_each * len(classes)
        times = torch.bincount(rows, minlength=len(codes))
        for code in classes:
            of_class = times[codes == code]
            assert of_class.sum() == n_each
            assert of_class.max() - of_class.min() <= 1


@given(uneven, st.integers(1, 12), st.integers(0, 5))
def test_classes_in_balanced_batches_differ_by_two_rows_at_most(codes, batch_size, place):
    # By one within a pass, which is rounds of all classes; by two where one runs into the next.
    batches = RowBatches(passes_over(codes), batch_size, endless=True)
    batch = codes[next(islice(batches, place, None))]
    counts = torch.bincount(batch, minlength=5)[codes.unique()]
    assert counts.max() - counts.min() <= 2


@given(uneven)
def test_a_batch_as_large_as_the_set_is_one_balanced_pass(codes):
    batches = RowBatches(passes_over(codes), len(codes), endless=True)
    for batch in islice(batches, 3):
        assert len(torch.bincount(codes[batch])[codes.unique()].unique()) == 1


def test_rows_that_come_and_come_again_change_from_pass_to_pass():
    codes = torch.tensor([0] * 9 + [1] * 3)
    passes = passes_over(codes)
    drawn = torch.stack([torch.bincount(passes(), minlength=12) for _ in range(300)])
    assert torch.equal(drawn.unique(), torch.tensor([0, 1, 2]))
    # Six rows of a pass are of either class: two thirds of the nine, all of the three twice.
    assert (drawn[:, :9].float().mean(dim=0) - 6 / 9).abs().max() < 4 * (2 / 9 / 300) ** 0.5
    assert torch.equal(drawn[:, 9:].unique(), torch.tensor([2]))


def test_balanced_orders_mix_the_classes_and_follow_the_seed():
    codes = torch.tensor([0] * 30 + [1] * 10)
    first, again, other = passes_over(codes), passes_over(codes), passes_over(codes, seed=1)
    order = first()
    assert torch.equal(order, again())
    assert not torch.equal(order, other())
    assert not torch.equal(order, first())
    assert codes[order].view(-1, 2).sum(dim=1).unique().tolist() == [1]  # rounds of both


@given(st.integers(1, 5), st.integers(1, 6))
def test_even_classes_are_shuffled_as_without_balance(n_classes, n_each):
    codes = torch.arange(n_classes).repeat(n_each)
    plain = make_passes(
        len(codes), shuffle=True, generator=torch.Generator().manual_seed(0), balance=None
    )
    assert torch.equal(passes_over(codes)(), plain())


def test_rows_in_order_are_not_balanced():
    passes = make_passes(
        3, shuffle=False, generator=torch.Generator(), balance=torch.tensor([0, 0, 1])
    )
    assert passes().tolist() == [0, 1, 2]
