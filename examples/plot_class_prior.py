"""
Predictions for a balanced world, or for the one at hand
========================================================

Six classes, from 45 % of the training rows down to 2 %, and two rows in five have the label of the
next class. The meta set has as many rows of each. Which class is the most probable one then depends
on the world that is asked about: one as balanced as the meta set, or one as uneven as the training
rows.
"""

# %%
# The rows
# --------

import numpy as np
from sklearn.datasets import make_classification
from sklearn.model_selection import train_test_split

from skgdw.corruption import LabelNoise
from skgdw.model_selection import split_meta

X, y = make_classification(
    n_samples=12_000,
    n_informative=8,
    n_classes=6,
    weights=[0.45, 0.25, 0.15, 0.08, 0.05, 0.02],
    flip_y=0,
    random_state=0,
)
X = X.astype("float32")
X, X_test, y, y_test = train_test_split(X, y, test_size=0.4, stratify=y, random_state=0)
X, y, X_meta, y_meta = split_meta(X, y, 120, random_state=0)
X, y = LabelNoise(kind="pair", noise_rate=0.4, random_state=0).fit_resample(X, y)

# %%
# Both worlds by one fit
# ----------------------
# Wrong labels make the largest class look smaller than it is, and the smallest larger. The fit
# finds out how frequent the true classes are.

from skgdw import GDWClassifier

net = GDWClassifier(max_epochs=20, random_state=0, verbose=0).fit(X, y, X_meta, y_meta)
print("given:", (np.bincount(y) / len(y)).round(2))
print("found:", net.class_prior_.round(2))

# %%
# ``class_prior`` may be set after the fit. ``"meta"``, the default, is for balanced accuracy,
# ``"train"`` for plain accuracy on rows like those of the training.

from sklearn.metrics import accuracy_score, balanced_accuracy_score


def scores(model):
    """Return accuracy and balanced accuracy on test rows, in %."""
    predicted = model.predict(X_test)
    return [100 * score(y_test, predicted) for score in (accuracy_score, balanced_accuracy_score)]


plain = GDWClassifier(weighting="uniform", max_epochs=20, random_state=0, verbose=0).fit(X, y)
print("                      accuracy   balanced")
for prior in ("meta", "train"):
    found = scores(net.set_params(class_prior=prior))
    print(f"class_prior={prior!r:9} {found[0]:8.1f} % {found[1]:8.1f} %")
plain_scores = scores(plain)
print(f"plain training        {plain_scores[0]:8.1f} % {plain_scores[1]:8.1f} %")

# %%
# In between
# ----------
# An array is any other world. The shares that were found, to a power from 0 (all alike) to 1 (as
# they are), lead from one end to the other: what balanced accuracy loses, accuracy gains.

import matplotlib.pyplot as plt

powers = np.linspace(0, 1, 11)
curve = []
for power in powers:
    world = net.class_prior_**power
    curve.append(scores(net.set_params(class_prior=world / world.sum())))

figure, axes = plt.subplots(layout="constrained")
for k, (name, colour) in enumerate([("accuracy", "#0072B2"), ("balanced accuracy", "#D55E00")]):
    axes.plot(powers, np.array(curve)[:, k], marker="o", color=colour, label=name)
    axes.axhline(plain_scores[k], color=colour, linestyle="--", label=f"{name}, plain training")
axes.set(xlabel='class prior: shares to the power of ... (0: "meta", 1: "train")', ylabel="%")
axes.legend()
