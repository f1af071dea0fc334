"""What a later call takes over, and what a call that ended early leaves behind."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from skorch.callbacks import Callback, EarlyStopping

from classifier_cases import Net, blobs, quick
from skgdw.weighting import ClassWeighting

DATA = blobs()
X, Y, X_META, Y_META = DATA


# --- parameters set between calls -----------------------------------------------------------------


@pytest.mark.parametrize("again", ["partial_fit", "warm fit"])
def test_another_weighting_takes_effect(again):
    net = quick(warm_start=True).fit(*DATA)
    weight_net = net.weight_net_
    for weighting, weights in (("uniform", False), ("network", True)):
        net.set_params(weighting=weighting)
        _ = net.fit(*DATA) if again == "warm fit" else net.partial_fit(X, Y, None, X_META, Y_META)
        assert (net.row_weights_ is not None) is weights
        assert net.weight_net_ is weight_net


def test_another_meta_rate_takes_effect():
    nets = [quick().fit(*DATA) for _ in range(2)]
    nets[1].set_params(meta_lr=0.0)
    for net in nets:
        net.partial_fit(X, Y, None, X_META, Y_META)
    assert nets[1].weighting_.meta_lr == 0.0
    assert not np.array_equal(nets[0].row_weights_, nets[1].row_weights_)


class Priced(ClassWeighting):
    def __init__(self, weight_net, prices):
        super().__init__(weight_net)
        self.prices = prices


@pytest.mark.parametrize(
    "make", [np.asarray, torch.as_tensor, list], ids=lambda make: make.__name__
)
@pytest.mark.parametrize("kept", [lambda net: net, copy.deepcopy], ids=["itself", "copied"])
def test_arrays_among_the_arguments_of_a_weighting(make, kept):
    net = kept(quick(weighting=Priced, weighting__prices=make([1.0, 2.0])).fit(*DATA))
    weighting = net.weighting_
    net.partial_fit(X, Y, None, X_META, Y_META)
    assert net.weighting_ is weighting
    net.set_params(weighting__prices=make([3.0, 4.0])).partial_fit(X, Y, None, X_META, Y_META)
    assert [*net.weighting_.prices] == [3.0, 4.0]


def test_nothing_set_keeps_what_was_learnt():
    net = quick().fit(*DATA)
    weighting = net.weighting_
    assert net.partial_fit(X, Y, None, X_META, Y_META).weighting_ is weighting


def test_an_optimizer_made_anew_is_the_one_that_steps():
    class Renew(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 2:
                net.initialize_optimizer()
                net.optimizer_.param_groups[0]["lr"] = 0.0
                self.before = [p.detach().clone() for p in net.module_.parameters()]

    renew = Renew()
    net = quick(max_epochs=2, callbacks=[renew], callbacks__lr_schedule=None).fit(*DATA)
    assert all(map(torch.equal, net.module_.parameters(), renew.before))


# --- the form of rows -----------------------------------------------------------------------------


def framed(columns, data=DATA):
    """Return the rows as frames of these columns, which are named a to d where they were made."""
    X, X_meta = (
        pd.DataFrame(rows, columns=list("abcd"))[columns] for rows in (data.X, data.X_meta)
    )
    return data._replace(X=X, X_meta=X_meta)


NAMED = framed(list("abcd"))
OTHER_FORMS = {
    "columns in another order": (NAMED, framed(list("dcba")), "same order as they were in fit"),
    "a column less": (NAMED, framed(list("abc")), "feature names should match"),
    "narrower arrays": (DATA, DATA._replace(X=X[:, :2]), "X has 2 features, but .* expecting 4"),
    "a mapping": (DATA, DATA._replace(X={"X": X}), "`X` must be of the form that `fit` was given"),
}


@pytest.mark.parametrize("case", OTHER_FORMS)
def test_a_warm_fit_takes_rows_of_the_form_that_its_network_was_trained_on(case):
    first, second, words = OTHER_FORMS[case]
    net = quick(warm_start=True).fit(*first)
    before = net.predict_proba(first.X)
    with pytest.raises((ValueError, TypeError), match=words):
        net.fit(*second)
    assert np.array_equal(net.predict_proba(first.X), before)


def test_a_fresh_fit_takes_rows_of_another_form():
    net = quick("auto").fit(*NAMED)
    assert list(net.fit(*framed(list("dcb"))).feature_names_in_) == list("dcb")


@pytest.mark.parametrize("again", ["partial_fit", "warm fit"])
def test_the_first_rows_of_loaded_parameters_tell_their_form(again, tmp_path):
    quick().fit(*DATA).save_params(f_params=tmp_path / "network")
    net = quick(Net, classes=[0, 1, 2], warm_start=True).initialize()
    net.load_params(f_params=tmp_path / "network")
    X, y, X_meta, y_meta = framed(list("abcd"))
    _ = (
        net.fit(X, y, X_meta, y_meta)
        if again == "warm fit"
        else net.partial_fit(X, y, None, X_meta, y_meta)
    )
    assert net.n_features_in_ == 4
    with pytest.raises(ValueError, match="same order as they were in fit"):
        net.predict(X[list("dcba")])


# --- what is left behind --------------------------------------------------------------------------


def test_the_way_is_known_after_an_early_stop():
    stop = EarlyStopping(monitor="train_loss", patience=1, threshold=10, threshold_mode="abs")
    assert quick(max_epochs=9, callbacks=[stop]).fit(*DATA).meta_gradient_ == "forward"


def test_an_interrupt_before_the_first_step_ends_quietly():
    class Interrupted(Net):
        def forward(self, X):
            raise KeyboardInterrupt

    net = quick(Interrupted).fit(*DATA)
    assert net.row_ledger_ is None
    assert len(net.history) == 0


def test_a_refused_call_leaves_a_net_that_can_be_pickled():
    net = quick().fit(*DATA)
    net.module_.forward = lambda X: 1 / 0
    with pytest.raises(ZeroDivisionError):
        net.partial_fit(X, Y, None, X_META, Y_META)
    del net.module_.forward
    again = pickle.loads(pickle.dumps(net))
    assert np.array_equal(again.predict_proba(X), net.predict_proba(X))


def test_figures_of_one_stage_have_no_name_for_it():
    assert all("stage" not in row for row in quick().fit(*DATA).history)
