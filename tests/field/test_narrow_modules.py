"""Modules whose parameters are of 16 bits: what follows the logits is computed in float32."""

import numpy as np
import pytest
import torch
from torch import nn

from classifier_cases import Net, blobs, quick
from skgdw._tensors import is_narrow
from skgdw._validation._outputs import widened

DATA = blobs(n=96, n_meta=24)
WEIGHTINGS = ("class_pair", "class", "instance", "network", "uniform")


class Brief(Net):
    def __init__(self):
        super().__init__()
        self.bfloat16()


class Half(Net):
    def __init__(self):
        super().__init__()
        self.half()


class Pair(Brief):
    def forward(self, X):
        logits = super().forward(X)
        return logits, X


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("module", [Brief, Half, Pair])
def test_they_learn_as_wide_ones_do(module, weighting):
    params = {"weighting": weighting, "meta_gradient": "unrolled", "batch_size": 16}
    net = quick(module, max_epochs=10, **params).fit(*DATA)
    probability = net.predict_proba(DATA.X)
    assert probability.dtype == np.float32
    assert net.score(DATA.X, DATA.y) > 0.95
    assert all(is_narrow(parameter) for parameter in net.module_.parameters())
    floats = [v for v in net.weighting_.state_dict().values() if isinstance(v, torch.Tensor)]
    assert {v.dtype for v in floats if v.is_floating_point()} <= {torch.float32}


@pytest.mark.parametrize("module", [Brief, Half])
def test_the_trial_knows_how_they_round(module):
    net = quick(module).fit(*DATA)  # with no word of derivatives that disagree
    assert net.meta_gradient_ == "forward"


def test_only_narrow_logits_are_widened():
    narrow, wide = torch.ones(2, dtype=torch.bfloat16), torch.ones(2, dtype=torch.float64)
    assert widened(narrow).dtype is torch.float32
    assert widened(wide) is wide
    first, second = widened((narrow, narrow))
    assert (first.dtype, second.dtype) == (torch.float32, torch.bfloat16)
    pair = [wide, narrow]
    assert widened(pair) is pair
    assert widened("logits") == "logits"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("weighting", ["class", "class_pair"])
def test_most_numbers_of_a_narrow_module_move(dtype, weighting):
    """torch's fused SGD for CPUs leaves most numbers of 16 bits as they were."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 40), nn.Tanh(), nn.Linear(40, 3)).to(dtype)
    net = quick(module, weighting=weighting, lr=0.3, max_epochs=5).fit(*DATA)
    before, after = module[0].weight, net.module_[0].weight
    assert after.dtype == dtype
    assert (before != after).float().mean() > 0.8
    assert bool(net.optimizer_.defaults["fused"]) == (dtype is torch.float32)
