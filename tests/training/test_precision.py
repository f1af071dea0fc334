"""bf16: the module's passes are short of digits, nothing else is."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from classifier_cases import DropoutNet, Net, blobs, quick, weights
from skgdw import GDWClassifier
from skgdw._training._precision import Precision, without_autocast
from skgdw._training.step._stateless import Stateless
from skgdw.corruption import LabelNoise
from skgdw.exceptions import MetaGradientFallbackWarning
from skgdw.model_selection import split_meta

DATA = blobs()
SHORT = Precision("cpu", torch.bfloat16)


def test_full_precision_changes_nothing():
    full, call = Precision(), lambda X: X
    assert full.wrap(call) is call
    assert full.eps is None
    X = torch.ones(2, dtype=torch.bfloat16)
    assert full.widen(X) is X


def test_outputs_come_back_in_float32():
    module, X = nn.Linear(3, 2), torch.randn(4, 3)
    logits = SHORT.wrap(module)(X)
    assert logits.dtype is torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(logits, module(X).float())
    assert not torch.equal(logits, module(X))
    widened = SHORT.widen((torch.ones(1, dtype=torch.bfloat16), "more", torch.ones(1).double()))
    assert widened[0].dtype is torch.float32
    assert widened[1] == "more"
    assert widened[2].dtype is torch.float64


def test_stateless_passes_take_their_own_precision_or_another():
    module, X = nn.Linear(3, 2), torch.randn(4, 3)
    stateless = Stateless(module, SHORT)
    assert torch.equal(stateless({}, X), SHORT.wrap(module)(X))
    assert torch.equal(stateless({}, X, precision=Precision()), module(X))


class Watched(Net):
    """Notes the formats of its products and whether a graph is made."""

    def forward(self, X):
        logits = super().forward(X)
        type(self).seen.append((logits.dtype, torch.is_grad_enabled()))
        return logits


@pytest.mark.parametrize("method", ["forward", "difference", "unrolled"])
@pytest.mark.parametrize("weighting", ["class", "uniform"])
def test_which_passes_are_short(weighting, method):
    Watched.seen = []
    net = quick(Watched, precision="bf16", weighting=weighting, meta_gradient=method)
    net.fit(*DATA)
    formats = {dtype for dtype, _ in Watched.seen}
    is_mixed = weighting == "class" and method == "difference"
    assert formats == {torch.bfloat16, torch.float64} if is_mixed else {torch.bfloat16}
    Watched.seen = []
    net.predict(DATA.X)
    assert {dtype for dtype, _ in Watched.seen} == {torch.float32}


@pytest.mark.parametrize("module", [Net, DropoutNet, "auto"])
def test_parameters_weights_and_losses_stay_in_float32(module):
    net = quick(module, precision="bf16").fit(*DATA)
    assert {p.dtype for p in net.module_.parameters()} == {torch.float32}
    assert net.row_weights_.dtype == np.float32
    assert net.predict_proba(DATA.X).dtype == np.float32
    assert np.isfinite(weights(net)).all()
    assert not np.array_equal(weights(net), weights(quick(module).fit(*DATA)))


def test_forward_mode_is_not_refused_for_rounding():
    net = quick(precision="bf16", meta_gradient="forward")
    assert net.fit(*DATA).meta_gradient_ == "forward"


def test_weight_gradients_agree_with_full_precision(recwarn):
    found = [quick(precision=p, batch_size=48).fit(*DATA) for p in ("float32", "bf16")]
    meta_losses = [net.history[0, "batches", 0, "meta_loss"] for net in found]
    assert meta_losses[0] == pytest.approx(meta_losses[1], rel=0.02)
    assert not [w for w in recwarn if w.category is MetaGradientFallbackWarning]
    # One step from the same start: the parameters differ by what bf16 rounds in the gradients.
    change = np.abs(weights(found[0]) - weights(found[1])).max()
    assert 0 < change < 0.01


@pytest.mark.long
def test_trains_to_the_same_accuracy():
    images, y = load_digits(return_X_y=True)
    X = images.reshape(-1, 1, 8, 8).astype(np.float32)
    X, X_test, y, y_test = X[:1400], X[1400:], y[:1400], y[1400:]
    X, y, X_meta, y_meta = split_meta(X, y, 100, random_state=0)
    X, y = LabelNoise(noise_rate=0.4, random_state=0).fit_resample(X, y)
    scores = {
        precision: [
            GDWClassifier(precision=precision, max_epochs=10, random_state=seed, verbose=0)
            .fit(X, y, X_meta, y_meta)
            .score(X_test, y_test)
            for seed in range(3)
        ]
        for precision in ("float32", "bf16")
    }
    means = {precision: np.mean(found) for precision, found in scores.items()}
    assert abs(means["float32"] - means["bf16"]) < 0.03


def test_unknown_precision_is_refused():
    with pytest.raises(ValueError, match=r"`precision` must be one of \['float32', 'bf16'\]; got"):
        quick(precision="fp16").fit(*DATA)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("weighting", ["class_pair", "class", "uniform"])
def test_autocast_of_the_callers_is_left_outside(weighting, precision):
    expected = quick(weighting=weighting, precision=precision).fit(*DATA)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        net = quick(weighting=weighting, precision=precision).fit(*DATA)
        assert torch.is_autocast_enabled("cpu")
        assert torch.is_autocast_cache_enabled()
    assert np.array_equal(weights(net), weights(expected))


@pytest.mark.parametrize("device", [None, "cpu", torch.device("cpu")])
def test_autocast_is_off_inside(device):
    with torch.autocast("cpu"), without_autocast(device):
        assert not torch.is_autocast_enabled("cpu")
