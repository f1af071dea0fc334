"""Export of fitted networks: what other runtimes compute is what `predict_proba` gives."""

import warnings
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from classifier_cases import quick
from skgdw.modules import Probabilities, ResNet32, SmallResNet, WideResNet
from test_docs import DOCS, rst_blocks

TABLE, GREY, COLOURED = (5,), (1, 8, 8), (3, 8, 8)
NETWORKS = {
    "table": ("auto", TABLE, {}),
    "images": ("auto", GREY, {}),
    "SmallResNet": (SmallResNet, COLOURED, {"in_channels": 3, "width": 4}),
    "ResNet32": (ResNet32, COLOURED, {}),
    "WideResNet": (WideResNet, COLOURED, {"depth": 10, "width": 1, "dropout": 0.3}),
}
QUICK = {"table", "ResNet32"}  # the others take seconds each
NAMES = [n if n in QUICK else pytest.param(n, marks=pytest.mark.long) for n in NETWORKS]
QUICK_ONNX = [("table", True), ("table", False), ("ResNet32", False)]
N_CLASSES = 3


def fitted(name, **params):
    """Return a classifier and rows to predict for; some rows are far out, to be compressed."""
    module, shape, options = NETWORKS[name]
    rng = np.random.default_rng(0)
    X = rng.standard_normal((48, *shape), dtype=np.float32)
    y = np.arange(len(X)) % N_CLASSES
    X[-2:] *= 100.0
    if module != "auto":
        options = {"n_classes": N_CLASSES, **options}
    options = {f"module__{key}": value for key, value in options.items()}
    net = quick(
        module, weighting="class_pair", lr=0.001, max_epochs=5, batch_size=10, **options, **params
    )
    net.fit(X[:30], y[:30], X[30:42], y[30:42])
    assert np.ptp(net.predict_proba(X)[:, 0]) > 0.05  # no prediction that any network makes
    return net, X


def assert_same(probability, net, X):
    assert probability.dtype == np.float32
    np.testing.assert_allclose(probability, net.predict_proba(X), rtol=0, atol=1e-5)


def to_onnx(module, example, path, *, dynamo):
    """Write a file that takes any number of rows."""
    rows = (
        {"dynamic_shapes": ({0: torch.export.Dim("n")},)}
        if dynamo
        else {"dynamic_axes": {"X": {0: "n"}, "probability": {0: "n"}}}
    )
    names = {"input_names": ["X"], "output_names": ["probability"]}
    with warnings.catch_warnings():  # torch warns of itself
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (example,), str(path), dynamo=dynamo, **names, **rows)


def run_onnx(path, X):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {"X": X})[0]


def export(module, example):
    rows = ({0: torch.export.Dim("n")},)
    return torch.export.export(module, (example,), dynamic_shapes=rows)


@pytest.mark.parametrize("class_prior", ["meta", "train"])
@pytest.mark.parametrize("name", NAMES)
def test_torch_exports_the_prediction(name, class_prior):
    net, X = fitted(name, class_prior=class_prior)
    program = export(Probabilities(net), torch.from_numpy(X[:4])).module()
    for n in (1, 7, len(X)):
        assert_same(program(torch.from_numpy(X[:n])).numpy(), net, X[:n])


@pytest.mark.parametrize("name", NAMES)
def test_torch_exports_the_network_itself(name):
    net, X = fitted(name)
    module = net.module_.eval()
    logits = export(module, torch.from_numpy(X[:4])).module()(torch.from_numpy(X))
    assert_same(logits.softmax(dim=1).detach().numpy(), net, X)


class Texts(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 6)
        self.head = nn.Linear(6, N_CLASSES)

    def forward(self, ids, length):
        return self.head(self.embedding(ids).sum(dim=1) / length)


def test_torch_exports_inputs_under_several_names():
    rng = np.random.default_rng(0)
    rows = {
        "ids": rng.integers(20, size=(40, 5)),
        "length": np.full((40, 1), 5.0, dtype=np.float32),
    }
    y = np.arange(40) % N_CLASSES
    train, meta = ({k: v[part] for k, v in rows.items()} for part in (slice(28), slice(28, None)))
    net = quick(Texts, weighting="class_pair").fit(train, y[:28], meta, y[28:])
    X = {name: torch.from_numpy(values) for name, values in rows.items()}
    n = torch.export.Dim("n")
    shapes = ({"ids": {0: n}, "length": {0: n}},)
    few = {name: values[:4] for name, values in X.items()}
    program = torch.export.export(Probabilities(net), (few,), dynamic_shapes=shapes).module()
    np.testing.assert_allclose(program(X).numpy(), net.predict_proba(rows), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "dynamo"),
    [
        *(
            pytest.param(*case, marks=pytest.mark.long)
            for case in product(NETWORKS, (True, False))
            if case not in QUICK_ONNX
        ),
        *QUICK_ONNX,
    ],
)
def test_onnx_files_predict_alike(name, dynamo, tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    net, X = fitted(name)
    for class_prior in ("meta",) if dynamo else ("meta", "train"):  # dynamo takes seconds a file
        net.set_params(class_prior=class_prior)
        path = tmp_path / f"{class_prior}.onnx"
        to_onnx(Probabilities(net), torch.from_numpy(X[:4]), path, dynamo=dynamo)
        for n in (1, 7, len(X)):
            assert_same(run_onnx(path, X[:n]), net, X[:n])


def test_onnx_files_know_the_class_prior(tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    net, X = fitted("table", class_prior=[0.7, 0.2, 0.1])
    to_onnx(Probabilities(net), torch.from_numpy(X[:4]), tmp_path / "net.onnx", dynamo=True)
    assert_same(run_onnx(tmp_path / "net.onnx", X), net, X)


def test_rows_in_double_precision_keep_their_offsets(tmp_path):
    X = np.random.default_rng(0).normal(1.7e9, 30.0, size=(48, 5))  # float32 steps by 128 there
    y = np.arange(len(X)) % N_CLASSES
    net = quick("auto", lr=0.01).fit(X[:30], y[:30], X[30:42], y[30:42])
    module = Probabilities(net)
    assert_same(
        export(module, torch.from_numpy(X[:4])).module()(torch.from_numpy(X)).numpy(), net, X
    )
    assert np.abs(module(torch.from_numpy(X).float()).numpy() - net.predict_proba(X)).max() > 0.01
    for package in ("onnx", "onnxscript"):
        pytest.importorskip(package)
    to_onnx(module, torch.from_numpy(X[:4]), tmp_path / "net.onnx", dynamo=False)
    assert_same(run_onnx(tmp_path / "net.onnx", X), net, X)


@pytest.mark.filterwarnings("ignore")  # torch warns of itself
def test_the_recipe_of_the_user_guide_runs(tmp_path, monkeypatch):
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    text = (DOCS / "user_guide.rst").read_text(encoding="utf-8")
    (recipe,) = (code for _, language, code in rst_blocks(text) if language == "py")
    net, X = fitted("table")
    monkeypatch.chdir(tmp_path)
    found = {"clf": net, "torch": torch, "np": np, "X_test": X, "Probabilities": Probabilities}
    exec(recipe, found)
    assert_same(found["probability"], net, X)
