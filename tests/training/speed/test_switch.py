"""What is faster changes results by rounding at most, and can be turned off."""

from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

from classifier_cases import blobs, quick, weights
from skgdw._training.speed._switch import Speed, speed_in_use
from skgdw._training.step._jvp import DualNumbers, Recorded
from skgdw.functional._recorded import RULES

ALL_OFF = Speed(recorded=False, channels_last=False, fused=False, cuda_graph=False)
ALL_BUT_GRAPHS = Speed(recorded=True, channels_last=True, fused=True, cuda_graph=False)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ALL_BUT_GRAPHS),
        ({"SKGDW_SPEED": "1"}, ALL_BUT_GRAPHS),
        ({"SKGDW_SPEED": "0"}, ALL_OFF),
        ({"SKGDW_SPEED": "0", "SKGDW_CUDA_GRAPH": "1"}, ALL_OFF),
        ({"SKGDW_CUDA_GRAPH": "0"}, ALL_BUT_GRAPHS),
        ({"SKGDW_CUDA_GRAPH": "1"}, Speed(cuda_graph=True)),
    ],
)
def test_the_environment_is_read(monkeypatch, environment, expected):
    for name in ("SKGDW_SPEED", "SKGDW_CUDA_GRAPH"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert speed_in_use() == expected


def images():
    rng = np.random.default_rng(0)
    y, y_meta = np.arange(40) % 3, np.arange(12) % 3
    X, X_meta = (rng.normal(size=(n, 1, 6, 6)).astype(np.float32) for n in (40, 12))
    for rows, codes in ((X, y), (X_meta, y_meta)):
        rows[np.arange(len(codes)), 0, codes] += 1.5
    return X, y, X_meta, y_meta


class ConvNet(nn.Module):
    """Notes the ways its inputs lie in memory."""

    seen: set

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Conv2d(4, 4, 3, stride=2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(16, 3),
        )

    def forward(self, X):
        return self.layers(X)


class Jvps:
    """Remembers how J g was computed in each step of a fit."""

    def __init__(self, monkeypatch):
        self.seen = []
        for kind in (Recorded, DualNumbers):
            monkeypatch.setattr(kind, "__call__", self._watched(kind, kind.__call__))

    def _watched(self, kind, call):
        def watched(jvp, *args):
            self.seen.append(kind)
            return call(jvp, *args)

        return watched


DATA = {"table": blobs(), "image": images()}
MODULES = {"table": "auto", "image": ConvNet}


@pytest.mark.parametrize("kind", DATA)
def test_all_that_is_faster_changes_results_by_rounding(monkeypatch, kind):
    options = {"max_epochs": 2, "batch_size": 16}
    jvps = Jvps(monkeypatch)
    fast = quick(MODULES[kind], **options).fit(*DATA[kind])
    n_steps = 2 * 3
    # A trial each, and one at other parameters, to compare them; from then on along the graph.
    assert Counter(jvps.seen[:4]) == {DualNumbers: 2, Recorded: 2}
    assert jvps.seen[4:] == [Recorded] * n_steps
    assert fast.optimizer_.param_groups[0]["fused"]
    jvps.seen.clear()
    monkeypatch.setenv("SKGDW_SPEED", "0")
    slow = quick(MODULES[kind], **options).fit(*DATA[kind])
    assert jvps.seen == [DualNumbers] * (1 + n_steps)
    assert not slow.optimizer_.param_groups[0]["fused"]
    assert fast.meta_gradient_ == slow.meta_gradient_ == "forward"
    np.testing.assert_allclose(weights(fast), weights(slow), rtol=1e-4, atol=1e-6)
    assert not np.array_equal(weights(fast), weights(quick(MODULES[kind]).fit(*DATA[kind])))
    np.testing.assert_allclose(fast.row_weights_, slow.row_weights_, rtol=1e-3)


class ReLUNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))

    def forward(self, X):
        return self.layers(X)


def nonsense(node, tangents):
    return torch.sign(tangents[0])


def failing(node, tangents):
    raise KeyError("no such attribute")


@pytest.mark.parametrize("rule", [nonsense, failing])
def test_a_rule_that_is_wrong_does_not_reach_the_result(monkeypatch, rule):
    options = {"max_epochs": 2, "batch_size": 16}
    called = []

    def counted(node, tangents):
        called.append(1)
        return rule(node, tangents)

    with monkeypatch.context() as patch:
        patch.setenv("SKGDW_SPEED", "0")
        slow = quick(ReLUNet, **options).fit(*DATA["table"])
    assert not called
    right = quick(ReLUNet, **options).fit(*DATA["table"])
    monkeypatch.setitem(RULES, "ReluBackward0", counted)
    wrong = quick(ReLUNet, **options).fit(*DATA["table"])
    assert len(called) == 1  # in the trial; no step asks it again
    np.testing.assert_allclose(weights(wrong), weights(slow), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(weights(wrong), weights(right), rtol=1e-4, atol=1e-6)
    assert wrong.meta_gradient_ == "forward"
