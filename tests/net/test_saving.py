"""Keeping a classifier: pickles, skops, parameters alone, checkpoints; devices and versions."""

import gzip
import io
import pickle
from functools import partial
from pathlib import Path

import joblib
import numpy as np
import pytest
import skops.io
import torch
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler
from skops.io.exceptions import UntrustedTypesFoundException
from skorch.callbacks import Checkpoint, EarlyStopping, LoadInitState, LRScheduler
from skorch.callbacks import TrainEndCheckpoint as AtTheEnd
from skorch.exceptions import DeviceWarning, NotInitializedError
from skorch.history import History
from torch.optim.lr_scheduler import StepLR

from classifier_cases import DropoutNet, Net, blobs, global_random_states, quick, weights
from skgdw import GDWClassifier, __version__
from skgdw.exceptions import SavedVersionError
from skgdw.model_selection import make_meta_pipeline
from skgdw.modules import MLP

DATA = blobs()
X, Y, X_META, Y_META = DATA
META = {"X_meta": X_META, "y_meta": Y_META}
SAVED = Path(__file__).parent.parent / "data"

# What a default classifier in a skops file asks its reader to trust.
TYPES = {
    "skgdw._classifier.GDWClassifier",
    "skgdw.modules._weight_net.WeightNet",
    "skorch.dataset.Dataset",
    "torch.nn.modules.loss.CrossEntropyLoss",
    "torch.optim.adam.Adam",
    "torch.optim.sgd.SGD",
    "torch.utils.data.dataloader.DataLoader",
}


TYPES_OF_NET = {*TYPES, "classifier_cases.Net"}


def through_pickle(net):
    return pickle.loads(pickle.dumps(net))


def through_skops(net):
    data = skops.io.dumps(net)
    return skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data))


@pytest.fixture
def through_joblib(tmp_path):
    def through(net):
        joblib.dump(net, tmp_path / "net.joblib", compress=3)
        return joblib.load(tmp_path / "net.joblib")

    return through


@pytest.fixture(params=["pickle", "joblib", "skops"])
def keep(request, through_joblib):
    return {"pickle": through_pickle, "joblib": through_joblib, "skops": through_skops}[
        request.param
    ]


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


def joblib_dumps(net):
    file = io.BytesIO()
    joblib.dump(net, file)
    return file.getvalue()


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


@pytest.mark.parametrize("side", [8, 18])
def test_images_in_skops(side):
    rng = np.random.default_rng(0)
    images = rng.normal(size=(12, 2, side, side)).astype(np.float32)
    net = quick("auto").fit(images, np.arange(12) % 3, images[:6] + 1, np.arange(6) % 3)
    again = through_skops(net)
    assert type(again.module_) is type(net.module_)
    assert np.array_equal(again.predict_proba(images), net.predict_proba(images))


# --- skops ----------------------------------------------------------------------------------------


def test_what_skops_asks_to_trust():
    data = skops.io.dumps(quick("auto").fit(*DATA))
    assert set(skops.io.get_untrusted_types(data=data)) == TYPES
    with pytest.raises(UntrustedTypesFoundException, match="GDWClassifier"):
        skops.io.loads(data)
    data = skops.io.dumps(quick(Net).fit(*DATA))
    assert set(skops.io.get_untrusted_types(data=data)) == TYPES_OF_NET


def test_parameters_that_skops_cannot_store_are_named():
    net = quick(Net(), criterion__weight=torch.ones(3)).fit(*DATA)
    with pytest.raises(TypeError, match=r"got objects for \['criterion__weight', 'module'\]"):
        skops.io.dumps(net)


@pytest.mark.parametrize("module", ["auto", Net])
def test_a_classifier_that_could_not_be_built_anew_is_not_written(module):
    net = quick(module).fit(*DATA)
    net.set_params(module__hidden=(3,) if module == "auto" else 3)
    with pytest.raises(ValueError, match=r"must build the networks(.|\n)*size mismatch(.|\n)*Fit"):
        skops.io.dumps(net)
    assert net.predict(X).shape == (48,)
    assert np.array_equal(through_pickle(net).predict_proba(X), net.predict_proba(X))


class Evil:
    ran = False

    def __reduce__(self):
        return setattr, (Evil, "ran", True)


def test_skops_never_unpickles(monkeypatch):
    """Who trusts the classifier's type does not trust bytes that stand where a pickle has them."""
    state = quick().fit(*DATA).__getstate__()
    safe = {k: state[k] for k in ("device", "_skgdw_version")}
    forged = {**safe, "__cuda_dependent_attributes__": pickle.dumps(Evil())}
    with monkeypatch.context() as patch:
        patch.setattr(GDWClassifier, "__getstate__", lambda net: forged)
        data = skops.io.dumps(quick())
    with pytest.raises(
        ValueError, match="must consist of plain parts; got one that hides a pickle"
    ):
        skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data))
    assert not Evil.ran
    pickle.loads(pickle.dumps(Evil()))
    assert Evil.ran


