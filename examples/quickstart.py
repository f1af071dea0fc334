"""Handwritten digits with wrong labels and uneven classes, learnt in three ways.

Run it with ``make demo``. Nothing is downloaded: the digits come with scikit-learn. It prints a
table of test accuracies and draws ``quickstart.png`` in the current folder.

1. Plain training on the corrupted rows.
2. The baseline to beat, ``fine_tune=True``. The same training, stopped early: the network of the
   epoch that does best on the meta set. Then this network fine-tuned on the meta set, at a small
   learning rate chosen by cross-validation within the meta set.
3. GDW, which uses the meta set at every step to weight the corrupted rows.

All three see the same corrupted rows and the same small meta set. The test rows choose nothing:
they make the table and the curves of the picture.
"""

import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.datasets import load_digits
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from sklearn.model_selection import train_test_split
from skorch.callbacks import Callback

from skgdw import GDWClassifier
from skgdw.corruption import ClassImbalance, LabelNoise
from skgdw.model_selection import split_meta

SEED = 0
META_ROWS_A_CLASS = 10
PICTURE = Path("quickstart.png")

# Okabe and Ito's colours, told apart under every kind of colour vision.
ORANGE, BLUE, GREY = "#E69F00", "#0072B2", "#555555"


class Progress(Callback):
    """Show how far training is, and note the test accuracy of each epoch for the picture."""

    def __init__(self, X_test, y_test):
        self.X_test, self.y_test = X_test, y_test

    def on_epoch_end(self, net, **kwargs):
        """Print a dot, or every fifth time the number of the epoch."""
        net.history.record("test_accuracy", net.score(self.X_test, self.y_test))
        epoch = len(net.history)
        print(epoch if epoch % 5 == 0 else ".", end="", flush=True)


def make_data():
    """Return corrupted training rows, clean meta and test rows, and which labels are wrong.

    The order matters: the meta set leaves the training rows while their labels are still right,
    and the imbalance is decided on true labels, before the noise.
    """
    digits = load_digits()
    X = digits.images[:, None].astype(np.float32)  # (n, 1, 8, 8): one channel of 8 x 8 pixels
    X, X_test, y, y_test = train_test_split(
        X, digits.target, test_size=0.25, stratify=digits.target, random_state=SEED
    )
    X, y, X_meta, y_meta = split_meta(X, y, 10 * META_ROWS_A_CLASS, random_state=SEED)
    imbalance = ClassImbalance(imbalance_ratio=10, random_state=SEED)
    X, y = imbalance.fit_resample(X, y)
    noise = LabelNoise(kind="uniform", noise_rate=0.4, random_state=SEED)
    X, y = noise.fit_resample(X, y)
    sizes = imbalance.sampling_strategy_.values()
    print(
        f"{len(y)} training rows in classes of {max(sizes)} down to {min(sizes)}, "
        f"{noise.noise_mask_.sum()} with a wrong label;\n"
        f"{len(y_meta)} clean meta rows; {len(y_test)} clean test rows\n"
    )
    return (X, y), (X_meta, y_meta), (X_test, y_test), noise.noise_mask_


@contextmanager
def timed(title):
    """Print what is going on, and afterwards how long it took."""
    print(f"{title:16}", end="", flush=True)
    start = time.perf_counter()
    yield
    print(f"  ({time.perf_counter() - start:.0f} s)")


def measure(name, clf, X_test, y_test):
    """Return one row of the table."""
    y_pred = clf.predict(X_test)
    return name, accuracy_score(y_test, y_pred), balanced_accuracy_score(y_test, y_pred)


def draw(plain, gdw, tuned_accuracy, noise_mask):
    """Draw the accuracy over the epochs, and the weights that GDW gave to the labels."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)

    epochs = np.arange(1, len(plain.history) + 1)
    left.axhline(tuned_accuracy, color=GREY, linestyle="--", label="stopped early, fine-tuned")
    left.plot(epochs, gdw.history[:, "test_accuracy"], color=BLUE, label="GDW")
    left.plot(epochs, plain.history[:, "test_accuracy"], color=ORANGE, label="plain training")
    left.set(xlabel="epoch", ylabel="accuracy on clean test rows", ylim=(0, 1), xlim=(1, None))
    left.set_title("Plain training learns the wrong labels too")
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.legend(loc="lower right", frameon=False)

    weights = gdw.row_weights_
    groups = [weights[~noise_mask], weights[noise_mask]]
    right.hist(
        groups,
        bins=np.linspace(0, weights.max(), 16),
        weights=[np.full(len(group), 1 / len(group)) for group in groups],
        color=[BLUE, ORANGE],
        label=[f"right label ({len(groups[0])} rows)", f"wrong label ({len(groups[1])} rows)"],
    )
    right.set(xlabel="weight of the given label when last seen", ylabel="share of these rows")
    right.set_title("What weights GDW gave to the labels")
    right.legend(loc="upper left", frameon=False)

    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(PICTURE, dpi=150)


def main():
    """Train in all three ways, print the table, draw the picture."""
    torch.set_num_threads(1)  # networks this small lose more to threads than they gain
    train, meta, test, noise_mask = make_data()
    with timed("plain training"):
        plain = GDWClassifier(
            weighting="uniform", callbacks=[Progress(*test)], random_state=SEED, verbose=0
        ).fit(*train)
    with timed("with fine-tuning"):
        tuned = GDWClassifier(weighting="uniform", fine_tune=True, random_state=SEED, verbose=0)
        tuned.fit(*train, *meta)
    with timed("GDW"):
        gdw = GDWClassifier(callbacks=[Progress(*test)], random_state=SEED, verbose=0)
        gdw.fit(*train, *meta)

    rows = [
        measure("plain training", plain, *test),
        measure("stopped early, fine-tuned", tuned, *test),
        measure("GDW", gdw, *test),
    ]
    print(f"\n{'':26} {'accuracy':>10} {'balanced accuracy':>19}")
    for name, accuracy, balanced in rows:
        print(f"{name:26} {accuracy:10.1%} {balanced:19.1%}")

    draw(plain, gdw, rows[1][1], noise_mask)
    print(
        f"\n{PICTURE} shows accuracies over the epochs and the weights of right and wrong labels."
    )


if __name__ == "__main__":
    main()
