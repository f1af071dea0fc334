"""Keeping a classifier whole, and its parameters alone: pickles, files of torch, checkpoints."""

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path

import cloudpickle
import numpy as np
import pytest
import skops.io
import torch
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback, Checkpoint, EarlyStopping, LoadInitState, LRScheduler
from skorch.callbacks import TrainEndCheckpoint as AtTheEnd
from skorch.exceptions import DeviceWarning, NotInitializedError
from skorch.history import History
from torch import nn
from torch.optim.lr_scheduler import StepLR

from classifier_cases import DropoutNet, Net, blobs, global_random_states, quick, weights
from saving_cases import joblib_dumps, through_joblib, through_pickle, through_skops
from skgdw.model_selection import make_meta_pipeline
from skgdw.modules import MLP

DATA = blobs()
X, Y, X_META, Y_META = DATA
META = {"X_meta": X_META, "y_meta": Y_META}


@pytest.fixture(params=[through_pickle, through_joblib, through_skops])
def keep(request):
    return request.param


# --- the whole classifier -------------------------------------------------------------------------

CASES = {
    "auto": {"module": "auto", "module__hidden": (5,)},
    "class": {"module": Net, "module__hidden": 3},
    "dropout": {"module": DropoutNet},
    "Adam": {"module": Net, "optimizer": torch.optim.Adam, "lr": 0.01},
    "uniform": {"module": "auto", "weighting": "uniform"},
    "callbacks": {
        "module": Net,
        "callbacks": [LRScheduler(StepLR, step_size=1), EarlyStopping("train_loss")],
    },
    "no schedule": {"module": Net, "callbacks__lr_schedule": None, "device": "cpu"},
}


@pytest.mark.parametrize("params", CASES.values(), ids=CASES)
def test_training_goes_on_as_if_nothing_had_happened(keep, params, capsys):
    net = quick(max_epochs=2, batch_size=16, **{**params, "verbose": 0})
    net.fit(*DATA.labelled([*"abc"]))
    before = global_random_states()
    again = keep(net)
    assert global_random_states() == before
    assert np.array_equal(again.predict_proba(X), net.predict_proba(X))
    assert again.classes_.tolist() == [*"abc"]
    assert again.n_features_in_ == 4
    assert again.meta_gradient_ == net.meta_gradient_
    assert np.array_equal(again.row_weights_, net.row_weights_) or net.row_weights_ is None
    assert isinstance(again.history, History)
    assert again.history == net.history
    y, y_meta = DATA.labelled([*"abc"])[1::2]
    for each in (net, again):
        each.partial_fit(X, y, X_meta=X_META, y_meta=y_meta)
        each.partial_fit(X, y, X_meta=X_META, y_meta=y_meta)
    assert np.array_equal(weights(again), weights(net))
    assert (
        again.history[:, "meta_loss" if net.meta_gradient_ else "train_loss"]
        == (net.history[:, "meta_loss" if net.meta_gradient_ else "train_loss"])
    )
    assert np.array_equal(
        weights(again.fit(X, y, X_META, y_meta)), weights(clone(net).fit(X, y, X_META, y_meta))
    )
    assert capsys.readouterr().out == ""


def test_a_clone_of_what_was_loaded_has_the_same_parameters(keep):
    net = quick(meta_lr=0.5, module__hidden=3, callbacks__lr_schedule=None).fit(*DATA)
    again = clone(keep(net))
    assert again.get_params(deep=False) == net.get_params(deep=False)
    assert not hasattr(again, "classes_")
    assert np.array_equal(weights(again.fit(*DATA)), weights(net))


def test_unfitted(keep):
    again = keep(quick("auto", meta_lr=0.5))
    expected = quick("auto", meta_lr=0.5).get_params(deep=False)
    assert again.get_params(deep=False) == expected
    assert vars(again).keys() == vars(quick("auto")).keys()
    assert np.array_equal(weights(again.fit(*DATA)), weights(quick("auto", meta_lr=0.5).fit(*DATA)))


