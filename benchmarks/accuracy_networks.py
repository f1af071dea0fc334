"""Networks of bench_accuracy.py that the package does not have."""

from torch import nn

from skgdw.modules import RandomCropFlip, ResNet32


class SmallConvNet(nn.Sequential):
    """Three blocks of convolution, BatchNorm, ReLU and pooling, then the mean over pixels."""

    def __init__(self, in_channels=1, n_classes=10, widths=(16, 32, 64)):
        layers, before = [], in_channels
        for width in widths:
            convolution = nn.Conv2d(before, width, 3, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)]
            before = width
        head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, n_classes)]
        super().__init__(*layers, *head)


class AugmentedResNet32(nn.Sequential):
    """Random crops and flips on the device, and ResNet-32: the network of Chen et al., 2021."""

    def __init__(self, in_channels=3, n_classes=10):
        super().__init__(RandomCropFlip(), ResNet32(n_classes, in_channels))
