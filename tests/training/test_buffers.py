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


def test_buffers_that_grow_are_as_they_were():
    one, other = module(), module()
    one[1].seen = torch.ones(5)
    one.register_buffer("mask", torch.ones(1).expand(4), persistent=False)
    one[0].register_buffer("late", torch.ones(3), persistent=False)
    found = unlisted_buffers(one)
    other.register_buffer("mask", torch.zeros(1).expand(4), persistent=False)
    put_buffers(other, found)
    assert other[1].seen.tolist() == [1.0] * 5
    assert other.mask.tolist() == [1.0] * 4
    assert "late" not in other[0]._buffers  # which that module makes itself
    put_buffers(one, found)
    other.register_buffer("mask", None, persistent=False)
    put_buffers(other, found)
    assert other.mask.tolist() == [1.0] * 4
