"""Small tables, networks and classifiers for the tests of the estimator."""

from __future__ import annotations

import random
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset

from skgdw import GDWClassifier


class Data(NamedTuple):
    """What `fit` takes, in its order."""

    X: Any
    y: Any
    X_meta: Any
    y_meta: Any

    def labelled(self, labels: Any) -> Data:
        """Return the same rows with `labels[code]` for labels."""
        labels = np.asarray(labels)
        return self._replace(y=labels[self.y], y_meta=labels[self.y_meta])


def blobs(n: int = 48, n_meta: int = 12, *, n_classes: int = 3, seed: int = 0) -> Data:
    """Make well separated classes in four columns; the labels are 0 .. n_classes - 1."""
    rng = np.random.default_rng(seed)
    centres = 4.0 * np.eye(4)[:n_classes]
    y, y_meta = np.arange(n) % n_classes, np.arange(n_meta) % n_classes
    X = centres[y] + rng.normal(size=(n, 4))
    return Data(X, y, centres[y_meta] + rng.normal(size=(n_meta, 4)), y_meta)


class Rows(Dataset):
    """A Dataset of the user's own: one row at a time."""

    def __init__(self, rows, codes):
        self.rows, self.codes = rows, codes

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return self.rows[i], int(self.codes[i])


class Net(nn.Module):
    """A small network that does not scale its inputs; counts how often it is built and called."""

    built: ClassVar[int] = 0
    calls: ClassVar[int] = 0

    def __init__(self, n_features=4, n_classes=3, hidden=8):
        super().__init__()
        type(self).built += 1
        self.layers = nn.Sequential(
            nn.Linear(n_features, hidden), nn.ReLU(), nn.Linear(hidden, n_classes)
        )

    def forward(self, X):
        type(self).calls += 1
        return self.layers(X)


class DropoutNet(Net):
    """Draws random numbers at every training pass."""

    def forward(self, X):
        return self.layers(nn.functional.dropout(X, 0.3, self.training))


def quick(module: Any = Net, **params: Any) -> GDWClassifier:
    """Return a seeded, silent classifier that trains for one epoch by the paper's algorithm."""
    given = {"weighting": "class", "max_epochs": 1, "verbose": 0, "random_state": 0, **params}
    return GDWClassifier(module, **given)


def weights(net: GDWClassifier) -> np.ndarray:
    """Return all parameters of the trained networks in one vector."""
    return np.concatenate(
        [
            parameter.detach().double().numpy().ravel()
            for module in (net.module_, net.weight_net_)
            for parameter in module.parameters()
        ]
    )


def global_random_states() -> tuple[Any, ...]:
    """Return the states of Python's, numpy's and torch's global generators, to be compared."""
    name, keys, *rest = np.random.get_state()  # noqa: NPY002 (the state that must stay)
    torch_state = torch.get_rng_state()
    return (random.getstate(), name, keys.tobytes(), *rest, torch_state.numpy().tobytes())
