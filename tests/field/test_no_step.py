"""A fit that takes no step says so, and leaves the classifier as it was."""

from functools import partial

import numpy as np
import pytest
from skorch.dataset import ValidSplit
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler, SubsetRandomSampler

from classifier_cases import Rows, blobs, quick

X, Y, X_META, Y_META = blobs(40)
DATA = X, Y, X_META, Y_META
DROPS = {"iterator_train__drop_last": True, "batch_size": 64}
DROPPED = (
    r"`iterator_train` must give a batch in every epoch; got none from 40 rows in batches of 64 "
    r"with drop_last=True. Lower `batch_size`, or leave out `iterator_train__drop_last`"
)


@pytest.mark.parametrize("weighting", ["class_pair", "class", "uniform"])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_rows_that_make_no_whole_batch(weighting, method):
    net = quick(weighting=weighting, **DROPS)
    meta = {"X_meta": X_META, "y_meta": Y_META}
    with pytest.raises(ValueError, match=DROPPED):
        getattr(net, method)(X, Y, **meta)
    assert not hasattr(net, "module_")
    getattr(net.set_params(batch_size=20), method)(X, Y, **meta)
    assert net.history[-1, "train_batch_count"] == 2


def test_a_fitted_net_stays_as_it_was():
    net = quick().fit(*DATA)
    before = net.predict_proba(X), len(net.history)
    with pytest.raises(ValueError, match=DROPPED):
        net.set_params(**DROPS).partial_fit(X, Y, X_meta=X_META, y_meta=Y_META)
    assert np.array_equal(net.predict_proba(X), before[0])
    assert len(net.history) == before[1]


@pytest.mark.parametrize(
    "options",
    [
        {"iterator_train": partial(DataLoader, drop_last=True), "batch_size": 64},
        {"iterator_train__sampler": SubsetRandomSampler([])},
        {"iterator_train__batch_sampler": BatchSampler(SequentialSampler([]), 4, drop_last=False)},
        {"iterator_train": lambda dataset, **options: iter([])},
    ],
    ids=["partial", "sampler", "batch sampler", "iterator"],
)
@pytest.mark.parametrize("is_dataset", [False, True])
def test_loaders_that_give_nothing(options, is_dataset):
    rows = Rows(X.astype(np.float32), Y) if is_dataset else X
    with pytest.raises(
        ValueError, match="`iterator_train` must give a batch in every epoch; got none"
    ):
        quick(weighting="uniform", **options).fit(rows, Y)


def test_a_loader_that_can_be_gone_through_once():
    def once(dataset, **options):
        return iter(list(zip(dataset.X.split(8), dataset.y.split(8), strict=True)))

    words = "must give a batch in every epoch; got none. Pass a loader or sampler that can be gone"
    with pytest.raises(ValueError, match=words):
        quick(weighting="uniform", iterator_train=once, max_epochs=2).fit(X, Y)


@pytest.mark.parametrize(
    "options",
    [
        {"iterator_meta__sampler": SubsetRandomSampler([])},
        {"iterator_meta": lambda dataset, **options: iter([])},
    ],
)
def test_a_meta_loader_that_gives_nothing(options):
    with pytest.raises(ValueError, match="`iterator_meta` must give batches in every round"):
        quick(**options).fit(*DATA)


def test_meta_rows_that_make_no_whole_batch_still_teach():
    net = quick(iterator_meta__drop_last=True, iterator_meta__batch_size=64).fit(*DATA)
    assert np.isfinite(net.history[-1, "meta_loss"])


def test_validation_rows_that_make_no_whole_batch():
    words = (
        r"`iterator_valid` must give a batch .* with drop_last=True. .*`iterator_valid__drop_last`"
    )
    options = {"iterator_valid__drop_last": True, "train_split": ValidSplit(4)}
    with pytest.raises(ValueError, match=words):
        quick(**options).fit(*DATA)
