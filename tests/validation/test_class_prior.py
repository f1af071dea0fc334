"""The parameter that says how frequent the classes are where predictions are for."""

import numpy as np
import pytest

from skgdw._validation import check_class_prior
from skgdw._validation._class_prior import class_prior_fault


@pytest.mark.parametrize("good", ["meta", "train", [1, 2, 3], np.array([0.2, 0.3, 0.5])])
def test_what_may_be_said(good):
    assert class_prior_fault(good) is None
    check_class_prior(good, 3, np.ones(3) / 3)


@pytest.mark.parametrize(
    "bad",
    ["test", None, 0.5, [], [0.5, 0.0], [1, -1], [[1, 2]], [np.nan, 1], ["a", "b"], [1, np.inf]],
)
def test_what_may_not(bad):
    with pytest.raises(ValueError, match='`class_prior` must be "meta", "train", or the share'):
        check_class_prior(bad, 2, np.ones(2) / 2)


def test_shares_must_fit_the_classes():
    with pytest.raises(ValueError, match=r"one share for each of the 3 classes.*got 2"):
        check_class_prior([0.5, 0.5], 3, None)


def test_shares_must_have_been_estimated():
    with pytest.raises(ValueError, match=r'does not estimate.*got "train". Use weighting='):
        check_class_prior("train", 3, None)
