"""How often and how much meta batches teach, by the numbers of rows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skgdw.weighting._step_defaults import StepDefaults, defaults_of_trainers

COUNTS = st.integers(0, 10**9)


def test_few_meta_rows_come_every_fifth_step_and_many_more_often():
    often = {1: 5, 100: 5, 200: 5, 201: 4, 500: 2, 501: 1, 5000: 1}
    assert {m: defaults_of_trainers(1000, m).meta_every for m in often} == often


def test_many_meta_rows_weigh_more():
    weights = {1: 0.4, 50: 0.4, 100: 0.8, 250: 2.0, 5000: 2.0}
    found = {m: defaults_of_trainers(1000, m).meta_weight for m in weights}
    assert found == pytest.approx(weights)


@given(n=COUNTS, m=COUNTS, more=COUNTS)
def test_more_meta_rows_never_teach_less(n, m, more):
    few, many = defaults_of_trainers(n, m), defaults_of_trainers(n, m + more)
    assert isinstance(few, StepDefaults)
    assert 1 <= many.meta_every <= few.meta_every <= 5
    assert 0.4 <= few.meta_weight <= many.meta_weight <= 2
    assert few.min_gradient_share == 0
