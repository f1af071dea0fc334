"""
A class of one row in a thousand
================================

Payments, of which one in a thousand is a fraud. The training rows have 20 frauds among 20000, and
40 trusted rows, 20 of each class, teach. :doc:`/rare_classes` has the figures of five seeds.
"""

# %%
# The rows
# --------
# Frauds come in two kinds, on opposite sides of all others: no plane parts them.

import numpy as np


def payments(n_ok, n_fraud, rng):
    """Return rows of 20 columns, of which five tell, and their labels."""
    labels = rng.permutation(np.repeat(["ok", "fraud"], [n_ok, n_fraud]))
    rows = rng.normal(size=(len(labels), 20)).astype("float32")
    kind = rng.choice([-1, 1], len(labels))
    rows[:, :5] += (2.4 * kind * (labels == "fraud"))[:, None]
    return rows, labels


rng = np.random.default_rng(0)
X, y = payments(20_000, 20, rng)
X_meta, y_meta = payments(20, 20, rng)
X_test, y_test = payments(99_900, 100, rng)

# %%
# Defaults
# --------
# The meta set is even, and so are the predictions: both classes are taken for equally frequent.
# Nearly all frauds are found, among alarms that are mostly false.

from sklearn.metrics import classification_report

from skgdw import GDWClassifier

net = GDWClassifier(max_epochs=5, random_state=0, verbose=0)
net.fit(X, y, X_meta, y_meta)
print(classification_report(y_test, net.predict(X_test), digits=3))

# %%
# Where an alarm should be right more often than not, predict for the frequencies of the training
# rows. Nothing is trained anew.

net.set_params(class_prior="train")
print(f"{net.classes_[0]}: {net.class_prior_[0]:.2%} of the training rows")
print(classification_report(y_test, net.predict(X_test), digits=3))

# %%
# A threshold of one's own
# ------------------------
# Between the two lies a choice: what does a missed fraud cost, and what a false alarm? It takes
# rows that neither trained nor taught: ten of the trusted frauds, and training rows by the
# thousand, whose given labels are right often enough for this. They hold more frauds than the world
# does, so the cost weighs the two kinds of errors by how frequent the classes are.

from sklearn.metrics import make_scorer
from sklearn.model_selection import TunedThresholdClassifierCV

FRAUDS, COST_OF_A_MISS = 0.001, 20  # in false alarms


def gain(y_true, y_pred, pos_label):
    """Return minus the cost of a row, in false alarms."""
    fraud = y_true == pos_label
    missed = np.mean(y_pred[fraud] != pos_label)
    alarms = np.mean(y_pred[~fraud] == pos_label)
    return -(FRAUDS * COST_OF_A_MISS * missed + (1 - FRAUDS) * alarms)


first = np.arange(len(y)) < 16_000
spared = np.flatnonzero(y_meta == "fraud")[:10]
teaches = ~np.isin(np.arange(len(y_meta)), spared)
X_held = np.concatenate([X[~first], X_meta[spared]])
y_held = np.concatenate([y[~first], y_meta[spared]])

part = GDWClassifier(class_prior="train", max_epochs=5, random_state=0, verbose=0)
part.fit(X[first], y[first], X_meta[teaches], y_meta[teaches])
tuned = TunedThresholdClassifierCV(
    part, scoring=make_scorer(gain, pos_label="fraud"), cv="prefit", refit=False
)
tuned.fit(X_held, y_held)
print(f"fraud from a probability of {tuned.best_threshold_:.3f} on")
print(classification_report(y_test, tuned.predict(X_test), digits=3))

# %%
# Beside others
# -------------
# They get the trusted rows among their training rows. How well a classifier puts frauds before
# others, whatever the threshold, is its average precision.

import matplotlib.pyplot as plt
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import PrecisionRecallDisplay

X_all, y_all = np.concatenate([X, X_meta]), np.concatenate([y, y_meta])
others = {
    "plain training": GDWClassifier(weighting="uniform", max_epochs=5, random_state=0, verbose=0),
    "boosting, balanced": HistGradientBoostingClassifier(class_weight="balanced", random_state=0),
    "logistic, balanced": LogisticRegression(class_weight="balanced", max_iter=1000),
}
fitted = {"class pairs": net} | {name: model.fit(X_all, y_all) for name, model in others.items()}

figure, axes = plt.subplots(layout="constrained")
for name, model in fitted.items():
    PrecisionRecallDisplay.from_estimator(
        model, X_test, y_test, pos_label="fraud", name=name, ax=axes
    )
axes.legend(loc="lower left")
