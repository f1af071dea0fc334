"""Networks that leave for other programs, by torch.export and ONNX."""

import numpy as np
import pytest
import torch
from torch import nn

from classifier_cases import Data, blobs, quick
from skgdw import GDWClassifier
from skgdw.modules import ResNet32, WideResNet


def images(n, seed):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    return (rng.normal(size=(n, 3, 16, 16)) + y[:, None, None, None]).astype("f4"), y


TABLE = blobs()
TABLE = TABLE._replace(X=TABLE.X.astype("f4"), X_meta=TABLE.X_meta.astype("f4"))
IMAGES = Data(*images(24, 0), *images(12, 1))
OWN = GDWClassifier().module
CASES = {
    "table": (OWN, {}, TABLE),
    "images": (OWN, {}, IMAGES),
    "ResNet32": (ResNet32, {"module__n_classes": 3}, IMAGES),
    "WideResNet": (WideResNet, {"module__n_classes": 3, "module__depth": 10}, IMAGES),
}


@pytest.fixture(params=CASES, scope="module")
def fitted(request):
    """Return a classifier, the network that gives its probabilities, and rows to predict for."""
    module, params, data = CASES[request.param]
    net = quick(module, weighting="class_pair", **params).fit(*data)
    return net, nn.Sequential(net.module_, nn.Softmax(dim=1)).eval(), data.X


def test_torch_export(fitted):
    net, network, X = fitted
    rows = torch.from_numpy(X)
    program = torch.export.export(
        network, (rows[:4],), dynamic_shapes=({0: torch.export.Dim("n", min=2)},)
    )
    with torch.no_grad():
        found = program.module()(rows).numpy()
    np.testing.assert_allclose(found, net.predict_proba(X), atol=1e-6)


@pytest.mark.filterwarnings("ignore")  # of the exporters', about themselves
@pytest.mark.parametrize("dynamo", [True, False])
def test_onnx(fitted, dynamo, tmp_path):
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    net, network, X = fitted
    names = {"input_names": ["X"], "output_names": ["probability"]}
    sizes = (
        {"dynamic_shapes": ({0: torch.export.Dim("n", min=2)},)}
        if dynamo
        else {"dynamic_axes": {"X": {0: "n"}, "probability": {0: "n"}}}
    )
    torch.onnx.export(
        network,
        (torch.from_numpy(X[:4]),),
        tmp_path / "net.onnx",
        dynamo=dynamo,
        verbose=False,
        **names,
        **sizes,
    )
    session = onnxruntime.InferenceSession(
        tmp_path / "net.onnx", providers=["CPUExecutionProvider"]
    )
    (found,) = session.run(["probability"], {"X": X})
    np.testing.assert_allclose(found, net.predict_proba(X), atol=1e-5)
