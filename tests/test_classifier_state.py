"""What the estimator keeps and what it leaves alone: randomness, parameters, pickles, threads."""

import copy
import io
import pickle
import threading

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback, EarlyStopping
from skorch.dataset import ValidSplit
from torch import nn

from classifier_cases import DropoutNet, Net, blobs, global_random_states, quick, weights
from skgdw import GDWClassifier
from skgdw._net import _sklearn_net
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
    "weighting": "class",
    "meta_lr": 0.1,
    "weight_clip": 0.2,
    "meta_every": 1,
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


def test_parameters_make_a_round_trip():
    net = quick(
        device="cpu", module__hidden=3, optimizer__nesterov=True, callbacks=[("a", EarlyStopping())]
    )
    params = net.get_params(deep=False)
    again = GDWClassifier(**params)
    assert again.get_params(deep=False) == params
    assert clone(net).get_params(deep=False).keys() == params.keys()
    assert again.module__hidden == 3


def test_fit_leaves_the_parameters_alone():
    net = quick(max_epochs=1, module__hidden=3)
    before = net.get_params(deep=False)
    net.fit(*DATA).partial_fit(X, Y, **META)
    assert net.get_params(deep=False) == before
    again = clone(net).fit(*DATA)
    assert again.get_params(deep=False) == before


def test_device_stays_auto():
    net = quick()
    assert net.get_params()["device"] == "auto"
    net.fit(*DATA)
    assert net.get_params()["device"] == "auto"
    assert clone(net).get_params()["device"] == "auto"
    assert pickle.loads(pickle.dumps(net)).get_params()["device"] == "auto"
    net.set_params(device="cpu").fit(*DATA)
    assert net.get_params()["device"] == "cpu"


@pytest.mark.parametrize(
    "params",
    [
        {"lr": 0.01},
        {"max_epochs": 2},
        {"batch_size": 7},
        {"meta_lr": 0.5},
        {"weighting": "instance"},
        {"weighting": "uniform"},
        {"meta_every": 2},
        {"lookahead_lr": 0.5},
        {"meta_gradient": "difference"},
        {"module": DropoutNet},
        {"module__hidden": 3},
        {"criterion__weight": torch.tensor([1.0, 2.0, 3.0])},
        {"optimizer": torch.optim.Adam},
        {"optimizer__momentum": 0.0},
        {"weight_net": WeightNet},
        {"weight_net__hidden": 3},
        {"weight_net_optimizer": torch.optim.SGD},
        {"weight_net_optimizer__lr": 0.1},
        {"iterator_meta__batch_size": 3},
        {"iterator_train__shuffle": False},
        {"random_state": 3},
        {"device": "cpu"},
        {"train_split": ValidSplit(3)},
        {"classes": [0, 1, 2]},
        {"warm_start": False},
        {"verbose": 0},
        {"callbacks": [("stop", EarlyStopping("train_loss"))]},
        {"callbacks__lr_schedule": None},
    ],
    ids=lambda p: next(iter(p)),
)
def test_set_params_on_a_fitted_estimator(params, capsys):
    """The next fit is that of a new estimator with these parameters."""
    net = quick(batch_size=16).fit(*DATA)
    net.set_params(**params)
    assert net.get_params(deep=False)[next(iter(params))] is next(iter(params.values()))
    expected = quick(**{"batch_size": 16, **params}).fit(*DATA)
    assert np.array_equal(weights(clone(net).fit(*DATA)), weights(expected))
    assert np.array_equal(weights(net.fit(*DATA)), weights(expected))
    assert capsys.readouterr().out == ""


def test_set_params_leaves_a_fitted_estimator_usable():
    net = quick().fit(*DATA)
    expected = net.predict_proba(X)
    net.set_params(module__hidden=3, weight_net__hidden=3, optimizer=torch.optim.Adam)
    net.set_params(criterion=nn.NLLLoss, weight_net_optimizer=torch.optim.SGD)
    assert np.array_equal(net.predict_proba(X), expected)


