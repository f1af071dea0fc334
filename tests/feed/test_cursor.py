"""Batches along the orders, and the places in them that are saved and resumed."""

import io
from itertools import islice

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from skgdw._feed._cursor import Cursor, ListBatches, RowBatches
from skgdw._feed._orders import make_passes

sizes = st.integers(1, 60)
batch_sizes = st.integers(1, 20)


def batches_of(n, batch_size, *, shuffle=True, seed=0, endless=False):
    generator = torch.Generator().manual_seed(seed)
    passes = make_passes(n, shuffle=shuffle, generator=generator)
    return RowBatches(passes, batch_size, endless=endless)


@given(sizes, batch_sizes, st.booleans())
def test_a_pass_takes_every_row_once(n, batch_size, shuffle):
    batches = batches_of(n, batch_size, shuffle=shuffle)
    for _ in range(2):
        seen = torch.cat(list(batches))
        assert sorted(seen.tolist()) == list(range(n))
        if not shuffle:
            assert seen.tolist() == list(range(n))


@given(sizes, batch_sizes)
def test_lengths_of_the_batches_of_a_pass(n, batch_size):
    batches = batches_of(n, batch_size)
    lengths = [len(batch) for batch in batches]
    assert len(batches) == len(lengths)
    assert all(length == batch_size for length in lengths[:-1])
    if n > 1 and batch_size > 1:
        assert 2 <= lengths[-1] <= batch_size + 1
    else:
        assert lengths[-1] == 1
    joined = batch_size > 1 and n > batch_size and n % batch_size == 1
    assert len(lengths) == -(-n // batch_size) - joined


@given(sizes, batch_sizes, st.booleans())
def test_endless_batches_are_never_short_and_run_through_all_rows(n, batch_size, shuffle):
    full = min(batch_size, n)
    n_passes = 3
    batches = batches_of(n, batch_size, shuffle=shuffle, endless=True)
    taken = list(islice(batches, -(-n_passes * n // full)))
    assert {len(batch) for batch in taken} == {full}
    row = torch.cat(taken).tolist()
    for k in range(n_passes):
        one = row[k * n : (k + 1) * n]
        assert sorted(one) == list(range(n))
        if not shuffle:
            assert one == list(range(n))


def test_each_pass_has_an_order_of_its_own_and_the_seed_decides():
    first = torch.cat(list(batches_of(50, 7)))
    assert torch.equal(first, torch.cat(list(batches_of(50, 7))))
    assert not torch.equal(first, torch.cat(list(batches_of(50, 7, seed=1))))
    batches = batches_of(50, 7)
    orders = [torch.cat(list(batches)) for _ in range(2)]
    assert torch.equal(orders[0], first)
    assert not torch.equal(*orders)


def test_trailing_single_row_joins_the_batch_before():
    batches = batches_of(9, 4, shuffle=False)
    assert [batch.tolist() for batch in batches] == [[0, 1, 2, 3], [4, 5, 6, 7, 8]]


# The place.


def reference(passes, batch_size, *, endless):
    """What a cursor must give, out of the whole orders."""
    batch_size = min(batch_size, len(passes))
    if not endless:
        cuts = [*range(0, len(passes), batch_size), len(passes)]
        if batch_size > 1 and len(cuts) > 2 and len(passes) % batch_size == 1:
            del cuts[-2]
        yield from passes().tensor_split(cuts[1:-1])
        return
    ready = passes()
    while True:
        while len(ready) < batch_size:
            ready = torch.cat([ready, passes()])
        yield ready[:batch_size]
        ready = ready[batch_size:]


@st.composite
def orders(draw):
    """Return a function that makes the same batches again, from a seed."""
    n, batch_size = draw(sizes), draw(batch_sizes)
    endless, shuffle = draw(st.booleans()), draw(st.booleans())
    codes = draw(st.none() | st.lists(st.integers(0, 3), min_size=n, max_size=n).map(torch.tensor))

    def make(seed, *, n_ahead=0):
        generator = torch.Generator().manual_seed(seed)
        passes = make_passes(n, shuffle=shuffle, generator=generator, balance=codes)
        batches = RowBatches(passes, batch_size, endless=endless)
        batches.n_ahead = n_ahead
        return batches

    return make


def through_a_file(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def same(batches, others):
    pairs = zip(batches, others, strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


@given(orders())
def test_batches_are_cuts_of_whole_orders(make):
    batches, passes = make(0), make(0).passes
    expected = reference(passes, batches.batch_size, endless=batches.endless)
    assert same(islice(batches, 30), islice(expected, 30))
    if not batches.endless:  # and so is the next pass
        assert same(batches, reference(passes, batches.batch_size, endless=False))


@given(orders(), st.integers(0, 40))
def test_resumed_cursor_gives_the_rest(make, n_taken):
    batches = make(0)
    cursor = iter(batches)
    list(islice(cursor, n_taken))
    state = through_a_file(cursor.state_dict())
    fresh = make(1)
    fresh.resume(state)
    assert same(islice(fresh, 30), islice(cursor, 30))
    if not batches.endless:
        assert same(fresh, batches)  # the passes after it are the same too


@given(orders(), st.integers(0, 40), st.integers(0, 8))
def test_places_count_what_was_handed_out(make, n_given, n_ahead):
    exact, early = iter(make(0)), iter(make(0, n_ahead=n_ahead))
    n_given = len(list(islice(exact, n_given)))
    list(islice(early, n_given + n_ahead))
    expected, found = exact.state_dict(), early.state_dict(n_given)
    assert found.keys() == expected.keys()
    assert (found["n"], found["position"]) == (expected["n"], expected["position"])
    assert torch.equal(*(state.get("generator", torch.zeros(1)) for state in (found, expected)))


@given(orders(), st.integers(0, 20), st.integers(0, 20))
def test_a_cursor_can_go_back(make, n_before, n_after):
    cursor = iter(make(0))
    list(islice(cursor, n_before))
    state = cursor.state_dict()
    first = list(islice(cursor, n_after))
    cursor.load_state_dict(state)
    assert same(islice(cursor, n_after), first)


def test_nothing_is_drawn_before_the_first_batch():
    """A DataLoader draws its base seed between the two."""
    batches = batches_of(9, 4)
    before = batches.passes.generator.get_state()
    cursor = iter(batches)
    assert torch.equal(batches.passes.generator.get_state(), before)
    next(cursor)
    state, after = cursor.state_dict(), batches.passes.generator.get_state()
    batches.resume(state)
    assert iter(batches).state_dict() is state
    assert torch.equal(batches.passes.generator.get_state(), after)


@pytest.mark.parametrize(
    ("n", "shuffle", "found"),
    [(9, False, "9 rows in order"), (8, True, "8 rows shuffled"), (8, False, "8 rows in order")],
)
def test_places_in_other_orders_are_refused(n, shuffle, found):
    state = iter(batches_of(n, 4, shuffle=shuffle)).state_dict()
    batches = batches_of(9, 4)
    with pytest.raises(ValueError, match=f"resumed, 9 rows shuffled; got that of {found}"):
        batches.resume(state)
    with pytest.raises(ValueError, match="Resume with the rows and the options of the loader"):
        Cursor(batches).load_state_dict(state)


def test_no_rows_are_no_batches():
    batches = batches_of(0, 4)
    assert len(batches) == 0
    assert list(batches) == []


def test_lists_hold_the_same_rows():
    lists = ListBatches(batches_of(9, 4))
    assert len(lists) == 2
    assert list(lists) == [rows.tolist() for rows in batches_of(9, 4)]
