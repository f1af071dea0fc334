"""Handwritten digits with wrong labels and uneven classes, learnt in four ways.

Run it with ``make demo``. Nothing is downloaded: the digits come with scikit-learn. For labels that
are wrong at random, and for labels that are mistaken for the next digit, it prints a table of test
accuracies; of the first it draws ``quickstart.png`` in the current folder.

1. Class pairs, the default: at every fifth step the meta set teaches how given labels come of true
   ones, and the training rows are trained towards their corrected labels.
2. The baseline to beat, ``fine_tune=True``. Plain training, stopped early: the network of the
   epoch that does best on the meta set. Then this network fine-tuned on the meta set, at a small
   learning rate chosen by cross-validation within the meta set.
3. The paper's GDW, whose weights can take labels out but not correct them.
4. Plain training on the corrupted rows.

All see the same corrupted rows, and all but the last the same small meta set. The test rows choose
nothing: they make the tables and the curves of the picture.
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
ORANGE, BLUE, GREEN, GREY = "#E69F00", "#0072B2", "#009E73", "#555555"


class Progress(Callback):
    """Show how far training is, and note the test accuracy of each epoch for the picture."""

    def __init__(self, X_test, y_test):
        self.X_test, self.y_test = X_test, y_test

    def on_epoch_end(self, net, **kwargs):
        """Print a dot, or every fifth time the number of the epoch."""
        net.history.record("test_accuracy", net.score(self.X_test, self.y_test))
        epoch = len(net.history)
        print(epoch if epoch % 5 == 0 else ".", end="", flush=True)


def make_data(kind):
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
    imbalance = ClassImbalance(imbalance_ratio=10, random_state=np.random.RandomState(SEED))
    X, y = imbalance.fit_resample(X, y)
    noise = LabelNoise(kind=kind, noise_rate=0.4, random_state=np.random.RandomState(SEED))
    X, y = noise.fit_resample(X, y)
    sizes = imbalance.sampling_strategy_.values()
    print(
        f"{kind} noise: {len(y)} training rows in classes of {max(sizes)} down to {min(sizes)}, "
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


def compare(kind):
    """Train in all four ways, print the table; return what the picture shows."""
    train, meta, test, noise_mask = make_data(kind)
    common = {"random_state": SEED, "verbose": 0}
    with timed("class pairs"):
        pairs = GDWClassifier(callbacks=[Progress(*test)], **common).fit(*train, *meta)
    with timed("with fine-tuning"):
        tuned = GDWClassifier(weighting="uniform", fine_tune=True, **common).fit(*train, *meta)
    with timed("GDW (paper)"):
        paper = GDWClassifier(weighting="class", callbacks=[Progress(*test)], **common)
        paper.fit(*train, *meta)
    with timed("plain training"):
        plain = GDWClassifier(weighting="uniform", callbacks=[Progress(*test)], **common)
        plain.fit(*train)

    rows = [
        measure("class pairs", pairs, *test),
        measure("stopped early, fine-tuned", tuned, *test),
        measure("GDW (paper)", paper, *test),
        measure("plain training", plain, *test),
    ]
    print(f"\n{kind + ' noise':26} {'accuracy':>10} {'balanced accuracy':>19}")
    for name, accuracy, balanced in rows:
        print(f"{name:26} {accuracy:10.1%} {balanced:19.1%}")
    found, true = pairs.noise_rate_, noise_mask.mean()
    print(f"\nwrong labels: {true:.0%}; class pairs take {found:.0%} to be wrong\n")
    return {"plain": plain, "paper": paper, "pairs": pairs}, rows[1][1], noise_mask


def draw(fitted, tuned_accuracy, noise_mask):
    """Draw the accuracy over the epochs, and the weights that class pairs gave to the labels."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)

    left.axhline(tuned_accuracy, color=GREY, linestyle="--", label="stopped early, fine-tuned")
    for name, label, color in (
        ("pairs", "class pairs", BLUE),
        ("paper", "GDW (paper)", GREEN),
        ("plain", "plain training", ORANGE),
    ):
        accuracy = fitted[name].history[:, "test_accuracy"]
        left.plot(np.arange(1, len(accuracy) + 1), accuracy, color=color, label=label)
    left.set(xlabel="epoch", ylabel="accuracy on clean test rows", ylim=(0, 1), xlim=(1, None))
    left.set_title("Plain training learns the wrong labels too")
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.legend(loc="lower right", frameon=False)

    weights = fitted["pairs"].row_weights_
    groups = [weights[~noise_mask], weights[noise_mask]]
    right.hist(
        groups,
        bins=np.linspace(0, weights.max(), 16),
        weights=[np.full(len(group), 1 / len(group)) for group in groups],
        color=[BLUE, ORANGE],
        label=[f"right label ({len(groups[0])} rows)", f"wrong label ({len(groups[1])} rows)"],
    )
    right.set(xlabel="weight of the given label when last seen", ylabel="share of these rows")
    right.set_title("What weights class pairs gave to the labels")
    right.legend(loc="upper center", frameon=False)

    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(PICTURE, dpi=150)


def main():
    """Compare under both noises, and draw the picture of the first."""
    torch.set_num_threads(1)  # networks this small lose more to threads than they gain
    draw(*compare("uniform"))
    compare("pair")
    print(f"{PICTURE} shows accuracies over the epochs and the weights of right and wrong labels.")


if __name__ == "__main__":
    main()