def test_learning_rate_set_between_calls_of_partial_fit():
    net = quick(lr=0.1).partial_fit(X, Y, **META)
    net.set_params(lr=1e-30, optimizer__weight_decay=0.0, optimizer__momentum=0.0)
    before = weights(net)[:67]
    net.partial_fit(X, Y, **META)
    assert np.array_equal(weights(net)[:67], before)
    assert net.optimizer_.param_groups[0]["lr"] == 1e-30


def devices(net):
    parts = [*net.module_.parameters(), *net.weight_net_.parameters(), net.criterion_.weight]
    for optimizer in (net.optimizer_, net.weight_net_optimizer_):
        parts += [p for group in optimizer.param_groups for p in group["params"]]
        parts += [state["momentum_buffer"] for state in optimizer.state.values()]
    return {part.device.type for part in parts}


def test_a_new_device_moves_a_fitted_estimator(monkeypatch):
    net = quick(
        criterion__weight=torch.ones(3),
        weight_net_optimizer=torch.optim.SGD,
        weight_net_optimizer__momentum=0.5,
    ).fit(*DATA)
    # The one other device there is everywhere; it is refused to users, as it holds no numbers.
    monkeypatch.setattr(_sklearn_net, "check_device", lambda device: None)
    assert devices(net) == {"cpu"}
    net.set_params(device="meta")
    assert net.device == "meta"
    assert devices(net) == {"meta"}
    learnt = [p for group in net.optimizer_.param_groups for p in group["params"]]
    own = list(net.module_.parameters())
    assert all(a is b for a, b in zip(learnt, own, strict=True))


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu"), "auto", None])
def test_training_goes_on_after_the_device_was_set(device):
    net, expected = (quick().fit(*DATA) for _ in range(2))
    net.set_params(device=device)
    for each in (net, expected):
        each.partial_fit(X, Y, **META)
    assert np.array_equal(weights(net), weights(expected))


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "meta", 3.5])
def test_a_device_that_cannot_be_used_is_refused(device):
    words = f"`device` must be one that torch can use here.*got {device!r}: .*Pass device="
    net = quick().fit(*DATA)
    before = net.predict_proba(X)
    with pytest.raises(ValueError, match=words):
        net.set_params(device=device, lr=0.5)
    assert net.get_params()["device"] == "auto"
    assert net.lr == 0.1
    assert np.array_equal(net.predict_proba(X), before)
    unfitted = quick().set_params(device=device)
    with pytest.raises(ValueError, match=words):
        unfitted.fit(*DATA)


def test_unknown_names_are_refused_in_words():
    net = quick().fit(*DATA)
    for name, said in {
        "mta_lr": "Invalid parameter 'mta_lr'",
        "moduel__hidden": "Invalid parameter 'moduel'",
        "optimiser__momentum": "Invalid parameter 'optimiser'",
    }.items():
        with pytest.raises(ValueError, match=said) as caught:
            net.set_params(**{name: 1})
        assert "open an issue" not in str(caught.value)


def test_set_params_of_nothing():
    net = quick()
    assert net.set_params() is net


def test_repr():
    net = quick()
    assert repr(net).startswith(("GDWClassifier(", "<class 'skgdw"))
    assert "Net" in repr(net.fit(*DATA))


# --- copies and pickles ---------------------------------------------------------------------------


def through_joblib(net):
    file = io.BytesIO()
    joblib.dump(net, file)
    file.seek(0)
    return joblib.load(file)


COPIES = {
    "pickle": lambda net: pickle.loads(pickle.dumps(net)),
    "deepcopy": copy.deepcopy,
    "joblib": through_joblib,
}


@pytest.mark.parametrize("module", ["auto", Net, Net()], ids=["auto", "class", "instance"])
@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_copies_predict_and_go_on_the_same(copied, module):
    net = quick(module).fit(*DATA.labelled([*"abc"]))
    again = copied(net)
    assert np.array_equal(again.predict_proba(X), net.predict_proba(X))
    assert again.classes_.tolist() == [*"abc"]
    assert np.array_equal(again.row_weights_, net.row_weights_)
    assert again.history == net.history
    y, y_meta = DATA.labelled([*"abc"])[1::2]
    for each in (net, again):
        each.partial_fit(X, y, X_meta=X_META, y_meta=y_meta)
    assert np.array_equal(weights(again), weights(net))


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_copies_of_an_unfitted_estimator(copied):
    again = copied(quick())
    assert np.array_equal(weights(again.fit(*DATA)), weights(quick().fit(*DATA)))


