"""What a whole fit, a prediction and a search cost beside plain skorch, in the same run.

Letter, MLP 16-128-128-26, batch 128: plain skorch on the same network against GDWClassifier.
Variants take turns; medians count. Prints a table with the bar of each row and a JSON line.

usage: bench_fit.py [--data DIR] [--rounds N] [--epochs N] [--threads N]

DIR holds letter.npz (X, y); without one, random numbers of the same shape take as long.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import joblib
import numpy as np
import torch
from bench_defaults import load, split
from bench_fast import FAST
from machine import describe
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch import NeuralNetClassifier

from skgdw import GDWClassifier
from skgdw.exceptions import SkgdwWarning
from skgdw.modules import MLP

SGD = {"lr": 0.1, "optimizer__momentum": 0.9, "optimizer__weight_decay": 1e-5}
PLAIN = "plain skorch"

# Name, parameters of GDWClassifier, bar and aim as multiples of plain skorch.
VARIANTS = [
    ("class pairs (default)", {}, 1.6, 1.1),
    ("class", {"weighting": "class"}, 2.0, 1.5),
    ("class, difference", {"weighting": "class", "meta_gradient": "difference"}, None, None),
    ("class, fast", {"weighting": "class", **FAST}, 1.0, 0.8),
    ("instance", {"weighting": "instance"}, None, None),
    ("network", {"weighting": "network"}, None, None),
    ("uniform", {"weighting": "uniform"}, 0.7, 0.5),
]


def letter(folder):
    """Return training and meta rows of letter, or a table of its size."""
    if folder is None:
        rng = np.random.default_rng(0)
        X, y = rng.normal(size=(20_000, 16)).astype(np.float32), np.arange(20_000) % 26
    else:
        X, y = load("letter", folder)
    return split(X, y, 0)[:4]


def clock(action):
    """Return the seconds an action takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def skorch_net(n_features, n_classes, **params):
    """Return plain skorch on our MLP."""
    return NeuralNetClassifier(
        MLP,
        module__n_features=n_features,
        module__n_classes=n_classes,
        criterion=torch.nn.CrossEntropyLoss,
        batch_size=128,
        train_split=None,
        iterator_train__shuffle=True,
        verbose=0,
        **{**SGD, **params},
    )


def fits(args):
    """Return the median seconds of a fit of each variant."""
    X, y, X_meta, y_meta = letter(args.data)
    codes = np.unique(y, return_inverse=True)[1]

    def plain():
        skorch_net(X.shape[1], 26, max_epochs=args.epochs).fit(X, codes)

    def ours(params):
        common = {"batch_size": 128, "max_epochs": args.epochs, "verbose": 0, **SGD}
        GDWClassifier(random_state=0, **common, **params).fit(X, y, X_meta, y_meta)

    actions = {PLAIN: plain} | {name: lambda p=p: ours(p) for name, p, *_ in VARIANTS}
    times = {name: [] for name in actions}
    for k in range(args.rounds + 1):
        for name, action in actions.items():
            seconds = clock(action)
            if k:  # the first round warms up
                times[name].append(seconds)
    return {name: float(np.median(found)) for name, found in times.items()}


def predictions(args):
    """Return the median seconds of predict_proba on 100000 rows of 50 columns."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100_000, 50)).astype(np.float32)
    few, codes = X[:1000], np.arange(1000) % 26
    plain = skorch_net(50, 26, max_epochs=1).fit(few, codes)
    ours = GDWClassifier(weighting="uniform", max_epochs=1, verbose=0).fit(few, codes)
    times = [
        [clock(lambda net=net: net.predict_proba(X)) for net in (plain, ours)]
        for _ in range(args.rounds)
    ]
    return np.median(times, axis=0).tolist()


def searches(args):
    """Return the median seconds of a search of eight candidates, serial and by two processes."""
    X, y, X_meta, y_meta = letter(args.data)
    net = GDWClassifier(max_epochs=args.epochs, random_state=0, verbose=0)
    search = GridSearchCV(net, {"meta_lr": np.geomspace(0.01, 1, 8)}, cv=2, refit=False)

    def run(n_jobs):
        with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
            own = clone(search).set_params(n_jobs=n_jobs)
            own.fit(X, y, X_meta=(X_meta,), y_meta=(y_meta,))

    run(2)  # starts the workers
    torch.set_num_threads(1)
    times = [[clock(lambda n=n: run(n)) for n in (1, 2)] for _ in range(args.rounds)]
    torch.set_num_threads(args.threads)
    return np.median(times, axis=0).tolist()


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    warnings.simplefilter("ignore", SkgdwWarning)
    median = fits(args)
    bars = {name: (bar, aim) for name, _, bar, aim in VARIANTS}
    rows = [
        (f"fit, {name}", seconds, seconds / median[PLAIN], *bars.get(name, (None, None)))
        for name, seconds in median.items()
    ]
    theirs, own = predictions(args)
    rows.append(("predict_proba, skorch", theirs, 1.0, None, None))
    rows.append(("predict_proba", own, own / theirs, 1.0, 0.5))
    serial, parallel = searches(args)
    rows.append(("search, serial", serial, 1.0, None, None))
    rows.append(("search, n_jobs=2", parallel, parallel / serial, 0.6, 0.55))
    name = "random table of letter's size" if args.data is None else "letter"
    print(f"{name}, {args.epochs} epochs, {describe(args.threads)}")
    print(f"{'':26}{'s':>9}{'ratio':>8}{'bar':>6}{'aim':>6}")
    for name, seconds, ratio, *limits in rows:
        cells = "".join(f"{'' if value is None else value:>6}" for value in limits)
        print(f"{name:26}{seconds:9.3f}{ratio:8.2f}{cells}")
    print(json.dumps({"bench": "fit", "rows": {name: seconds for name, seconds, *_ in rows}}))


if __name__ == "__main__":
    main()
