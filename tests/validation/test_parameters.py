"""The estimator's own parameters: each rule, and all offenders at once."""

import re

import numpy as np
import pandas as pd
import pytest
import torch

from classifier_cases import Net, blobs, quick
from skgdw import GDWClassifier
from skgdw._validation._parameters import RULES

DATA = blobs()
X, Y, X_META, Y_META = DATA


@pytest.fixture(autouse=True)
def _counts():
    Net.built = Net.calls = 0


BAD_PARAMETERS = {
    "weighting": (
        ["gdw", None, 1],
        "`weighting` must be one of ['class', 'class_pair', 'instance', 'network', 'uniform'], or "
        "a skgdw.weighting.Weighting, its class or an instance; got ",
    ),
    "meta_gradient": (
        ["backward", None],
        "`meta_gradient` must be one of ['auto', 'forward', 'difference', 'unrolled']; got ",
    ),
    "meta_lr": ([-0.1, np.nan, np.inf, "0.1", None, True], "`meta_lr` must be a number >= 0; got "),
    "weight_clip": ([0, -1, np.nan, "x", None], "`weight_clip` must be a number > 0; got "),
    "min_gradient_share": (
        [-0.1, 1.5, np.nan, "x", True],
        "`min_gradient_share` must be a number in [0, 1], or None; got ",
    ),
    "meta_every": ([0, -1, 1.5, "2", True], "`meta_every` must be an integer >= 1, or None; got "),
    "meta_weight": (
        [-0.1, np.inf, "1", True],
        "`meta_weight` must be a number >= 0, or None; got ",
    ),
    "lookahead_lr": (
        [0, -1, np.inf, "auto", True],
        "`lookahead_lr` must be a number > 0, or None; got ",
    ),
    "max_epochs": ([-1, 2.5, None], "`max_epochs` must be an integer >= 0; got "),
    "warm_start": (["x", 1, None], "`warm_start` must be True or False; got "),
    "verbose": (["a", 0.5, None], "`verbose` must be an integer, True or False; got "),
}


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, (values, _) in BAD_PARAMETERS.items() for value in values],
)
def test_bad_parameter(name, value):
    net = quick(**{name: value})
    for method in (net.fit, net.partial_fit):
        with pytest.raises(ValueError, match=re.escape(f"{BAD_PARAMETERS[name][1]}{value!r}.")):
            method(*DATA[:2], X_meta=X_META, y_meta=Y_META)
    assert Net.built == Net.calls == 0


@pytest.mark.parametrize(
    "good",
    [
        {"meta_lr": 0},
        {"meta_lr": np.float32(0.1)},
        {"weight_clip": np.float64(0.1)},
        {"meta_every": np.int64(2)},
        {"lookahead_lr": 1},
        {"lookahead_lr": None},
        {"max_epochs": 0},
    ],
    ids=str,
)
def test_good_parameter(good):
    net = quick(**good).fit(*DATA)
    assert len(net.history) == net.max_epochs


def test_bad_parameters_are_named_all_at_once():
    bad = {name: values[0] for name, (values, _) in BAD_PARAMETERS.items()}
    with pytest.raises(ValueError, match="must be") as caught:
        quick(**bad).fit(*DATA)
    assert [name for name in bad if f"`{name}` must be" not in str(caught.value)] == []


def test_bad_parameters_come_to_light_before_bad_rows():
    with pytest.raises(ValueError, match="`meta_lr` must be"):
        quick(meta_lr=-1).fit(X * np.nan, Y)


@pytest.mark.parametrize(
    ("meta_size", "error", "words"),
    [
        (0.0, ValueError, "`meta_size` as a float must lie strictly between 0 and 1"),
        (1.0, ValueError, "`meta_size` as a float must lie strictly between 0 and 1"),
        (0, ValueError, "`meta_size` must be at least the number of classes, 3; got 0 rows"),
        ("10%", TypeError, "`meta_size` must be a number of rows (int) or a share of them (float)"),
        (True, TypeError, "`meta_size` must be a number of rows (int) or a share of them (float)"),
        (None, TypeError, "`meta_size` must be a number of rows (int) or a share of them (float)"),
    ],
)
def test_bad_meta_size(meta_size, error, words):
    with pytest.raises(error, match=re.escape(words)):
        quick(meta_size=meta_size).fit(X, Y)
    assert Net.built == Net.calls == 0
    quick(meta_size=meta_size).fit(*DATA)  # no one asks for it beside a meta set


def test_unknown_parameter():
    for name in ("meta_rate", "moduel__hidden", "iterator_mta__batch_size"):
        with pytest.raises(ValueError, match=f"GDWClassifier must be .*; got unexpected `{name}`"):
            GDWClassifier(**{name: 3}).fit(*DATA)
        with pytest.raises(ValueError, match="Invalid parameter"):
            quick().set_params(**{name: 3})
    assert Net.calls == 0


@pytest.mark.parametrize("batch_size", [0, -2, 1.5, None])
def test_bad_batch_size(batch_size):
    with pytest.raises((ValueError, TypeError), match="batch_size"):
        quick(batch_size=batch_size).fit(*DATA)


@pytest.mark.parametrize("batch_size", [0, -2])
def test_bad_meta_batch_size(batch_size):
    with pytest.raises(ValueError, match="iterator_meta__batch_size"):
        quick(iterator_meta__batch_size=batch_size).fit(*DATA)


@pytest.mark.parametrize("lr", [-1.0, "fast", None])
def test_bad_learning_rate(lr):
    with pytest.raises((ValueError, TypeError), match=r"lr|learning rate"):
        quick(lr=lr).fit(*DATA)


@pytest.mark.parametrize("seed", ["zero", 1.5, -1])
def test_bad_random_state(seed):
    with pytest.raises(
        (ValueError, TypeError), match=r"`random_state` must be None, an int from 0"
    ):
        quick(random_state=seed).fit(*DATA)


# --- the table itself ------------------------------------------------------------

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


@pytest.mark.parametrize("weight", [np.ones(3), pd.Series([1.0, 2.0, 3.0]), [1, 2, 3]], ids=type)
def test_weights_of_classes_go_by_label(weight):
    with pytest.raises(ValueError, match=r"`class_weight` must be \"balanced\", a mapping of lab"):
        quick(class_weight=weight).fit(*blobs())
