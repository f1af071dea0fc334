"""The table of rules for parameters: each names one that there is, and tells good from bad."""

import numpy as np
import pytest
import torch

from classifier_cases import blobs, quick
from skgdw import GDWClassifier
from skgdw._validation._parameters import RULES

DATA = blobs()
BY_NAME = {rule.name: rule for rule in RULES}


def test_every_rule_is_about_a_parameter():
    known = GDWClassifier().get_params()
    parts = ("iterator_train__", "iterator_valid__", "iterator_meta__")
    assert [name for name in BY_NAME if name not in known and not name.startswith(parts)] == []
    assert len(BY_NAME) == len(RULES)


def test_the_defaults_keep_every_rule():
    defaults = GDWClassifier().get_params()
    assert [rule.name for rule in RULES if not rule.holds(defaults.get(rule.name, 1))] == []


@pytest.mark.parametrize(
    ("name", "value", "holds"),
    [
        ("lr", torch.tensor(0.1), True),
        ("lr", 0, True),
        ("lr", -0.1, False),
        ("lookahead_lr", None, True),
        ("lookahead_lr", 0, False),
        ("meta_every", np.int64(1), True),
        ("meta_every", 1.0, False),
        ("balance_meta", np.bool_(False), True),
        ("balance_meta", 1, False),
        ("min_gradient_share", 1, True),
        ("min_gradient_share", 1.01, False),
        ("min_gradient_share", np.nan, False),
        ("batch_size", -1, True),
        ("batch_size", 0, False),
        ("batch_size", True, False),
        ("batch_size", -1.0, False),
    ],
)
def test_rules(name, value, holds):
    assert BY_NAME[name].holds(value) is holds


def test_faults_of_several_rules_stand_in_their_order():
    words = (
        r"`weighting` must be one of .* `meta_lr` must be a number >= 0; got -1\. .*"
        r"`iterator_meta__batch_size` must be an integer >= 1, or -1 for all rows; got 0\."
    )
    with pytest.raises(ValueError, match=words):
        quick(weighting="gdw", meta_lr=-1, iterator_meta__batch_size=0).fit(*DATA)


def test_weights_of_classes_have_another_name_here():
    words = (
        r"got unexpected `class_weight` \(did you mean `criterion__weight`, a tensor of one weig"
    )
    with pytest.raises(ValueError, match=words):
        quick(class_weight="balanced").fit(*DATA)
