"""
Images in a pipeline
====================

Flat rows of pixels are brought into the shape of images by a step of the pipeline, and so is the
meta set. ``module="auto"`` then takes a small residual network.
"""

# %%
# Handwritten digits, of which a third got the label of the next digit. A hundred were checked.

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skgdw.corruption import LabelNoise
from skgdw.model_selection import split_meta

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X, y, test_size=400, stratify=y, random_state=0)
X, y, X_meta, y_meta = split_meta(X, y, 100, random_state=0)
noise = LabelNoise(kind="pair", noise_rate=1 / 3, random_state=0)
X, y_noisy = noise.fit_resample(X, y)
X.shape, X_meta.shape

# %%
# The pipeline. Rows given to ``fit`` and ``predict`` stay flat, as tables are; the classifier sees
# images of one channel.

from sklearn.preprocessing import FunctionTransformer

from skgdw import GDWClassifier
from skgdw.model_selection import make_meta_pipeline


def as_images(rows):
    """Return rows of 64 pixels as images of shape (1, 8, 8)."""
    return rows.reshape(-1, 1, 8, 8).astype(np.float32)


def pipeline(**params):
    """Return reshaping and classifier."""
    classifier = GDWClassifier(max_epochs=15, random_state=0, verbose=0, **params)
    return make_meta_pipeline(FunctionTransformer(as_images), classifier)


pipe = pipeline().fit(X, y_noisy, X_meta=(X_meta,), y_meta=(y_meta,))
plain = pipeline(weighting="uniform").fit(X, y_noisy)
print(f"plain training {plain.score(X_test, y_test):.1%}")
print(f"class pairs    {pipe.score(X_test, y_test):.1%}")

# %%
# The labels that were trusted least: below each image its given label, in red where it is wrong.

import matplotlib.pyplot as plt

weight = pipe[-1].row_weights_
worst = weight.argsort()[:24]
figure, axes = plt.subplots(3, 8, figsize=(8, 4.2), layout="constrained")
for ax, row in zip(axes.flat, worst, strict=True):
    ax.imshow(X[row].reshape(8, 8), cmap="gray_r")
    ax.set_xlabel(y_noisy[row], color="#D55E00" if noise.noise_mask_[row] else "black")
    ax.set(xticks=[], yticks=[])
figure.suptitle("Least trusted labels (red: wrong)")
plt.show()
