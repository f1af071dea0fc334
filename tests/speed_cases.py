"""Fits with and without what is faster, here and where its folders are deleted."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
from torch import nn

from classifier_cases import blobs

OPTIONS = {"max_epochs": 2, "batch_size": 16}
ROOMS = ["_training/speed", "functional/_recorded"]


def in_package(package: ModuleType) -> Path:
    """Return the folder of a package."""
    return Path(str(package.__file__)).parent


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


DATA = {"table": blobs(), "image": images()}
MODULES = {"table": "auto", "image": ConvNet}
