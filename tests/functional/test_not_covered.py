"""The words for what a recorded graph does not tell."""

import pickle

from skgdw.functional import NotCovered


def test_the_error_says_the_rule_what_was_found_and_the_remedy():
    error = NotCovered("CosBackward0")
    assert str(error) == (
        "forward mode along the recorded graph does not cover CosBackward0; "
        'dual numbers (method="forward") need no graph.'
    )
    assert isinstance(error, NotImplementedError)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
