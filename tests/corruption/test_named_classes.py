"""Classes as the user names them."""

import numpy as np
import pytest

from skgdw.corruption._named_classes import permutation_faults, plain_label


def test_labels_of_numpy_are_compared_as_pythons():
    assert type(plain_label(np.int64(3))) is int
    assert type(plain_label(np.str_("a"))) is str
    assert plain_label("a") == "a"


@pytest.mark.parametrize("given", ["bca", np.array([*"bca"]), (c for c in "cab")])
def test_each_class_once_in_any_order_is_right(given):
    assert permutation_faults(given, [*"abc"]) == []


def test_everything_that_is_wrong_is_said_at_once():
    assert permutation_faults(["a", "x", "a", "y", "a"], [*"abc"]) == [
        "missing ['b', 'c']",
        "unknown ['x', 'y']",
        "repeated ['a', 'a']",
    ]
