"""
A pretrained backbone
=====================

A network that was trained on another task is kept as it is, and a new last layer learns from few
rows with many wrong labels. A frozen backbone is frozen only with its batch normalisation.
"""

# %%
# A thousand digits are at hand with right labels, to pretrain on. The task is another one, odd or
# even, of which there are 100 rows: 30 % of them have the wrong label, and 10 more were checked.

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skgdw.corruption import LabelNoise
from skgdw.model_selection import split_meta

X, digit = load_digits(return_X_y=True)
X_first, X, digit_first, digit = train_test_split(
    X, digit, train_size=1000, stratify=digit, random_state=0
)
y = np.where(digit % 2 == 1, "odd", "even")
X, X_test, y, y_test = train_test_split(X, y, train_size=110, stratify=y, random_state=0)
X, y, X_meta, y_meta = split_meta(X, y, 10, random_state=0)
X, y_noisy = LabelNoise(noise_rate=0.3, exact=True, random_state=0).fit_resample(X, y)
len(X), len(X_meta), len(X_test)

# %%
# Pretraining: plain training of a small residual network. Its layers but the last make the
# backbone. Parameters that require no gradient stay as they are.

import torch
from torch import nn

from skgdw import GDWClassifier
from skgdw.modules import SmallResNet


def as_images(rows):
    """Return rows of 64 pixels as images of shape (1, 8, 8)."""
    return rows.reshape(-1, 1, 8, 8).astype(np.float32)


first = GDWClassifier(
    SmallResNet, module__n_classes=10, weighting="uniform", max_epochs=15, random_state=0, verbose=0
).fit(as_images(X_first), digit_first)


class Transferred(nn.Module):
    """A frozen backbone and a new last layer."""

    def __init__(self, n_classes, backbone):
        super().__init__()
        self.backbone = backbone
        width = backbone.linear.in_features
        self.backbone.linear = nn.Identity()
        self.backbone.requires_grad_(False)
        self.head = nn.Linear(width, n_classes)

    def forward(self, images):
        """Return the logits."""
        return self.head(self.backbone(images))


# %%
# ``FreezeBatchNorm`` keeps the running averages of the frozen layers, which would follow the new
# rows otherwise. Beside it: the same without the callback, plain training of the new layer, and a
# network that starts from nothing.

import copy

from skgdw.callbacks import FreezeBatchNorm


def transferred():
    """Return the new network, the backbone a copy."""
    torch.manual_seed(0)
    return Transferred(2, copy.deepcopy(first.module_))


def fit(module, **params):
    """Return a classifier fitted to the new task."""
    net = GDWClassifier(module, max_epochs=30, batch_size=32, random_state=0, verbose=0, **params)
    return net.fit(as_images(X), y_noisy, as_images(X_meta), y_meta)


nets = {
    "frozen": fit(transferred(), callbacks=[FreezeBatchNorm()]),
    "frozen, averages move": fit(transferred()),
    "frozen, plain training": fit(
        transferred(), callbacks=[FreezeBatchNorm()], weighting="uniform"
    ),
    "from nothing": fit(SmallResNet, module__n_classes=2),
}
accuracy = {name: net.score(as_images(X_test), y_test) for name, net in nets.items()}
for name, value in accuracy.items():
    print(f"{name:24}{value:.1%}")

# %%
# How far the averages of the last frozen layer have moved, in standard deviations. The new rows are
# digits as the old ones were, so that predictions hardly change here; where rows look otherwise, or
# where other programs use the same backbone, it has to stay as it was.

import matplotlib.pyplot as plt


def last_averages(net):
    """Return the running mean and variance of the last layer of batch normalisation."""
    layer = [part for part in net.module_.modules() if isinstance(part, nn.BatchNorm2d)][-1]
    return layer.running_mean, layer.running_var


before, variance = last_averages(first)
figure, ax = plt.subplots(figsize=(6, 3), layout="constrained")
for name, colour in (("frozen", "#0072B2"), ("frozen, averages move", "#D55E00")):
    moved = (last_averages(nets[name])[0] - before) / variance.sqrt()
    ax.plot(moved, color=colour, label=f"{name}: {accuracy[name]:.1%}")
ax.set(xlabel="channel", ylabel="moved by")
ax.legend()
plt.show()
