"""The wide residual network."""

import pytest
import torch
from torch import nn

from skgdw.modules import WideResNet


@pytest.mark.parametrize(
    ("params", "expected"), [({}, 36_479_194), ({"depth": 16, "width": 4}, 2_748_890)]
)
def test_parameter_count(params, expected):
    with torch.device("meta"):  # sizes only: it is large
        network = WideResNet(10, **params)
    assert sum(parameter.numel() for parameter in network.parameters()) == expected


def test_depth_counts_the_layers():
    wide = WideResNet(10, depth=22, width=1)
    main = [m for m in wide.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    assert len(main) + 3 == 22  # the count of the paper includes the three projections


@pytest.mark.parametrize("side", [8, 11, 32])
def test_any_image_of_8_pixels_or_more(side):
    logits = WideResNet(7, depth=10, width=1)(torch.rand(2, 3, side, side + 1))
    assert logits.shape == (2, 7)
    assert logits.isfinite().all()


def test_logits_start_at_a_moderate_size():
    # A start with huge losses would be capped and clipped in the first steps.
    X = torch.rand(64, 3, 16, 16)
    assert WideResNet(10, depth=10, width=1).fit_scaling(X)(X).std() < 5.0


def test_dropout_acts_in_training_only():
    network = WideResNet(3, in_channels=1, depth=10, width=1, dropout=0.5)
    X = torch.rand(4, 1, 8, 8)
    assert not torch.equal(network(X), network(X))
    network.eval()
    assert torch.equal(network(X), network(X))


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: WideResNet(10, depth=27), ValueError, r"`depth` .* multiple of 6; .* below is 22"),
        (lambda: WideResNet(10, depth=4), ValueError, "`depth` must be at least 10; got 4"),
        (lambda: WideResNet(10, width=0.5), TypeError, r"`width` must be an integer; got 0\.5"),
        (
            lambda: WideResNet(10, dropout=1.0),
            ValueError,
            r"`dropout` .* below 1; got 1\.0; 0 turns",
        ),
    ],
)
def test_bad_arguments_are_refused(make, error, match):
    with pytest.raises(error, match=match):
        make()
