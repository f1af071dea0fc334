"""Where batches are placed, and in which order of memory."""

import pytest
import torch

from skgdw._feed._layout import Layout, channels_last

IMAGES, CODES = torch.rand(4, 3, 5, 6), torch.arange(4)


def is_channels_last(X):
    return X.is_contiguous(memory_format=torch.channels_last)


def test_the_order_of_memory_is_no_other_image():
    moved = channels_last(IMAGES)
    assert is_channels_last(moved)
    assert not is_channels_last(IMAGES)
    assert torch.equal(moved, IMAGES)


@pytest.mark.parametrize("wanted", [False, True])
def test_images_come_in_the_order_that_suits_the_module(wanted):
    layout = Layout("cpu")
    layout.channels_last = wanted
    X, y = layout((IMAGES, CODES))
    assert is_channels_last(X) is wanted
    assert torch.equal(X, IMAGES)
    assert y is CODES


@pytest.mark.parametrize("device", ["meta", torch.device("meta")])
def test_batches_are_brought_to_the_device(device):
    X, y = Layout(device)([IMAGES, CODES])
    assert X.is_meta
    assert y.is_meta


def test_mappings_are_brought_to_the_device_entry_by_entry():
    X, y = Layout("meta")(({"a": IMAGES, "b": IMAGES[:, 0]}, CODES))
    assert [value.is_meta for value in X.values()] == [True, True]
    assert y.is_meta


def test_without_a_device_batches_stay_where_they_are():
    X, y = Layout(None)((IMAGES, CODES))
    assert X is IMAGES
    assert y is CODES
