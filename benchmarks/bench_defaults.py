"""What the defaults give on tables and small images, beside simple baselines.

Writes one JSON line for each (data set, noise, method, seed) into --out and skips those that are
there already, so that a stopped run goes on; then prints the table of means.

usage: bench_defaults.py [NAME ...] [--data DIR] [--seeds N] [--out FILE] [--methods METHOD ...]
                         [--noises NOISE ...]

DIR holds letter.npz and shuttle.npz (X, y); digits come with scikit-learn.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from baselines import METHODS
from sklearn.datasets import load_digits
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skgdw.corruption import LabelNoise
from skgdw.exceptions import MetaClassWarning, MetaOverlapWarning

NOISES = ("none", "uniform", "pair")
META_ROWS = 20
SCIKIT = "MLPClassifier, scaled"


def load(name, folder):
    """Return rows and labels; digits as images."""
    if name == "digits":
        digits = load_digits()
        return digits.images[:, None].astype(np.float32), digits.target
    with np.load(folder / f"{name}.npz") as arrays:
        return arrays["X"].astype(np.float32), arrays["y"]


def split(X, y, seed):
    """Return disjoint training, meta and test rows; a class gives at most half to the meta set."""
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.25, random_state=seed, stratify=y)
    draw = np.random.RandomState(seed)
    meta = np.concatenate(
        [
            draw.permutation(np.flatnonzero(y == label))[: min(META_ROWS, (y == label).sum() // 2)]
            for label in np.unique(y)
        ]
    )
    rest = np.setdiff1d(np.arange(len(y)), meta)
    return X[rest], y[rest], X[meta], y[meta], X_test, y_test


def scikit(X, y, X_meta, y_meta, *, random_state):
    """Fit scikit-learn's network on all rows, meta rows included."""
    X, y = np.concatenate([X, X_meta]), np.concatenate([y, y_meta])
    flat = X.reshape(len(X), -1)
    return make_pipeline(StandardScaler(), MLPClassifier(random_state=random_state)).fit(flat, y)


def run(name, noise, method, seed, folder):
    """Return one row of results."""
    X, y, X_meta, y_meta, X_test, y_test = split(*load(name, folder), seed)
    if noise != "none":
        _, y = LabelNoise(
            kind=noise, noise_rate=0.4, random_state=np.random.RandomState(seed)
        ).fit_resample(X, y)
    start = time.perf_counter()
    train = scikit if method == SCIKIT else METHODS[method]
    fitted = train(X, y, X_meta, y_meta, random_state=seed)
    seconds = time.perf_counter() - start
    predicted = fitted.predict(X_test.reshape(len(X_test), -1) if method == SCIKIT else X_test)
    return {
        "data": name,
        "noise": noise,
        "method": method,
        "seed": seed,
        "accuracy": round(100 * accuracy_score(y_test, predicted), 2),
        "balanced": round(100 * balanced_accuracy_score(y_test, predicted), 2),
        "seconds": round(seconds, 1),
    }


def table(rows, names):
    """Print mean and standard deviation over the seeds."""
    for name in names:
        metric = "balanced" if name == "shuttle" else "accuracy"
        print(f"\n{name}, test {metric} (mean ± standard deviation over seeds), %")
        print(f"{'method':28}" + "".join(f"{noise:>16}" for noise in NOISES))
        for method in [SCIKIT, *METHODS]:
            cells = []
            for noise in NOISES:
                key = (name, noise, method)
                found = [r[metric] for r in rows if (r["data"], r["noise"], r["method"]) == key]
                cells.append(f"{np.mean(found):.1f} ± {np.std(found):.1f}" if found else "-")
            print(f"{method:28}" + "".join(f"{cell:>16}" for cell in cells))


def main():
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", default=["digits", "letter", "shuttle"])
    parser.add_argument("--data", type=Path, default=Path())
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=[SCIKIT, *METHODS], metavar="METHOD")
    parser.add_argument("--noises", nargs="+", default=NOISES, choices=NOISES)
    parser.add_argument("--out", type=Path, default=Path("bench_defaults.jsonl"))
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    # Shuttle's rarest classes give fewer meta rows, and whole numbers make equal rows.
    warnings.simplefilter("ignore", MetaClassWarning)
    warnings.simplefilter("ignore", MetaOverlapWarning)
    args.out.touch()
    rows = [json.loads(line) for line in args.out.read_text().splitlines()]
    done = {(r["data"], r["noise"], r["method"], r["seed"]) for r in rows}
    for name in args.names:
        for seed in range(args.seeds):
            for noise in args.noises:
                for method in args.methods:
                    is_done = (name, noise, method, seed) in done
                    if is_done or (method == SCIKIT and noise != "none"):
                        continue
                    rows.append(run(name, noise, method, seed, args.data))
                    print(rows[-1], flush=True)
                    with args.out.open("a") as file:
                        file.write(json.dumps(rows[-1]) + "\n")
    table(rows, args.names)


if __name__ == "__main__":
    main()
