"""What the estimator keeps and what it leaves alone: randomness, parameters, pickles, threads."""

import pickle
import threading

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback
from skorch.dataset import ValidSplit
from torch import nn

from classifier_cases import DropoutNet, Net, blobs, global_random_states, quick, weights
from skgdw import GDWClassifier
from skgdw.modules import WeightNet

DATA = blobs()
X, Y, X_META, Y_META = DATA
META = {"X_meta": X_META, "y_meta": Y_META}


# --- random numbers -------------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["auto", Net, DropoutNet])
def test_a_seed_fixes_everything(module):
    first, second = (quick(module, max_epochs=2, batch_size=8).fit(*DATA) for _ in range(2))
    assert np.array_equal(weights(first), weights(second))
    assert np.array_equal(first.predict_proba(X), second.predict_proba(X))
    assert first.history[:, "meta_loss"] == second.history[:, "meta_loss"]
    first.partial_fit(X, Y, **META)
    second.partial_fit(X, Y, **META)
    assert np.array_equal(weights(first), weights(second))


@pytest.mark.filterwarnings("ignore::skgdw.exceptions.NoMetaSetWarning")
def test_a_seed_fixes_the_rows_taken_out():
    first, second, other = (quick(random_state=seed).fit(X, Y) for seed in (0, 0, 1))
    taken = [np.isnan(net.row_weights_) for net in (first, second, other)]
    assert np.array_equal(taken[0], taken[1])
    assert not np.array_equal(taken[0], taken[2])


def test_other_seeds_give_other_results():
    assert not np.array_equal(
        weights(quick(random_state=1).fit(*DATA)), weights(quick(random_state=2).fit(*DATA))
    )


def test_without_a_seed_results_differ():
    """Global seeds do not fix them either."""
    found = []
    for _ in range(2):
        np.random.seed(0)  # noqa: NPY002 (what must not matter)
        torch.manual_seed(0)
        found.append(weights(quick(random_state=None).fit(*DATA)))
    assert not np.array_equal(*found)


def test_global_seeds_do_not_matter_beside_a_seed():
    found = []
    for seed in range(2):
        np.random.seed(seed)  # noqa: NPY002 (what must not matter)
        torch.manual_seed(seed)
        found.append(weights(quick(DropoutNet).fit(*DATA)))
    assert np.array_equal(*found)


def test_random_state_instance():
    shared = np.random.RandomState(0)
    first, second = quick(random_state=shared), quick(random_state=shared)
    assert not np.array_equal(weights(first.fit(*DATA)), weights(second.fit(*DATA)))
    again = quick(random_state=np.random.RandomState(0))
    assert np.array_equal(weights(again.fit(*DATA)), weights(first))
    assert not np.array_equal(weights(again.fit(*DATA)), weights(first))
    assert first.random_state is shared


@pytest.mark.filterwarnings("ignore::skgdw.exceptions.NoMetaSetWarning")
@pytest.mark.parametrize("random_state", [0, None])
@pytest.mark.parametrize("module", ["auto", DropoutNet])
def test_global_random_states_are_left_alone(module, random_state):
    net = quick(module, random_state=random_state, train_split=ValidSplit(3), batch_size=8)

    def refused():
        with pytest.raises(ValueError, match="must come together"):
            net.fit(X, Y, X_META)

    acts = {
        "fit": lambda: net.fit(*DATA),
        "fit without a meta set": lambda: net.fit(X, Y),
        "partial_fit": lambda: net.partial_fit(X, Y, **META),
        "predict": lambda: net.predict(X),
        "predict_proba": lambda: net.predict_proba(X),
        "score": lambda: net.score(X, Y),
        "get_params": net.get_params,
        "set_params": lambda: net.set_params(lr=0.05, module__hidden=3),
        "clone": lambda: clone(net),
        "pickle": lambda: pickle.loads(pickle.dumps(net)),
        "refused": refused,
    }
    before = global_random_states()
    for name, act in acts.items():
        act()
        assert global_random_states() == before, name


def test_random_draws_of_a_failing_callback_leave_the_global_states_alone():
    class Fails(Callback):
        def on_batch_end(self, net, **kwargs):
            raise OSError("disk full")

    before = global_random_states()
    with pytest.raises(OSError, match="disk full"):
        quick(DropoutNet, callbacks=[Fails()]).fit(*DATA)
    assert global_random_states() == before


class FailsInTraining(Net):
    def forward(self, X):
        torch.rand(3)
        if type(self).calls > 8:  # beyond the trial at the start
            raise OSError("broken")
        return super().forward(X)


def test_a_failing_module_leaves_the_global_states_alone():
    FailsInTraining.calls = 0
    before = global_random_states()
    with pytest.raises(OSError, match="broken"):
        quick(FailsInTraining, batch_size=8).fit(*DATA)
    assert global_random_states() == before


def test_predictions_do_not_disturb_training():
    """Predicting between two calls of partial_fit changes nothing."""
    quiet, busy = quick(DropoutNet), quick(DropoutNet)
    for net in (quiet, busy):
        net.partial_fit(X, Y, **META)
        if net is busy:
            net.predict(X)
            net.score(X, Y)
        net.partial_fit(X, Y, **META)
    assert np.array_equal(weights(quiet), weights(busy))


def test_prediction_is_the_same_twice():
    net = quick(DropoutNet).fit(*DATA)
    assert np.array_equal(net.predict_proba(X), net.predict_proba(X))


