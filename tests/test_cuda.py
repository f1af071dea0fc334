"""What holds on a GPU as well; all of it is passed over where there is none."""

import logging
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback
from torch import nn

import oracles
from classifier_cases import DropoutNet, Net, blobs, quick
from skgdw import GDWClassifier
from skgdw.callbacks import Resume
from skgdw.functional import directional_derivative
from skgdw.functional._recorded import recorded_derivative
from skgdw.modules import ResNet32

DEVICE = "cuda"
pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
    pytest.mark.usefixtures("_no_short_products"),
]

DATA = blobs(n=96, n_meta=24)
OUR_MLP = GDWClassifier().module
WEIGHTINGS = ("class_pair", "class", "instance", "network", "uniform")


@pytest.fixture
def _no_short_products():
    """Compute convolutions in float32, as a CPU does, not in TF32."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


class DoubleNet(Net):
    """Computes in float64, where another order of the same sums is not seen."""

    def __init__(self):
        super().__init__()
        self.double()

    def forward(self, X):
        return super().forward(X.double())


class ConvNet(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(32, 3),
        )


def images(n, seed):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    X = rng.normal(size=(n, 1, 8, 8)) + y[:, None, None, None]
    return X.astype(np.float32), y


def parameters(net):
    parts = (net.module_, net.weighting_)
    return torch.cat([p.detach().double().cpu().ravel() for m in parts for p in m.parameters()])


def fit(module, device, data=DATA, **params):
    given = {"batch_size": 16, "max_epochs": 4, "device": device, **params}
    return quick(module, **given).fit(*data)


def assert_alike(found, expected, tolerance):
    assert torch.allclose(parameters(found), parameters(expected), rtol=tolerance, atol=tolerance)


def test_auto_is_the_gpu_and_all_that_trains_is_there():
    net = fit(Net, "auto", weighting="class_pair")
    tensors = [*net.module_.parameters(), *net.weighting_.parameters(), *net.weighting_.buffers()]
    assert {tensor.device.type for tensor in tensors} == {"cuda"}
    assert net.predict(DATA.X).dtype == DATA.y.dtype
    assert all(isinstance(column, np.ndarray) for column in net.row_ledger_.values())


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_a_gpu_trains_as_a_cpu_does(weighting):
    there, here = (fit(DoubleNet, d, weighting=weighting) for d in (DEVICE, "cpu"))
    assert_alike(there, here, 1e-7)
    assert np.allclose(there.predict_proba(DATA.X), here.predict_proba(DATA.X), atol=1e-6)
    for name, column in there.row_ledger_.items():
        assert np.allclose(column, here.row_ledger_[name], atol=1e-4, equal_nan=True), name


@pytest.mark.parametrize("meta_gradient", ["forward", "difference", "unrolled"])
def test_every_meta_gradient_is_that_of_a_cpu(meta_gradient):
    there, here = (fit(DoubleNet, d, meta_gradient=meta_gradient) for d in (DEVICE, "cpu"))
    assert there.meta_gradient_ == meta_gradient
    assert_alike(there, here, 1e-5)


@pytest.mark.parametrize("weighting", ["class_pair", "class"])
def test_convolutions_train_as_on_a_cpu(weighting):
    data = (*images(96, 0), *images(24, 1))
    there, here = (fit(ConvNet, d, data, weighting=weighting) for d in (DEVICE, "cpu"))
    assert_alike(there, here, 1e-3)


def nodes_of(last):
    """Return all nodes that lead to the last."""
    ready, met = [last], set()
    while ready:
        node = ready.pop()
        if node is not None and node not in met:
            met.add(node)
            ready += [before for before, _ in node.next_functions]
    return met


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_on_cudnn_has_a_rule(training):
    module = ConvNet().to(DEVICE)
    X = torch.as_tensor(images(12, 0)[0], device=DEVICE)
    module(X)  # for running averages of some kind
    module.train(training)
    logits = module(X)
    params = dict(module.named_parameters())
    tangent = {name: torch.randn_like(value) for name, value in params.items()}
    assert not training or any(
        node.name() == "CudnnBatchNormBackward0" for node in nodes_of(logits.grad_fn)
    )
    found = recorded_derivative(logits, params, tangent)
    buffers = {name: value.clone() for name, value in module.named_buffers()}
    with torch.no_grad():
        along = directional_derivative(
            lambda values: torch.func.functional_call(module, {**buffers, **values}, X),
            {name: value.detach() for name, value in params.items()},
            tangent,
            method="forward",
        )
    assert torch.allclose(found, along, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("module", [Net, ConvNet, "residual"])
@pytest.mark.parametrize("short", [True, False])
def test_forward_mode_goes_along_the_recorded_graph(module, short, caplog):
    data, params = DATA, {}
    if module is ConvNet:
        data = (*images(96, 0), *images(24, 1))
    if module == "residual":
        X = np.random.default_rng(0).normal(size=(48, 3, 32, 32)).astype("f4")
        data = (X[:32], np.arange(32) % 2, X[32:], np.arange(16) % 2)
        module, params = ResNet32, {"module__n_classes": 2}
    torch.backends.cudnn.allow_tf32 = short
    with caplog.at_level(logging.INFO, logger="skgdw"):
        fit(module, DEVICE, data, max_epochs=1, **params)
    (said,) = [text for text in caplog.messages if text.startswith("J g of")]
    assert "along the recorded graph" in said


class ReferenceNet(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 4))


class StartFrom(Callback):
    """Sets the initial parameters of module and weighting net."""

    def __init__(self, arrays):
        self.arrays = arrays

    def on_train_begin(self, net, **kwargs):
        for name, part in (("param", net.module_), ("weightnet", net.weight_net_)):
            for k, parameter in enumerate(part.parameters()):
                parameter.data.copy_(torch.as_tensor(self.arrays[f"init_{name}_{k}"]))


@pytest.mark.parametrize("meta_gradient", ["forward", "difference", "unrolled"])
def test_the_reference_steps_on_a_gpu(meta_gradient):
    arrays, steps = oracles.reference(), range(oracles.REFERENCE_STEPS)
    data = (
        np.concatenate([arrays[f"step{k}_{name}"] for k in steps])
        for name in ("X", "y", "X_meta", "y_meta")
    )
    net = quick(
        ReferenceNet,
        batch_size=12,
        meta_lr=100 / 48,
        meta_gradient=meta_gradient,
        weight_net__hidden=16,
        device=DEVICE,
        iterator_train__shuffle=False,
        iterator_meta__shuffle=False,
        iterator_meta__batch_size=8,
        callbacks__lr_schedule=None,
        callbacks=[("start", StartFrom(arrays))],
    ).fit(*data)
    for name, part in (("param", net.module_), ("weightnet", net.weight_net_)):
        for k, parameter in enumerate(part.parameters()):
            expected = torch.as_tensor(arrays[f"step{oracles.REFERENCE_STEPS - 1}_{name}_{k}"])
            assert torch.allclose(parameter.detach().cpu().double(), expected, rtol=0, atol=1e-5)


no_word_on_debugging = pytest.mark.filterwarnings("ignore:Synchronization debug mode")


class NoSync(Callback):
    """Has torch raise where the host waits for the device in a step, after a warm-up."""

    def on_batch_begin(self, net, **kwargs):
        if len(net.history) > 2:
            torch.cuda.set_sync_debug_mode("error")

    def on_batch_end(self, net, **kwargs):
        torch.cuda.set_sync_debug_mode("default")


@no_word_on_debugging
@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("module", [Net, DropoutNet, OUR_MLP])
def test_no_step_waits_for_the_device(module, weighting):
    try:
        net = fit(module, DEVICE, weighting=weighting, callbacks=[NoSync()])
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(net.history) > 3


@no_word_on_debugging
def test_waiting_is_noticed():
    class Waits(NoSync):
        def on_batch_begin(self, net, **kwargs):
            super().on_batch_begin(net, **kwargs)
            next(net.module_.parameters()).sum().item()

    try:
        with pytest.raises(RuntimeError, match="synchroniz"):
            fit(Net, DEVICE, callbacks=[Waits()])
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("weighting", ["class_pair", "class", "instance", "network"])
@pytest.mark.parametrize("module", [Net, OUR_MLP, ConvNet])
def test_graphs_replay_the_steps_themselves(module, weighting, monkeypatch, caplog):
    data = (*images(96, 0), *images(24, 1)) if module is ConvNet else DATA
    params = {"weighting": weighting, "meta_every": 2, "max_epochs": 6}
    eager = fit(module, DEVICE, data, **params)
    monkeypatch.setenv("SKGDW_CUDA_GRAPH", "1")
    with caplog.at_level(logging.WARNING, logger="skgdw"):
        graphed = fit(module, DEVICE, data, **params)
    assert not caplog.records
    assert_alike(graphed, eager, 2e-3)
    assert np.allclose(
        graphed.row_ledger_["last_weight"],
        eager.row_ledger_["last_weight"],
        atol=2e-2,
        equal_nan=True,
    )


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_short_precision_learns_as_well(weighting):
    net = fit(Net, DEVICE, weighting=weighting, precision="bf16", max_epochs=10)
    full = fit(Net, DEVICE, weighting=weighting, max_epochs=10)
    assert np.isfinite(net.predict_proba(DATA.X)).all()
    assert net.score(DATA.X, DATA.y) > full.score(DATA.X, DATA.y) - 0.05


def test_the_callers_random_numbers_stay():
    torch.cuda.manual_seed(3)
    before = torch.cuda.get_rng_state()
    fit(DropoutNet, DEVICE, weighting="class_pair")
    assert torch.equal(torch.cuda.get_rng_state(), before)


def test_equal_seeds_give_equal_fits():
    first, second = (fit(DropoutNet, DEVICE, weighting="class_pair") for _ in range(2))
    assert torch.equal(parameters(first), parameters(second))


@pytest.mark.parametrize("weighting", ["class_pair", "class"])
def test_a_fit_that_was_cut_off_goes_on_as_if_it_had_not_been(weighting, tmp_path):
    class Stops(Callback):
        def on_epoch_end(self, net, **kwargs):
            if len(net.history) == 3:
                raise SystemExit

    params = {"weighting": weighting, "max_epochs": 5}
    whole = fit(DropoutNet, DEVICE, callbacks=[("resume", Resume(tmp_path / "whole"))], **params)
    resume = ("resume", Resume(tmp_path / "cut"))
    with pytest.raises(SystemExit):
        fit(DropoutNet, DEVICE, callbacks=[resume, ("stops", Stops())], **params)
    gone_on = fit(DropoutNet, DEVICE, callbacks=[resume], **params)
    assert len(gone_on.history) == 5
    assert torch.equal(parameters(gone_on), parameters(whole))
    assert gone_on.history[:, "train_loss"] == whole.history[:, "train_loss"]


def test_written_on_a_gpu_read_without_one(tmp_path):
    net = fit(Net, DEVICE, weighting="class_pair")
    (tmp_path / "net.pickle").write_bytes(pickle.dumps(net))
    np.save(tmp_path / "X.npy", DATA.X)
    program = (
        "import pickle, sys, numpy as np, pathlib\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "net = pickle.loads((folder / 'net.pickle').read_bytes())\n"
        "np.save(folder / 'p.npy', net.predict_proba(np.load(folder / 'X.npy')))\n"
    )
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": path},
        check=True,
        timeout=120,
    )
    assert np.allclose(np.load(tmp_path / "p.npy"), net.predict_proba(DATA.X), atol=1e-5)


def test_partial_fit_goes_on_and_residual_networks_fit():
    X, y = np.random.default_rng(0).normal(size=(72, 3, 32, 32)).astype("f4"), np.arange(72) % 2
    net = quick(ResNet32, module__n_classes=2, device=DEVICE, weighting="class_pair", batch_size=16)
    meta = {"X_meta": X[:8], "y_meta": y[:8]}
    net.fit(X[8:], y[8:], **meta)
    net.partial_fit(X[8:], y[8:], **meta)
    assert np.isfinite(net.predict_proba(X)).all()


def test_worker_processes_hand_batches_to_the_gpu():
    loaders = {
        f"iterator_{name}__{key}": value
        for name in ("train", "meta")
        for key, value in (("num_workers", 1), ("pin_memory", True))
    }
    direct, through = (fit(Net, DEVICE, **params) for params in ({}, loaders))
    assert_alike(through, direct, 1e-5)


def test_searches_share_a_gpu():
    search = GridSearchCV(quick(Net, device=DEVICE), {"meta_lr": [0.01, 0.1]}, cv=2, n_jobs=2)
    search.fit(DATA.X, DATA.y, X_meta=DATA.X_meta, y_meta=DATA.y_meta)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