def test_clone_is_unfitted():
    net = quick(meta_lr=0.5).fit(*DATA)
    again = clone(net)
    assert not hasattr(again, "classes_")
    assert again.meta_lr == 0.5
    assert np.array_equal(weights(again.fit(*DATA)), weights(net))


@pytest.mark.parametrize("module", ["auto", Net])
@pytest.mark.parametrize("how", ["meta set", "mask", "Dataset"])
def test_pickles_hold_no_rows(module, how):
    """Neither the values nor the room for them."""
    rng = np.random.default_rng(0)
    n = 4000
    rows = rng.normal(size=(n, 4)).astype(np.float32)
    meta = rng.normal(size=(12, 4)).astype(np.float32)
    net = quick(module)
    small = len(pickle.dumps(quick(module).fit(*DATA)))
    if how == "meta set":
        net.fit(rows, np.arange(n) % 3, meta, Y_META)
    elif how == "mask":
        net.fit(rows, np.arange(n) % 3, meta_mask=np.arange(n) < 12)
    else:
        data = torch.utils.data.TensorDataset(torch.from_numpy(rows), torch.arange(n) % 3)
        net = quick(classes=[0, 1, 2]).fit(data, meta_mask=np.arange(n) < 12)
    pickled = pickle.dumps(net)
    for row in (rows[0], rows[-1], meta[0]):
        for dtype in (np.float32, np.float64):
            assert row.astype(dtype).tobytes() not in pickled
    # What grows is the ledger, four floats and two integers a row, and a little of the history.
    assert len(pickled) < small + (4 * 4 + 2 * 8) * n + 20_000


def test_pickle_of_a_default_estimator_loads_where_the_module_is_unknown_to_the_caller():
    net = quick("auto").fit(*DATA)
    assert "skgdw.modules" in type(pickle.loads(pickle.dumps(net)).module_).__module__


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


class CountsEpochs(Callback):
    def initialize(self):
        self.epochs_ = 0
        return self

    def on_epoch_end(self, net, **kwargs):
        self.epochs_ += 1


def test_callbacks_of_a_fitted_net_can_be_set_and_taken_away():
    net = quick().fit(*DATA)
    counts = CountsEpochs()
    net.set_params(callbacks=[("counts", counts)], callbacks__lr_schedule=None)
    net.partial_fit(X, Y, **META)
    assert counts.epochs_ == 1
    assert {"counts", "lr_schedule"} & {name for name, _ in net.callbacks_} == {"counts"}
    net.set_params(callbacks__counts=None).partial_fit(X, Y, **META)
    assert counts.epochs_ == 1
    assert "counts" not in dict(clone(net).fit(*DATA).callbacks_)


@pytest.mark.parametrize("fitted", [False, True])
def test_settings_of_no_callback_are_refused(fitted):
    net = quick().fit(*DATA) if fitted else quick()
    with pytest.raises(
        ValueError,
        match=r"`callbacks__\.\.\.` must name a callback; got callbacks__lr_shedule; the callbacks "
        r"are \['epoch_timer', 'lr_schedule'",
    ):
        net.set_params(callbacks__lr_shedule=None).fit(*DATA)
    if fitted:  # nothing was set
        net.partial_fit(X, Y, **META)
        assert "callbacks__lr_shedule" not in net.get_params()


@pytest.mark.parametrize("fitted", [False, True])
def test_shows_itself_in_notebooks(fitted):
    net = quick().fit(*DATA) if fitted else quick()
    assert {"fit", "predict_proba"} <= set(dir(net))
    assert ("module_" in dir(net)) == fitted
    assert "GDWClassifier" in net._repr_html_()


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
