"""Weights of rows: what they are made of, and which are none."""

import numpy as np
import pytest
import torch

from skgdw._validation._sample_weight import check_sample_weight, relative_weight

FIRST = np.arange(2)


def test_their_mean_is_one_over_the_rows_to_train_on():
    found = relative_weight(np.array([1.0, 3.0, 8.0, 0.0]), FIRST)
    np.testing.assert_array_equal(found, [0.5, 1.5, 4.0, 0.0])
    assert relative_weight(None, FIRST) is None


@pytest.mark.parametrize("given", [None, 1, 0.5, np.ones(4), [2, 2, 2, 2]])
def test_what_counts_rows_alike_is_none(given):
    assert check_sample_weight(given, 4) is None


def test_the_callers_array_stays():
    given = np.array([1.0, 3.0, 0.0, 0.0])
    relative_weight(check_sample_weight(given, 4), FIRST)
    np.testing.assert_array_equal(given, [1.0, 3.0, 0.0, 0.0])


def test_rows_that_teach_do_not_make_up_for_those_that_train():
    with pytest.raises(ValueError, match="for some row that is trained on; got zeros alone"):
        relative_weight(np.array([0.0, 0.0, 1.0, 1.0]), FIRST)
    with pytest.raises(ValueError, match="for some row that is trained on; got zeros alone"):
        check_sample_weight(np.zeros(4), 4)


def test_a_tensor_with_a_graph():
    weight = torch.linspace(0, 1, 5, requires_grad=True)
    np.testing.assert_allclose(check_sample_weight(weight, 5), weight.detach())
