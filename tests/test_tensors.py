"""Tensors of 16 bits told."""

import pytest
import torch

from skgdw._tensors import is_narrow

ARE_NARROW = {
    torch.float16: True,
    torch.bfloat16: True,
    torch.float32: False,
    torch.float64: False,
    torch.int16: False,
}


@pytest.mark.parametrize("dtype", ARE_NARROW, ids=str)
def test_floating_point_of_16_bits_is_narrow(dtype):
    assert is_narrow(torch.zeros(2, dtype=dtype)) is ARE_NARROW[dtype]
