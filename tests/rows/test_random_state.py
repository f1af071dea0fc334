"""Where random numbers about rows come from."""

import numpy as np
import pytest

from classifier_cases import global_random_states
from skgdw._rows import local_random_state


def test_a_seed_fixes_the_draws_and_a_generator_is_used_on():
    first, second = (local_random_state(3).randint(2**31, size=4) for _ in range(2))
    assert first.tolist() == second.tolist()
    own = np.random.RandomState(3)
    assert local_random_state(own) is own


def test_without_a_seed_numpys_global_state_is_left_alone():
    before = global_random_states()
    draws = {local_random_state(None).randint(2**31) for _ in range(4)}
    assert len(draws) > 1
    assert global_random_states() == before


@pytest.mark.parametrize(
    ("seed", "error"),
    [(-1, ValueError), (2**32, ValueError), ("a", TypeError), (0.5, TypeError)],
)
def test_what_is_no_seed_is_refused(seed, error):
    with pytest.raises(error, match=r"`random_state` must be None, an int from 0 to 2\*\*32 - 1"):
        local_random_state(seed)
