"""Buffers that a module keeps out of its state dict."""

import torch
from torch import nn

from skgdw._training._buffers import put_buffers, unlisted_buffers


def module():
    made = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2))
    made[1].register_buffer("seen", torch.zeros(2), persistent=False)
    return made


def test_only_what_the_state_leaves_out_is_copied():
    one, other = module(), module()
    one[1].seen.fill_(3.0)
    found = unlisted_buffers(one)
    assert found.keys() == {"1.seen"}
    one[1].seen.fill_(4.0)
    put_buffers(other, found)
    assert other[1].seen.tolist() == [3.0, 3.0]
    assert unlisted_buffers(nn.BatchNorm1d(2)) == {}
