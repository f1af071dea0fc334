"""What may stand for the parts a net is built of: refused in words, all at once."""

import re
from functools import partial

import numpy as np
import pytest
from torch import nn
from torch.utils.data import DataLoader

from classifier_cases import blobs, quick

DATA = blobs()
X, Y, X_META, Y_META = DATA
META = {"X_meta": X_META, "y_meta": Y_META}
BAD_PARTS = {
    "module": (3, '"auto", a torch module or its class'),
    "criterion": ("x", "a torch criterion or its class"),
    "optimizer": ("SGD", "a torch optimizer class, such as torch.optim.SGD"),
    "weight_net": (3, "a torch module or its class"),
    "weight_net_optimizer": (None, "a torch optimizer class, such as torch.optim.Adam"),
    "iterator_train": (None, "a class such as torch.utils.data.DataLoader"),
    "iterator_valid": (3, "a class such as torch.utils.data.DataLoader"),
    "iterator_meta": (3, "a class such as torch.utils.data.DataLoader"),
    "dataset": (None, "a class such as skorch.dataset.Dataset"),
    "train_split": (0.2, "None or a skorch split, such as skorch.dataset.ValidSplit(5)"),
    "predict_nonlinearity": ("x", '"auto", None or a callable'),
    "classes": (3, "None or a sequence of labels"),
}


@pytest.mark.parametrize("name", BAD_PARTS)
def test_what_cannot_stand_for_a_part(name):
    value, rule = BAD_PARTS[name]
    words = re.escape(f"`{name}` must be {rule}") + f".*; got {value!r}"
    with pytest.raises(ValueError, match=words):
        quick().set_params(**{name: value}).fit(*DATA)
    net = quick().fit(*DATA).set_params(**{name: value})
    for method in (net.fit, net.partial_fit):
        with pytest.raises(ValueError, match=words):
            method(X, Y, **META)


def test_all_are_named_at_once():
    with pytest.raises(
        ValueError, match=r"`optimizer` must be .*`train_split` must be .*`module__q`"
    ):
        quick(optimizer="SGD", train_split=0.2, module__q=1).fit(*DATA)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"iterator_valid__foo": 3}, "must be arguments of DataLoader; got `iterator_valid__foo`"),
        ({"iterator_valid": 3}, "`iterator_valid` must be a class"),
        ({"iterator_valid__shuffle": True}, "`iterator_valid__shuffle` must be False to predict"),
        (
            {"iterator_valid__drop_last": True, "iterator_valid__shuffle": True},
            "`iterator_valid__shuffle` must be .*`iterator_valid__drop_last` must be False to",
        ),
        (
            {"iterator_valid__sampler": np.arange(48)[::-1]},
            "`iterator_valid__sampler` must be None to predict: .* in the order of the rows; got",
        ),
        (
            {"iterator_valid__batch_sampler": [[1, 0], [2]]},
            r"`iterator_valid__batch_sampler` must be None to predict: .*; got \[\[1, 0\], \[2\]\]",
        ),
        (
            {"iterator_valid": partial(DataLoader, shuffle=True)},
            "`iterator_valid__shuffle` must be False to predict",
        ),
        ({"dataset": 3}, "`dataset` must be a class"),
        ({"predict_nonlinearity": "x"}, '`predict_nonlinearity` must be "auto", None or a callab'),
    ],
    ids=str,
)
def test_what_prediction_cannot_use_any_more(bad, words):
    net = quick().fit(*DATA)
    before = {name: net.get_params()[name] for name in bad if "__" not in name}
    net.set_params(**bad)
    with pytest.raises(ValueError, match=words):
        net.predict(X)
    if before:
        assert net.set_params(**before).predict(X).shape == (48,)


@pytest.mark.parametrize("weighting", ["class", "uniform"])
@pytest.mark.parametrize(
    "bad",
    [{"criterion__reduction": "none"}, {"criterion": nn.CrossEntropyLoss(reduction="none")}],
    ids=["argument", "instance"],
)
def test_a_loss_for_each_row(bad, weighting):
    with pytest.raises(ValueError, match=r"`criterion` must reduce .*; got reduction=.none"):
        quick(weighting=weighting, **bad).fit(*DATA)
