"""What is no callback, and what a callback is not built with, is said in words."""

import pytest
from skorch.callbacks import (
    BatchScoring,
    Callback,
    EarlyStopping,
    EpochScoring,
    EpochTimer,
    Freezer,
    LRScheduler,
    PrintLog,
)
from torch import nn

from classifier_cases import blobs, quick

DATA = blobs()
X, Y, X_META, Y_META = DATA
META = {"X_meta": X_META, "y_meta": Y_META}


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"callbacks": 3}, '`callbacks` must be None, "disable" or a list of skorch call.*got 3'),
        ({"callbacks": "off"}, "`callbacks` must be None, .*; got 'off'. Put them into a list"),
        (
            {"callbacks": (Callback,)},
            r"`callbacks` must be .* or a list .*; got \(<class.*Put them",
        ),
        ({"callbacks": [3]}, r"`callbacks\[0\]` must be a skorch callback, .*; got 3"),
        ({"callbacks": [("a", 3)]}, r"`callbacks\[0\]` must be a skorch callback, .*; got 3"),
        (
            {"callbacks": [3, ("a", int), nn.Linear]},
            r"`callbacks\[0\]` .*; got 3. .* `callbacks\[1\]` .*; got <class 'int'>. "
            r".* `callbacks\[2\]` .*Linear'>. See skorch.callbacks for those there are",
        ),
        (
            {"callbacks": [(1, EpochTimer())]},
            r"`callbacks\[0\]` must have a text for its name; got 1. Pass \(\"name\", EpochTimer\(",
        ),
        ({"callbacks__print_log": 3}, "`callbacks__print_log` must be a skorch callback.*; got 3"),
    ],
    ids=lambda value: None if isinstance(value, dict) else value,
)
def test_what_is_no_callback(bad, words):
    with pytest.raises(TypeError, match=words):
        quick(**bad).fit(*DATA)
    net = quick().fit(*DATA)
    with pytest.raises(TypeError, match=words):
        net.set_params(**bad)
    net.partial_fit(X, Y, **META)


LACKING = {
    "alone": ({"callbacks": [EpochScoring]}, ["EpochScoring", "scoring"]),
    "named": ({"callbacks": [("own", EpochScoring)]}, ["own", "EpochScoring", "scoring"]),
    "several": (
        {"callbacks": [EpochScoring, ("b", BatchScoring)]},
        ["EpochScoring__...", "scoring", "callbacks__b__...", "BatchScoring"],
    ),
    "inside": ({"callbacks": [Freezer]}, ["Freezer", "patterns"]),
    "in another's place": ({"callbacks__print_log": EpochScoring}, ["print_log", "EpochScoring"]),
    "misspelt": (
        {"callbacks": [("own", EpochScoring)], "callbacks__own__scorin": "accuracy"},
        ["own", "EpochScoring", r"\['scorin'\]"],
    ),
}


@pytest.mark.parametrize("case", LACKING)
def test_a_class_that_lacks_arguments(case):
    params, told = LACKING[case]
    words = ".*".join(["`callbacks__", *told, r"Correct them, or give an instance, \w+\(...\)"])
    with pytest.raises(TypeError, match=words):
        quick(**params).fit(*DATA)


@pytest.mark.parametrize("kind", [EpochTimer, PrintLog, LRScheduler, ("own", EpochTimer)])
def test_classes_that_lack_nothing_are_built(kind):
    name, built = kind if isinstance(kind, tuple) else (kind.__name__, kind)
    net = quick(callbacks=[kind], verbose=0).fit(*DATA)
    assert type(dict(net.callbacks_)[name]) is built
    given = {"callbacks__own__scoring": "accuracy", "callbacks__own__on_train": True}
    net = quick(callbacks=[("own", EpochScoring)], **given).fit(*DATA)
    assert "accuracy" in net.history[-1]


@pytest.mark.parametrize(
    ("params", "words"),
    [
        (
            {"callbacks": [("a", EarlyStopping("train_loss"))], "callbacks__a__patiens": 3},
            r"`callbacks__a__...` must be a setting of the callback, EarlyStopping, which has "
            r"\[.*'patience', .*; got \['patiens'\]. Correct the name, or leave it out",
        ),
        (
            {"callbacks__print_log": None, "callbacks__print_log__sink": print},
            r"`callbacks__print_log__...` must be .*, None, which has \[\]; got \['sink'\]",
        ),
    ],
    ids=["instance", "None"],
)
def test_settings_that_a_callback_does_not_have(params, words):
    with pytest.raises(ValueError, match=words):
        quick(**params).fit(*DATA)


def test_what_a_callback_raises_of_itself_comes_as_it_is():
    class Refuses(Callback):
        def initialize(self):
            raise ValueError("not today")

    with pytest.raises(ValueError, match=r"^not today$"):
        quick(callbacks=[Refuses()]).fit(*DATA)
