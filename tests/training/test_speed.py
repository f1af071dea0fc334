"""What is faster changes results by rounding at most, and can be turned off."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import skgdw
from classifier_cases import quick, weights
from skgdw._training._speed import Speed, speed_in_use
from skgdw._training.step._jvp import DualNumbers, Recorded
from skgdw.functional._recorded import RULES
from speed_cases import DATA, MODULES, OPTIONS, ROOMS, in_package

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


@pytest.mark.parametrize("kind", DATA)
def test_all_that_is_faster_changes_results_by_rounding(monkeypatch, kind):
    jvps = Jvps(monkeypatch)
    fast = quick(MODULES[kind], **OPTIONS).fit(*DATA[kind])
    n_steps = 2 * 3
    # A trial each, and one at other parameters, to compare them; from then on along the graph.
    assert Counter(jvps.seen[:4]) == {DualNumbers: 2, Recorded: 2}
    assert jvps.seen[4:] == [Recorded] * n_steps
    assert fast.optimizer_.param_groups[0]["fused"]
    jvps.seen.clear()
    monkeypatch.setenv("SKGDW_SPEED", "0")
    slow = quick(MODULES[kind], **OPTIONS).fit(*DATA[kind])
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
    called = []

    def counted(node, tangents):
        called.append(1)
        return rule(node, tangents)

    with monkeypatch.context() as patch:
        patch.setenv("SKGDW_SPEED", "0")
        slow = quick(ReLUNet, **OPTIONS).fit(*DATA["table"])
    assert not called
    right = quick(ReLUNet, **OPTIONS).fit(*DATA["table"])
    monkeypatch.setitem(RULES, "ReluBackward0", counted)
    wrong = quick(ReLUNet, **OPTIONS).fit(*DATA["table"])
    assert len(called) == 1  # in the trial; no step asks it again
    np.testing.assert_allclose(weights(wrong), weights(slow), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(weights(wrong), weights(right), rtol=1e-4, atol=1e-6)
    assert wrong.meta_gradient_ == "forward"


FIT_WITHOUT = """
import sys
import numpy as np
import skgdw
from classifier_cases import quick, weights
from speed_cases import DATA, MODULES, OPTIONS, ROOMS, in_package
assert not any((in_package(skgdw) / room).exists() for room in ROOMS)
found = {kind: weights(quick(MODULES[kind], **OPTIONS).fit(*DATA[kind])) for kind in DATA}
np.savez(sys.argv[1], **found)
"""


def test_the_folders_of_what_is_faster_can_be_deleted(tmp_path):
    copy = tmp_path / "skgdw"
    shutil.copytree(in_package(skgdw), copy, ignore=shutil.ignore_patterns("__pycache__"))
    for room in ROOMS:
        shutil.rmtree(copy / room)
    places = os.pathsep.join(map(str, [tmp_path, Path(__file__).parents[1]]))
    command = [sys.executable, "-c", FIT_WITHOUT, tmp_path / "found.npz"]
    env = {**os.environ, "PYTHONPATH": places, "SKGDW_CUDA_GRAPH": "1"}
    env.pop("SKGDW_SPEED", None)
    run = subprocess.run(command, env=env, capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "`cuda_graph` is not used: No module named 'skgdw._training.speed'" in run.stderr
    with np.load(tmp_path / "found.npz") as found:
        for kind, data in DATA.items():
            net = quick(MODULES[kind], **OPTIONS).fit(*data)
            np.testing.assert_allclose(weights(net), found[kind], rtol=1e-4, atol=1e-6)