def test_half_precision_in_skops():
    net = quick().fit(*DATA)
    net.module_.to(torch.bfloat16)
    state = net.module_.state_dict()
    again = through_skops(net)
    for name, value in again.module_.state_dict().items():
        assert torch.equal(value.to(torch.bfloat16), state[name])


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


# --- versions -------------------------------------------------------------------------------------

# What the saved classifiers predict, and after one more call of partial_fit.
PREDICTED = [
    [0.8906208, 0.03779158, 0.0715875],
    [0.0239503, 0.87461907, 0.10143066],
    [0.0649759, 0.03823976, 0.89678437],
]
PREDICTED_LATER = [
    [9.9726307e-01, 8.7478425e-04, 1.8621741e-03],
    [2.8923707e-04, 9.7055233e-01, 2.9158453e-02],
    [2.3046661e-04, 8.5371277e-05, 9.9968421e-01],
]


@pytest.mark.parametrize("path", sorted(SAVED.glob("*.pkl.gz")), ids=lambda path: path.name)
def test_classifiers_of_earlier_versions(path):
    """Written by `data/write_classifier.py`."""
    net = pickle.loads(gzip.decompress(path.read_bytes()))
    np.testing.assert_allclose(net.predict_proba(X[:3]), PREDICTED, rtol=1e-5)
    assert net.predict(X[:6]).tolist() == [*"abcabc"]
    assert len(net.history_) == 3
    assert (
        net.get_params().keys()
        == quick("auto", module__hidden=(), weight_net__hidden=2).get_params().keys()
    )
    y, y_meta = DATA.labelled([*"abc"])[1::2]
    net.partial_fit(X, y, X_meta=X_META, y_meta=y_meta)
    np.testing.assert_allclose(net.predict_proba(X[:3]), PREDICTED_LATER, rtol=1e-4)


def test_there_is_a_classifier_of_this_version():
    minor = ".".join(__version__.split(".")[:2])
    names = {path.name for path in SAVED.glob("*.pkl.gz")}
    assert {f"classifier_{minor}.pkl.gz", "classifier_unversioned.pkl.gz"} <= names


def loaded_from(state):
    net = GDWClassifier.__new__(GDWClassifier)
    net.__setstate__(state)
    return net


def test_the_version_is_in_the_file_and_nowhere_else():
    net = quick().fit(*DATA)
    assert net.__getstate__()["_skgdw_version"] == __version__
    for each in (net, through_pickle(net), through_skops(net)):
        assert not [name for name in vars(each) if "version" in name]
        assert not [name for name in each.get_params() if "version" in name]


@pytest.mark.parametrize("here", ["0.1.0", "0.1.7", "0.2.0rc1", "1.0.0"])
@pytest.mark.parametrize("keep", [through_pickle, through_skops])
def test_later_versions_load_and_fill_in_what_is_new(here, keep, monkeypatch):
    net = quick(meta_lr=0.5).fit(*DATA)
    state = net.__getstate__()
    del state["meta_every"], state["warm_start"]
    monkeypatch.setattr("skgdw.__version__", here)
    again = loaded_from(state)
    assert (again.meta_every, again.warm_start, again.meta_lr) == (1, False, 0.5)
    assert again.get_params().keys() == net.get_params().keys()
    assert np.array_equal(keep(again).predict_proba(X), net.predict_proba(X))


@pytest.mark.parametrize(
    ("written", "here", "said"),
    [
        ("0.3.1", "0.2.0", r"from 0.1 to .* 0.2.0; got one written by 0.3.1. Install skgdw 0.3.1"),
        ("1.0.0", "0.9.0", "got one written by 1.0.0. Install skgdw 1.0.0"),
        ("0.0.9", "0.2.0", "got one written by 0.0.9. Load it with skgdw 0.0.9.*`load_params`"),
        ("new", "0.2.0", "got one written by new"),
    ],
)
@pytest.mark.parametrize("kind", ["pickle", "skops"])
def test_other_versions_are_refused_in_words(written, here, said, kind, monkeypatch):
    net = quick().fit(*DATA)
    monkeypatch.setattr("skgdw.__version__", written)
    file = {"pickle": pickle, "skops": skops.io}[kind].dumps(net)
    monkeypatch.setattr("skgdw.__version__", here)
    load = {"pickle": pickle.loads, "skops": partial(skops.io.loads, trusted=sorted(TYPES_OF_NET))}
    with pytest.raises(SavedVersionError, match=said):
        load[kind](file)


@pytest.mark.parametrize("state", [{}, {"device": "cpu"}, None, {"params": {}}])
def test_an_unknown_layout_is_refused_in_words(state):
    with pytest.raises(SavedVersionError, match="must have a layout that skgdw has written"):
        loaded_from(state)