# --- torch's modes --------------------------------------------------------------------------------


@pytest.mark.parametrize("weighting", ["class", "uniform"])
def test_fit_without_gradients_around_it(weighting):
    expected = quick(weighting=weighting).fit(*DATA)
    with torch.no_grad():
        net = quick(weighting=weighting).fit(*DATA)
        net.partial_fit(X, Y, **META)
        probability = net.predict_proba(X)
    expected.partial_fit(X, Y, **META)
    assert np.array_equal(weights(net), weights(expected))
    assert np.array_equal(probability, expected.predict_proba(X))


def test_default_dtype_of_torch():
    """A double default gives a double network, and is left as it was (see conftest)."""
    torch.set_default_dtype(torch.float64)
    try:
        net = quick().fit(*DATA)
        assert net.predict_proba(X).dtype == np.float64
        assert torch.get_default_dtype() is torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_modes_are_left_alone():
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    quick().fit(*DATA).predict(X)
    assert torch.is_grad_enabled()
    assert torch.get_default_dtype() is torch.float32
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before


# --- parameters -----------------------------------------------------------------------------------

OWN = {
    "weighting": "class_pair",
    "meta_lr": 0.1,
    "weight_clip": 0.2,
    "meta_every": None,
    "meta_weight": None,
    "min_gradient_share": None,
    "lookahead_lr": None,
    "meta_gradient": "auto",
    "meta_size": 0.1,
    "weight_net": WeightNet,
    "weight_net_optimizer": torch.optim.Adam,
    "module": "auto",
    "criterion": nn.CrossEntropyLoss,
    "optimizer": torch.optim.SGD,
    "lr": 0.1,
    "max_epochs": 20,
    "batch_size": 128,
    "train_split": None,
    "device": "auto",
    "random_state": None,
    "warm_start": False,
    "classes": None,
}


def test_defaults():
    params = GDWClassifier().get_params(deep=False)
    assert {name: params[name] for name in OWN} == OWN
    assert not [name for name in params if name.startswith("_") or name.endswith("_")]


def test_fit_leaves_the_parameters_alone():
    net = quick(max_epochs=1, module__hidden=3)
    before = net.get_params(deep=False)
    net.fit(*DATA).partial_fit(X, Y, **META)
    assert net.get_params(deep=False) == before
    again = clone(net).fit(*DATA)
    assert again.get_params(deep=False) == before


# --- copies and pickles ---------------------------------------------------------------------------


def test_clone_is_unfitted():
    net = quick(meta_lr=0.5).fit(*DATA)
    again = clone(net)
    assert not hasattr(again, "classes_")
    assert again.meta_lr == 0.5
    assert np.array_equal(weights(again.fit(*DATA)), weights(net))


# --- interruptions and threads --------------------------------------------------------------------


class Interrupts(Callback):
    """Presses Ctrl-C at the end of an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == self.epoch:
            raise KeyboardInterrupt


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_keyboard_interrupt_leaves_a_usable_estimator(method):
    net = quick(max_epochs=5, callbacks=[("stop", Interrupts(2))])
    getattr(net, method)(X, Y, **META)
    assert len(net.history) == 2
    assert net.predict(X).shape == (48,)
    assert np.isfinite(net.row_weights_).all()
    pickle.dumps(net)
    net.partial_fit(X, Y, **META)
    assert len(net.history) == 7
    net.set_params(callbacks__stop=None).fit(*DATA)
    assert np.array_equal(weights(net), weights(quick(max_epochs=5).fit(*DATA)))


class InterruptsBatch(Callback):
    def on_batch_end(self, net, **kwargs):
        if net.history[-1, "epoch"] == 2:
            raise KeyboardInterrupt


def test_keyboard_interrupt_within_an_epoch():
    net = quick(max_epochs=5, batch_size=8, callbacks=[("stop", InterruptsBatch())]).fit(*DATA)
    assert net.predict(X).shape == (48,)
    assert np.isfinite(weights(net)).all()
    losses = net.history[-1, "batches", :, "train_loss"]
    assert {type(loss) for loss in losses} == {float}
    pickle.dumps(net)


def test_an_error_in_a_callback_leaves_no_run_behind():
    class Fails(Callback):
        def on_epoch_end(self, net, **kwargs):
            raise OSError("disk full")

    net = quick(callbacks=[("fails", Fails())])
    with pytest.raises(OSError, match="disk full"):
        net.fit(*DATA)
    with pytest.raises(RuntimeError, match="`fit_loop` runs inside `fit` and `partial_fit`; call"):
        net.fit_loop(X, Y)
    with pytest.raises(AttributeError, match="Training runs inside `fit` and `partial_fit`"):
        net.train_step((torch.zeros(2, 4), torch.zeros(2, dtype=torch.int64)))
    net.set_params(callbacks=None).fit(*DATA)
    assert np.array_equal(weights(net), weights(quick().fit(*DATA)))


@pytest.mark.parametrize("module", ["auto", DropoutNet])
def test_fits_in_threads_give_the_serial_results(module):
    def fit(seed):
        return quick(module, random_state=seed, max_epochs=2, batch_size=8).fit(*DATA)

    serial = [weights(fit(seed)) for seed in range(4)]
    found, before = {}, global_random_states()

    def work(seed):
        found[seed] = weights(fit(seed))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [0, 1, 2, 3]
    for seed, expected in enumerate(serial):
        assert np.array_equal(found[seed], expected)
    assert global_random_states() == before
