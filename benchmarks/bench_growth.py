"""How the cost of a step grows: rows a batch, columns, classes, parameters, meta batch.

Random tables, an MLP, the median over the steps of fits that take turns; one quantity at a time
is varied. Prints a table of milliseconds and ratios to plain skorch at the same sizes, and a JSON
line.

usage: bench_growth.py [--rounds N] [--steps N] [--threads N]
"""

import argparse
import json
import warnings

import numpy as np
import torch
from bench_step import SGD, StepTimes
from machine import describe
from skorch import NeuralNetClassifier

from skgdw import GDWClassifier
from skgdw.exceptions import SkgdwWarning
from skgdw.modules import MLP

BASE = {"rows": 128, "columns": 20, "classes": 10, "width": 128, "meta rows": 128}
VARIED = {
    "rows": (32, 128, 512, 2048),
    "columns": (20, 200, 2000),
    "classes": (10, 100, 1000),
    "width": (32, 128, 512, 1024),
    "meta rows": (16, 128, 512),
}


def table(n, sizes, seed):
    """Return random rows and labels with every class among them as far as n goes."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, sizes["columns"])).astype(np.float32)
    return X, np.arange(n) % sizes["classes"]


def step_times(sizes, steps, *, weighted):
    """Return the times of the steps of one short fit."""
    X, y = table(sizes["rows"] * steps, sizes, 0)
    times = StepTimes("cpu")
    shape = {
        "module__n_features": sizes["columns"],
        "module__n_classes": sizes["classes"],
        "module__hidden": (sizes["width"], sizes["width"]),
    }
    common = {
        "batch_size": sizes["rows"],
        "max_epochs": 1,
        "verbose": 0,
        "callbacks": [times],
        **SGD,
        **shape,
    }
    if weighted:
        classes = np.arange(sizes["classes"])
        net = GDWClassifier(
            MLP,
            weighting="class",
            iterator_meta__batch_size=sizes["meta rows"],
            classes=classes,
            random_state=0,
            **common,
        )
        net.fit(X, y, *table(max(2 * sizes["meta rows"], 1000), sizes, 1))
    else:
        net = NeuralNetClassifier(
            MLP,
            criterion=torch.nn.CrossEntropyLoss,
            train_split=None,
            iterator_train__shuffle=True,
            **common,
        )
        net.fit(X, y)
    return np.diff(times.ends_)[1:]


def main():
    """Vary one quantity at a time and print medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    warnings.simplefilter("ignore", SkgdwWarning)
    warnings.filterwarnings("ignore", message="The number of unique classes")
    print(f"MLP {BASE}, {describe(args.threads)}")
    print(f"{'varied':12}{'value':>7}{'plain ms':>10}{'GDW ms':>9}{'ratio':>7}")
    found = []
    for name, values in VARIED.items():
        for value in values:
            sizes = {**BASE, name: value}
            times = {weighted: [] for weighted in (False, True)}
            for _ in range(args.rounds):
                for weighted, seen in times.items():
                    seen.extend(step_times(sizes, args.steps, weighted=weighted))
            plain, own = (1e3 * float(np.median(seen)) for seen in times.values())
            print(f"{name:12}{value:7}{plain:10.2f}{own:9.2f}{own / plain:7.2f}", flush=True)
            found.append({"varied": name, "value": value, "plain_ms": plain, "gdw_ms": own})
    print(json.dumps({"bench": "growth", "rows": found}))


if __name__ == "__main__":
    main()
