"""What callbacks that score see; every kind of labels is in tests/field/test_labels.py."""

import datetime
import pickle
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import torch
from skorch.callbacks import Callback, EpochScoring
from skorch.utils import to_numpy

from classifier_cases import blobs, quick
from skgdw._net._scoring import as_labels_of

NAMES = np.array(["ash", "elm", "oak"])
NUMBERS = np.array([5, 7, 9])
X, Y, *META = blobs()


def test_codes_become_labels():
    codes = torch.tensor([2, 0])
    assert as_labels_of(codes, NAMES).tolist() == ["oak", "ash"]
    assert torch.equal(as_labels_of(codes, NUMBERS), torch.tensor([9, 5]))
    assert as_labels_of(np.array([1]), NUMBERS).tolist() == [7]
    swapped = NUMBERS.astype(NUMBERS.dtype.newbyteorder())
    assert torch.equal(as_labels_of(codes, swapped), torch.tensor([9, 5]))


@pytest.mark.parametrize(
    "other", [None, torch.tensor([0.0, 1.0]), torch.tensor([0, 3]), torch.tensor([-1]), [0, 1], {}]
)
def test_what_holds_no_codes_is_left(other):
    assert as_labels_of(other, NUMBERS) is other


class Extract:
    """A target extractor that wants tensors."""

    def __call__(self, y):
        return y.numpy() + 0


def test_an_extractor_gets_tensors_of_labels():
    seen = []

    def score(net, rows, y):
        seen.append(set(y.tolist()))
        return net.score(rows, y)

    scoring = EpochScoring(score, name="own", target_extractor=Extract())
    val = X[:30] + 0.1, NUMBERS[Y[:30]]
    net = quick(callbacks=[("own", scoring)], weighting="uniform")
    net.fit(X, NUMBERS[Y], X_val=val[0], y_val=val[1])
    assert seen == [{5, 7, 9}]
    assert net.history[-1, "own"] == net.score(*val)


class Listens(Callback):
    def on_train_begin(self, net, X=None, y=None, **kwargs):
        self.seen = X, y


def test_callbacks_hear_labels_where_training_begins():
    listens = Listens()
    quick(callbacks=[listens], weighting="uniform").fit(X, NAMES[Y])
    assert listens.seen[1].tolist() == NAMES[Y].tolist()


def test_nothing_is_left_on_a_callback():
    scoring = EpochScoring("accuracy", name="own", on_train=True, use_caching=False)
    net = quick(callbacks=[("own", scoring)]).fit(X, NAMES[Y], META[0], NAMES[META[1]])
    own = dict(net.callbacks_)["own"]
    assert own.target_extractor is to_numpy
    assert "_scoring" not in vars(own)
    assert net.history[-1, "own"] == net.score(X, NAMES[Y])


def test_a_net_can_be_kept_while_it_is_scored():
    kept = []
    for caches in (True, False):
        scoring = EpochScoring(_Keep(kept), name="own", on_train=True, use_caching=caches)
        net = quick(callbacks=[("own", scoring)]).fit(X, NAMES[Y], META[0], NAMES[META[1]])
        copy = pickle.loads(kept[-1])
        assert np.array_equal(copy.predict(X), net.predict(X))
        assert "forward_iter" not in vars(copy)
        copy.partial_fit(X, NAMES[Y], X_meta=META[0], y_meta=NAMES[META[1]])
        assert copy.history[-1, "own"] == pytest.approx(copy.score(X, NAMES[Y]), abs=0.3)


class _Keep:
    __name__ = "keep"

    def __init__(self, kept):
        self.kept = kept

    def __reduce__(self):
        return _Keep, ([],)

    def __call__(self, net, X, y):
        self.kept.append(pickle.dumps(net))
        return net.score(X, y)


@pytest.mark.parametrize(
    "names",
    [
        [datetime.date(2020, 1, day) for day in (1, 2, 3)],
        [Decimal("0.5"), Decimal("1.5"), Decimal("2.5")],
        [b"ash", b"elm", b"oak"],
        list(pd.period_range("2020", periods=3, freq="M")),
        list(pd.date_range("2020", periods=3)),
    ],
    ids=["dates", "decimals", "bytes", "periods", "times"],
)
def test_labels_that_can_be_learnt_can_be_scored(names):
    X, y, X_meta, y_meta = blobs()
    labels = np.empty(3, dtype=object)
    labels[:] = names
    net = quick(max_epochs=5).fit(X, list(labels[y]), X_meta, list(labels[y_meta]))
    plain = quick(max_epochs=5).fit(X, y, X_meta, y_meta)
    weight = np.arange(len(y)) % 3
    assert net.score(X, list(labels[y])) == plain.score(X, y)
    assert net.score(X, list(labels[y]), weight) == pytest.approx(plain.score(X, y, weight))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        net.score(X, list(labels[y])[:-1])
