"""What `fit` warns of, and when it keeps quiet."""

import warnings

import numpy as np
import pytest
from torch import nn

from classifier_cases import Net, blobs, quick, weights
from skgdw.exceptions import (
    MetaClassWarning,
    MetaGradientFallbackWarning,
    MetaOverlapWarning,
    MetaScaleWarning,
    MetaSlicedWarning,
    NoMetaSetWarning,
    NonFiniteLossWarning,
    ProbabilityOutputWarning,
    SkgdwWarning,
)

DATA = blobs()
X, Y, X_META, Y_META = DATA


def only_checks(module=Net, **params):
    """Return a classifier whose fit ends after the checks and the building."""
    return quick(module, max_epochs=0, **params)


def caught_in_fit(net, *args, **kwargs):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SkgdwWarning)
        net.fit(*args, **kwargs)
    return [entry for entry in caught if issubclass(entry.category, SkgdwWarning)]


def test_every_warning_can_be_caught_at_once():
    with pytest.raises(SkgdwWarning, match="No meta set"):
        only_checks().fit(X, Y)


# --- no meta set ----------------------------------------------------------------------------------


def test_no_meta_set():
    words = (
        r"No meta set was given: 5 of the 48 rows, balanced over the classes, were taken out of "
        r"the training set.*That can mend class imbalance; it cannot mend label noise.*"
        r"Pass X_meta and y_meta, or meta_mask, with trusted labels\.$"
    )
    with pytest.warns(NoMetaSetWarning, match=words):
        net = quick().fit(X, Y)
    assert np.isnan(net.row_weights_).sum() == 5
    assert not np.isnan(net.row_weights_).all()


@pytest.mark.parametrize(("meta_size", "rows"), [(0.25, 12), (9, 9), (1000, 24)])
def test_rows_taken_out_are_meta_size_and_balanced(meta_size, rows):
    with pytest.warns(NoMetaSetWarning, match=f"given: {rows} of the 48 rows"):
        net = quick(meta_size=meta_size).fit(X, Y)
    taken = np.bincount(Y[np.isnan(net.row_weights_)], minlength=3)
    assert taken.sum() == rows
    assert np.ptp(taken) <= 1


def test_no_meta_set_names_the_classes_that_gave_no_row():
    y = np.where(np.arange(48) == 5, "rare", np.array([*"abc"])[Y])
    with pytest.warns(NoMetaSetWarning, match=r"Classes with a single row gave none: \['rare'\]"):
        only_checks(module__n_classes=4).fit(X, y)


def test_partial_fit_takes_rows_out_as_well():
    with pytest.warns(NoMetaSetWarning, match="5 of the 48 rows"):
        quick().partial_fit(X, Y)


# --- plain training -------------------------------------------------------------------------------


def test_uniform_weighting_is_quiet_and_keeps_every_row():
    data = blobs(24, 24)
    shared = np.vstack([data.X[:3], 100 * data.X_meta[3:]])
    few = data.y_meta.copy()
    few[few == 2] = 0
    net = quick(weighting="uniform").fit(data.X, data.y, shared, few)
    alone = quick(weighting="uniform").fit(data.X, data.y)
    assert np.array_equal(weights(net), weights(alone))
    assert sum(batch["train_batch_size"] for batch in alone.history[-1, "batches"]) == 24
    assert net.meta_gradient_ is None
    assert net.row_weights_ is None
    assert not {"meta_loss", "weight_given", "weight_other"} & set(net.history[-1])


def test_uniform_weighting_takes_rows_under_a_mask_out():
    mask = np.arange(48) < 12
    net = quick(weighting="uniform").fit(X, Y, meta_mask=mask)
    assert np.array_equal(weights(net), weights(quick(weighting="uniform").fit(X[~mask], Y[~mask])))


# --- training -------------------------------------------------------------------------------------


@pytest.mark.parametrize("weighting", ["class", "uniform"])
def test_diverging_loss(weighting):
    words = "`train_loss` should stay finite; it became infinite or NaN in epoch 1. Lower `lr`"
    with pytest.warns(NonFiniteLossWarning, match=words):
        quick(weighting=weighting, lr=1e30, batch_size=8).fit(*DATA)


class Recurrent(nn.Module):
    """torch has no forward-mode derivatives of it."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(1, 4, batch_first=True)
        self.out = nn.Linear(4, 3)

    def forward(self, X):
        return self.out(self.lstm(X[:, :, None])[0][:, -1])


def test_module_without_forward_derivatives():
    words = '"auto" needs derivatives that Recurrent does not have.*Using "unrolled" instead'
    with pytest.warns(MetaGradientFallbackWarning, match=words):
        net = quick(Recurrent).fit(*DATA)
    assert net.meta_gradient_ == "unrolled"
    quick(Recurrent, meta_gradient="unrolled").fit(*DATA)


class Probabilities(Net):
    def forward(self, X):
        return super().forward(X).softmax(dim=1)


WARNED = {
    NoMetaSetWarning: (quick, (X, Y)),
    MetaClassWarning: (quick, (X, Y, X_META[:1], Y_META[:1])),
    MetaOverlapWarning: (quick, (X, Y, X[:12], Y[:12])),
    MetaScaleWarning: (quick, (X, Y, X_META + 1000, Y_META)),
    MetaSlicedWarning: (quick, blobs(24, 24)),
    ProbabilityOutputWarning: (lambda: quick(Probabilities), DATA),
    MetaGradientFallbackWarning: (lambda: quick(Recurrent), DATA),
    NonFiniteLossWarning: (lambda: quick(lr=1e30, batch_size=8), DATA),
}


@pytest.mark.parametrize("category", WARNED, ids=lambda c: c.__name__)
def test_warning_points_at_the_callers_line(category):
    """Python shows a warning once for each place it points at: that must be the caller's."""
    make, arguments = WARNED[category]
    (entry,) = caught_in_fit(make(), *arguments)
    assert entry.category is category
    assert entry.filename == __file__


def test_two_faults_give_two_warnings():
    rows = np.vstack([X[:6], X_META[6:]])
    caught = caught_in_fit(quick(), X, Y, rows[Y_META != 1], Y_META[Y_META != 1])
    assert [entry.category for entry in caught] == [MetaClassWarning, MetaOverlapWarning]
