"""The sizes that networks are built from."""

import numpy as np
import pytest

from skgdw.modules._checks import check_count, check_in_channels, check_n_classes


@pytest.mark.parametrize("value", [2, np.int64(2), np.uint8(2)])
def test_any_integer_is_a_size(value):
    found = check_count("width", value, minimum=2, remedy="more")
    assert type(found) is int
    assert found == 2


@pytest.mark.parametrize("value", [2.0, "2", None, True, np.float64(2)])
def test_other_kinds_are_refused(value):
    words = f"`width` must be an integer; got .* of type {type(value).__name__}; take 16"
    with pytest.raises(TypeError, match=words):
        check_count("width", value, minimum=1, remedy="take 16")


def test_small_sizes_are_refused_with_the_way_to_the_right_one():
    with pytest.raises(ValueError, match="`width` must be at least 3; got 2; take 16"):
        check_count("width", 2, minimum=3, remedy="take 16")
    with pytest.raises(ValueError, match="`n_classes` must be at least 1; got 0; pass the number"):
        check_n_classes(0)
    with pytest.raises(ValueError, match=r"`in_channels` .* 1; got -1; .* as in `X.shape\[1\]`"):
        check_in_channels(-1)
