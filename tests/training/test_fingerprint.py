"""What a fit was made with, in texts: the same in every process, other where it matters."""

from functools import partial

import numpy as np
import pytest
import torch
from skorch.callbacks import EpochTimer, Freezer, LRScheduler
from skorch.dataset import ValidSplit
from torch import nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import StepLR

from classifier_cases import Net, Rows, quick
from skgdw._intake._check_fit import TrainingData
from skgdw._intake._hold_out import Rows as Part
from skgdw._training._fingerprint import fingerprint
from skgdw.weighting import ClassWeighting

X = np.arange(24, dtype=np.float32).reshape(6, 4)
Y = np.arange(6) % 3


def data(X=X, y=Y, rows=None, meta=None, valid=None):
    rows = np.arange(6) if rows is None else rows
    return TrainingData(Part(X, y, rows), meta, valid, np.arange(3), 6)


def of(**params):
    return fingerprint(params, data())


class Built(nn.Module):
    def __init__(self, width=3, rate=0.5, buffer=1.0):
        super().__init__()
        self.rate = rate
        self.layers = nn.Sequential(nn.Linear(4, width), nn.Dropout(rate))
        self.register_buffer("scale", torch.tensor(buffer))


class Acting(nn.Module):
    def __init__(self, act=torch.tanh, start=0.5, options=()):
        super().__init__()
        self.act, self.options = act, dict(options)
        self.gain, self.drawn = nn.Parameter(torch.tensor(start)), nn.Linear(1, 1)


@pytest.mark.parametrize(
    ("one", "alike", "others"),
    [
        (0.1, np.float64(0.1), [0.2, np.float32(0.1), "0.1", None]),
        ((1, 2), [1, 2], [(2, 1), (1,)]),
        ({1, 2}, {2, 1}, [{1}]),
        ({"lr": 0.1}, {"lr": 0.1}, [{"lr": 0.2}, {}]),
        ([("2.*", {"lr": 0.4})], [("2.*", {"lr": 0.4})], [[("2.*", {"lr": 0.5})]]),
        (torch.ones(3), torch.ones(3), [torch.zeros(3), torch.ones(2), torch.ones(3).double()]),
        (torch.ones(3).bfloat16(), torch.ones(3).bfloat16(), [torch.zeros(3).bfloat16()]),
        (np.ones(3), np.ones(3), [np.ones(3, dtype=int), np.array(["a"])]),
        (Net, Net, [Built, "auto"]),
        (F.relu, F.relu, [F.tanh]),
        (partial(Net, hidden=3), partial(Net, hidden=3), [partial(Net, hidden=4), Net]),
        # Instances are copies of what will be trained: their parameters are drawn anew.
        (Built(), Built(), [Built(width=2), Built(rate=0.1), Built(buffer=2.0), Net()]),
        (
            nn.CrossEntropyLoss(torch.ones(3)),
            nn.CrossEntropyLoss(torch.ones(3)),
            [nn.CrossEntropyLoss(), nn.CrossEntropyLoss(torch.arange(3.0))],
        ),
        (ValidSplit(5), ValidSplit(5), [ValidSplit(4), ValidSplit(5, stratified=True)]),
        (ClassWeighting(nn.Linear(1, 1)), ClassWeighting(nn.Linear(1, 1)), []),
        (
            Acting(),
            Acting(),
            [
                Acting(act=torch.relu),
                Acting(act=lambda x: x + 1),
                Acting(start=0.1),
                Acting(options={"a": 2}),
            ],
        ),
        (lambda x: F.relu(x), lambda x: F.relu(x), [lambda x: F.tanh(x), lambda x: F.relu(x + 1)]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_of_parameters(one, alike, others):
    assert of(value=one) == of(value=alike)
    for other in others:
        assert of(value=one) != of(value=other), other


def test_frozen_parameters_count():
    module = Built()
    module.layers[0].weight.requires_grad_(False)
    assert of(module=module) != of(module=Built())


def test_values_that_are_no_part_of_it():
    assert of(verbose=1, device="cpu", callbacks=[1], callbacks__resume=None) == of()
    assert of(lr=0.1) != of()


def test_schedules_count_where_other_callbacks_do_not():
    def schedule(power):
        return [("other", Freezer("a")), ("rate", LRScheduler(StepLR, step_size=power))]

    assert of(callbacks=schedule(2)) == of(callbacks=schedule(2)) != of(callbacks=schedule(3))
    assert of(callbacks=schedule(2)) != of(callbacks=schedule(2)[:1]) == of(callbacks=None)
    assert of(callbacks__lr_schedule=None) != of()


def test_schedules_that_are_given_as_classes_count_with_their_settings():
    def named(step_size, kind=LRScheduler):
        settings = {"callbacks__own__policy": StepLR, "callbacks__own__step_size": step_size}
        return of(callbacks=[("own", kind)], **settings)

    assert named(2) == named(2) != named(3)
    assert named(2, EpochTimer) == named(3, EpochTimer)
    assert of(callbacks=[LRScheduler]) != of(callbacks=[EpochTimer]) == of(callbacks=None)


def test_texts_can_be_read():
    texts = of(lr=0.1, module=Net, module__hidden=8)
    assert texts["lr"] == "0.1"
    assert texts["module"] == "classifier_cases.Net"
    assert texts["module__hidden"] == "8"
    assert texts["the training rows"].startswith("6 rows ")
    assert texts["the classes"] == "[0, 1, 2]"


def test_all_parameters_of_a_classifier_have_a_text():
    params = quick("auto").get_params(deep=False)
    texts = fingerprint(params, data())
    assert {"lr", "module", "weighting", "max_epochs", "random_state"} <= texts.keys()
    assert not any(" at 0x" in text for text in texts.values())


def changed(X):
    other = X.copy()
    other[3, 2] += 1e-3
    return other


@pytest.mark.parametrize(
    ("other", "names"),
    [
        (data(X=changed(X)), {"the training rows"}),
        (data(X=X.astype(np.float64)), {"the training rows"}),
        (data(X=X.reshape(6, 2, 2)), {"the training rows"}),
        (data(y=Y[::-1].copy()), {"the training rows"}),
        (data(rows=np.arange(1, 7)), {"the training rows"}),  # another mask
        (data(meta=Part(X, Y, np.arange(6))), {"the meta rows"}),
        (data(valid=Part(X, Y, np.arange(6))), {"the validation rows"}),
        (TrainingData(data().train, None, None, np.arange(1, 4), 6), {"the classes"}),
    ],
)
def test_data_that_differ(other, names):
    first, second = fingerprint({}, data()), fingerprint({}, other)
    assert {k for k in first.keys() | second.keys() if first.get(k) != second.get(k)} == names


def test_rows_in_any_container():
    def rows(X):
        return fingerprint({}, data(X=X))["the training rows"]

    assert rows(np.asfortranarray(X)) == rows(X)
    assert rows(torch.as_tensor(X)) == rows(torch.as_tensor(X).T.contiguous().T)
    assert rows({"a": X}) != rows({"b": X})
    assert rows({"a": X, "b": X}) != rows({"a": X, "b": changed(X)})
    assert rows({"a": torch.as_tensor(X).bfloat16()}) != rows({"a": torch.zeros(6, 4).bfloat16()})
    # Of a Dataset the rows are not read.
    assert rows(Rows(X, Y)) == rows(Rows(changed(X), Y)) != rows(X)
    labels = [fingerprint({}, data(X=Rows(X, Y), y=y)) for y in (Y, Y[::-1].copy(), None)]
    assert len({texts["the training rows"] for texts in labels}) == 3