def test_column_names_and_a_shared_random_state(keep):
    pandas = pytest.importorskip("pandas")
    shared = np.random.RandomState(0)
    names = [*"pqrs"]
    net = quick(random_state=shared).fit(
        pandas.DataFrame(X, columns=names), Y, pandas.DataFrame(X_META, columns=names), Y_META
    )
    again = keep(net)
    assert again.feature_names_in_.tolist() == names
    assert again.random_state.randint(2**31) == shared.randint(2**31)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "dumps", [pickle.dumps, joblib_dumps, skops.io.dumps], ids=["pickle", "joblib", "skops"]
)
def test_files_hold_neither_training_nor_meta_rows(dumps, dtype):
    row, meta_row = np.full(4, 0.7310585786, dtype), np.full(4, 0.9173543, dtype)
    data = DATA._replace(
        X=np.vstack([X.astype(dtype), row]),
        y=np.append(Y, 0),
        X_meta=np.vstack([X_META.astype(dtype), meta_row]),
        y_meta=np.append(Y_META, 2),
    )
    net = quick("auto").fit(*data)
    file = dumps(net)
    assert net.row_weights_.tobytes() in file  # so much for how to search
    for secret in (row, meta_row, data.X[0], data.X_meta[0]):
        for kept_as in (np.float32, np.float64):
            assert secret.astype(kept_as).tobytes() not in file


def test_a_pipeline():
    pipe = make_meta_pipeline(StandardScaler(), quick("auto"))
    pipe.fit(X, Y, X_meta=(X_META,), y_meta=(Y_META,))
    for keep in (through_pickle, through_skops):
        assert np.array_equal(keep(pipe).predict_proba(X), pipe.predict_proba(X))


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


class Keeps(Callback):
    def on_epoch_end(self, net, **kwargs):
        self.pickle_, self.copy_ = pickle.dumps(net), copy.deepcopy(net)


@pytest.mark.parametrize("weighting", ["class", "uniform"])
def test_a_net_can_be_kept_during_fit_without_its_rows(weighting):
    keeps = Keeps()
    marked = X.copy()
    marked[0] = 1.0 / 3
    quick(weighting=weighting, callbacks=[keeps]).fit(marked, Y, X_META, Y_META)
    assert np.full(4, 1.0 / 3, dtype=np.float32).tobytes() not in keeps.pickle_
    kept = pickle.loads(keeps.pickle_)
    np.testing.assert_array_equal(kept.predict_proba(X), keeps.copy_.predict_proba(X))
    assert not {"_call", "_data", "_session", "_scored_rows"} & vars(kept).keys()


# --- classes of a notebook ------------------------------------------------------------------------


