"""The residual networks: their sizes, any image, and that they learn."""

import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from skgdw.modules import ResNet32, SmallResNet


def n_parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: ResNet32(10), 464_154),
        (lambda: ResNet32(100), 464_154 + 90 * 65),
        (lambda: ResNet32(10, in_channels=1), 464_154 - 2 * 9 * 16),
        (lambda: SmallResNet(10), 75_114),
    ],
    ids=["resnet32", "100-classes", "grey", "small"],
)
def test_parameter_count(make, expected):
    with torch.device("meta"):  # sizes only
        assert n_parameters(make()) == expected


def test_depth_counts_the_layers():
    convolutions = [m for m in ResNet32(10).modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) + 1 == 32


@pytest.mark.parametrize("side", [8, 11, 32])
@pytest.mark.parametrize(
    "network",
    [ResNet32(7), SmallResNet(7, in_channels=3)],
    ids=lambda network: type(network).__name__,
)
def test_any_image_of_8_pixels_or_more(network, side):
    logits = network(torch.rand(2, 3, side, side + 1))
    assert logits.shape == (2, 7)
    assert logits.isfinite().all()


def test_logits_start_at_a_moderate_size():
    # A start with huge losses would be capped and clipped in the first steps.
    X = torch.rand(64, 3, 16, 16)
    for network in (ResNet32(10), SmallResNet(10, 3)):
        assert network.fit_scaling(X)(X).std() < 5.0


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: ResNet32(0), ValueError, "`n_classes` must be at least 1; got 0"),
        (lambda: ResNet32(10, 0), ValueError, "`in_channels` must be at least 1; got 0; pass the"),
        (lambda: SmallResNet(10, width=0), ValueError, "`width` must be at least 1; got 0; 16 to"),
    ],
)
def test_bad_arguments_are_refused(make, error, match):
    with pytest.raises(error, match=match):
        make()


def test_images_of_other_channels_are_refused():
    with pytest.raises(ValueError, match=r"`X` must have 3 .* channels .* \(2, 1, 8, 8\); build"):
        ResNet32(10)(torch.zeros(2, 1, 8, 8))


def digits_accuracy(n_epochs, factor):
    digits = load_digits()
    images = torch.from_numpy(digits.images).float()[:, None] * factor
    train, test, y_train, y_test = train_test_split(
        images, torch.from_numpy(digits.target), test_size=0.25, random_state=0
    )
    network = SmallResNet(10).fit_scaling(train)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_epochs)
    for _ in range(n_epochs):
        for batch in torch.randperm(len(train)).split(128):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(train[batch]), y_train[batch]).backward()
            optimizer.step()
        schedule.step()
    with torch.no_grad():
        return (network.eval()(test).argmax(1) == y_test).float().mean().item()


@pytest.mark.parametrize("factor", [1 / 16, 16.0])
def test_small_net_learns_digits_in_three_epochs(factor):
    assert digits_accuracy(n_epochs=3, factor=factor) > 0.9


@pytest.mark.long
def test_small_net_masters_digits():
    assert digits_accuracy(n_epochs=20, factor=1.0) > 0.98