def test_classes_of_a_notebook_travel(tmp_path):
    """To the processes of a search, and by cloudpickle to where nobody knows them."""
    script = Path(__file__).with_name("notebook.py")
    paths = os.pathsep.join([str(script.parent.parent), *sys.path])
    done = subprocess.run(
        [sys.executable, script, tmp_path],
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    files = sorted(tmp_path.glob("*.pkl"))
    assert len(files) == 2
    for file in files:
        net = pickle.loads(file.read_bytes())
        assert np.array_equal(net.predict_proba(X), np.load(file.with_suffix(".npy")))
        assert type(net.module_).__module__ == "__main__"
        assert not hasattr(sys.modules["__main__"], "RowWeights")


def local_module(factor):
    class Local(Net):
        def forward(self, X):
            return factor * super().forward(X)

    return Local


def test_cloudpickle_finds_every_part():
    """Of a class inside a function, that is under no name for pickle."""
    net = quick(local_module(2.0), callbacks=[("stop", EarlyStopping("train_loss"))]).fit(*DATA)
    again = pickle.loads(cloudpickle.dumps(net))
    assert np.array_equal(again.predict_proba(X), net.predict_proba(X))
    with pytest.raises((AttributeError, pickle.PicklingError), match="local"):
        pickle.dumps(net)


def test_what_is_shared_stays_shared():
    shared = nn.Linear(4, 3)

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.other = shared, shared
            self.tied = nn.Linear(4, 3)
            self.tied.weight = shared.weight
            self.held = [shared]

        def forward(self, X):
            return self.one(X) + self.other(X) + self.tied(X)

    net = quick(Twice, optimizer__momentum=0.9).fit(*DATA)
    for again in (pickle.loads(cloudpickle.dumps(net)), copy.deepcopy(net)):
        module = again.module_
        assert module.one is module.other is module.held[0]
        assert module.one.weight is module.tied.weight
        assert module.one is not net.module_.one
        learnt = again.optimizer_.param_groups[0]["params"]
        assert [*map(id, learnt)] == [*map(id, module.parameters())]
        assert {*map(id, again.optimizer_.state)} == {*map(id, learnt)}


# --- parameters alone -----------------------------------------------------------------------------

FILES = ("f_params", "f_weight_net", "f_history")
OPTIMIZERS = ("f_optimizer", "f_weight_net_optimizer")


@pytest.mark.parametrize("use_safetensors", [False, True], ids=["torch", "safetensors"])
@pytest.mark.parametrize(
    ("saved", "fresh"),
    [
        (
            lambda: quick("auto"),
            lambda: quick(MLP, module__n_features=4, module__n_classes=3, classes=[*"abc"]),
        ),
        (lambda: quick(Net), lambda: quick(Net, classes=[*"abc"])),
    ],
    ids=["auto", "class"],
)
def test_parameters_into_a_net_that_was_never_fitted(saved, fresh, use_safetensors, tmp_path):
    data = DATA.labelled([*"abc"])
    net = saved().fit(*data)
    paths = {name: tmp_path / name for name in FILES}
    net.save_params(**paths, use_safetensors=use_safetensors)
    others = {} if use_safetensors else {name: tmp_path / name for name in OPTIMIZERS}
    net.save_params(**others)
    again = fresh().initialize()
    again.load_params(**paths, use_safetensors=use_safetensors)
    again.load_params(**others)
    assert np.array_equal(weights(again), weights(net))
    assert np.array_equal(again.predict_proba(X), net.predict_proba(X))
    assert again.predict(X).tolist() == net.predict(X).tolist()
    assert again.score(X, data.y) == net.score(X, data.y)
    assert again.history == net.history
    assert again.get_params()["device"] == "auto"
    if not use_safetensors:
        steps = [
            [state["step"].item() for state in each.weight_net_optimizer_.state.values()]
            for each in (again, net)
        ]
        assert steps[0] == steps[1] != []
    assert not hasattr(again, "n_features_in_")  # the files do not tell
    again.partial_fit(X, data.y, X_meta=X_META, y_meta=data.y_meta)
    assert len(again.history) == 2
    assert again.fit(*data).n_features_in_ == 4


def test_a_fitted_net_takes_parameters_and_stays_on_its_device(tmp_path):
    net, other = quick("auto").fit(*DATA), quick("auto", random_state=1).fit(*DATA)
    net.save_params(f_params=tmp_path / "m", f_weight_net=tmp_path / "w")
    other.load_params(f_params=tmp_path / "m", f_weight_net=tmp_path / "w")
    assert np.array_equal(weights(other), weights(net))
    assert other.get_params()["device"] == "auto"


def test_safetensors_hold_no_optimizers(tmp_path):
    net = quick().fit(*DATA)
    with pytest.raises(ValueError, match="Safetensors can only store tensors"):
        net.save_params(f_optimizer=tmp_path / "o", use_safetensors=True)


def test_what_to_do_before_loading_is_said(tmp_path):
    quick("auto").fit(*DATA).save_params(f_params=tmp_path / "m")
    with pytest.raises(ValueError, match=r"sized by the data.*Call `fit`, or give the network"):
        quick("auto").load_params(f_params=tmp_path / "m")
    with pytest.raises(NotInitializedError, match=r"initialize first by calling .initialize\(\)"):
        quick(Net).load_params(f_params=tmp_path / "m")
    quick(Net).fit(*DATA).save_params(f_params=tmp_path / "n")
    net = quick(Net).initialize()
    net.load_params(f_params=tmp_path / "n")
    with pytest.raises(Exception, match=r"not fitted yet.*`load_params`.*`classes=\[...\]`"):
        net.predict(X)


def test_classes_that_repeat_a_label_are_refused(tmp_path):
    quick(Net).fit(*DATA).save_params(f_params=tmp_path / "n")
    with pytest.raises(ValueError, match="`classes` must not repeat a label"):
        quick(Net, classes=[0, 1, 1]).initialize().load_params(f_params=tmp_path / "n")


# --- checkpoints ----------------------------------------------------------------------------------

OURS = {"f_weight_net": "weight_net.pt", "f_weight_net_optimizer": "weight_net_optimizer.pt"}


def steps_of_adam(net):
    return next(iter(net.weight_net_optimizer_.state.values()))["step"].item()


@pytest.mark.parametrize("module", ["auto", Net])
@pytest.mark.parametrize("kind", [Checkpoint, AtTheEnd], ids=["Checkpoint", "TrainEndCheckpoint"])
def test_training_goes_on_from_a_checkpoint(kind, module, tmp_path):
    options = {"monitor": None} if kind is Checkpoint else {}
    saves = kind(dirname=tmp_path, **options, **OURS)
    net = quick(module, max_epochs=2, callbacks=[saves]).fit(*DATA)
    assert {path.name.removeprefix("train_end_") for path in tmp_path.iterdir()} == {
        *OURS.values(),
        *("params.pt", "optimizer.pt", "criterion.pt", "history.json"),
    }
    loads = LoadInitState(kind(dirname=tmp_path, **options, **OURS).initialize())
    again = quick(module, max_epochs=3, random_state=1, callbacks=[loads]).fit(*DATA)
    assert steps_of_adam(net) == 2
    assert steps_of_adam(again) == 5
    assert len(again.history) == 5
    assert again.history[:2] == net.history
    assert again.get_params()["device"] == "auto"


def test_the_best_epoch_is_loaded_at_the_end(tmp_path):
    saves = Checkpoint(dirname=tmp_path, monitor="train_loss_best", load_best=True, **OURS)
    net = quick(max_epochs=4, callbacks=[saves]).fit(*DATA)
    assert net.get_params()["device"] == "auto"
    best = torch.load(tmp_path / "params.pt", weights_only=True)
    for name, value in net.module_.state_dict().items():
        assert torch.equal(value, best[name])
    assert pickle.loads(pickle.dumps(net)).predict(X).shape == (48,)


# --- devices --------------------------------------------------------------------------------------


@pytest.fixture
def dumps_on_cuda(monkeypatch):
    """Write tensors as if they lay on a GPU, and load where there is none."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    def dumps(thing):
        with monkeypatch.context() as patch:
            patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
            return pickle.dumps(thing)

    with pytest.raises(RuntimeError, match="deserialize object on a CUDA device"):
        pickle.loads(dumps(torch.zeros(2)))
    return dumps


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"module": Net()},
        {"criterion__weight": torch.ones(3)},
        {"callbacks": [LRScheduler(StepLR, step_size=1)]},
        {"callbacks": [("own", LRScheduler(StepLR, step_size=1))]},
        {"callbacks__lr_schedule": LRScheduler(StepLR, step_size=1)},
        {"callbacks": [EarlyStopping("train_loss", load_best=True)]},
    ],
    ids=lambda params: next(iter(params), "default"),
)
def test_written_on_cuda_loads_on_a_cpu(params, dumps_on_cuda):
    net = quick(**params).fit(*DATA)
    again = pickle.loads(dumps_on_cuda(net))
    assert again.get_params()["device"] == "auto"
    assert np.array_equal(again.predict_proba(X), net.predict_proba(X))
    assert {p.device.type for p in again.module_.parameters()} == {"cpu"}
    for each in (net, again):
        each.partial_fit(X, Y, **META)
    assert np.array_equal(weights(again), weights(net))


def test_cuda_asked_for_outright(dumps_on_cuda):
    net = quick().fit(*DATA)
    net.device = "cuda"  # set_params would look for it
    file = dumps_on_cuda(net)
    with (
        pytest.warns(DeviceWarning, match=r"no CUDA devices are available. Loading on .* \"cpu\""),
        pytest.warns(DeviceWarning, match="the requested device .cuda. is not available"),
    ):
        again = pickle.loads(file)
    assert torch.device(again.device) == torch.device("cpu")
    assert again.predict(X).shape == (48,)


def test_auto_looks_for_the_device_of_the_machine_that_loads(monkeypatch):
    file = pickle.dumps(quick().fit(*DATA))
    seen = []
    load = torch.load
    monkeypatch.setattr(
        torch,
        "load",
        lambda *a, **k: seen.append(k["map_location"]) or load(*a, **{**k, "map_location": "cpu"}),
    )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    again = pickle.loads(file)
    assert {torch.device(place).type for place in seen} == {"cuda"}
    assert again.get_params()["device"] == "auto"


@pytest.mark.parametrize("network", ["module", "callbacks"])
def test_the_network_stands_in_a_pickle_once(network):
    """Schedulers hold the optimizer, which holds the network."""
    hidden = 20_000
    net = quick(Net, module__hidden=hidden, optimizer__momentum=0.0)
    if network == "callbacks":
        net.set_params(callbacks=[LRScheduler(StepLR, step_size=1)])
    net.fit(*DATA)
    n_bytes = 4 * sum(p.numel() for p in net.module_.parameters())
    assert n_bytes < len(pickle.dumps(net)) < 1.2 * n_bytes
    named = [c for _, c in net.callbacks_ if isinstance(c, LRScheduler)]
    assert [c.lr_scheduler_.optimizer is net.optimizer_ for c in named] == [True]
