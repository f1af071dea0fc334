"""What the fast settings cost in accuracy: Fashion-MNIST, uniform noise at 60 %.

A small convolutional net on 20000 noisy rows and 500 trusted ones. Writes one JSON line for each
method and seed into --out and skips those that are there already, then prints the table.

usage: bench_fast.py [--data DIR] [--seeds N] [--epochs N] [--out FILE] [--methods METHOD ...]

DIR holds fashion-mnist.npz (X, y, X_test, y_test).
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from baselines import plain, stop_and_fine_tune, weighted
from torch import nn

from skgdw.corruption import LabelNoise
from skgdw.model_selection import split_meta

# What the user guide calls fast.
FAST = {"meta_every": 10, "iterator_meta__batch_size": 50}
METHODS = {
    "plain": plain,
    "stopped early, fine-tuned": stop_and_fine_tune,
    "GDW": weighted("class"),
    "GDW, fast": weighted("class", **FAST),
    "GDW, fast, difference": weighted("class", **FAST, meta_gradient="difference"),
}


class SmallNet(nn.Sequential):
    """Two convolutions and two layers behind them."""

    def __init__(self):
        super().__init__(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * 49, 64),
            nn.ReLU(),
            nn.Linear(64, 10),
        )


def run(method, seed, folder, epochs):
    """Return one row of results."""
    with np.load(folder / "fashion-mnist.npz") as arrays:
        images = {name: arrays[name] for name in arrays}
    rows = np.random.RandomState(seed).permutation(len(images["y"]))[:20500]
    X = images["X"][rows, None].astype(np.float32) / 255
    X_test = images["X_test"][:, None].astype(np.float32) / 255
    X, y, X_meta, y_meta = split_meta(X, images["y"][rows].astype(int), 500, random_state=seed)
    X, y = LabelNoise(noise_rate=0.6, random_state=np.random.RandomState(seed)).fit_resample(X, y)
    start = time.perf_counter()
    params = {"module": SmallNet, "lr": 0.05, "max_epochs": epochs, "random_state": seed}
    net = METHODS[method](X, y, X_meta, y_meta, **params)
    seconds = time.perf_counter() - start
    accuracy = float((net.predict(X_test) == images["y_test"]).mean())
    return {"method": method, "seed": seed, "test": 100 * accuracy, "seconds": seconds}


def main():
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path())
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--out", type=Path, default=Path("bench_fast.jsonl"))
    parser.add_argument("--methods", nargs="+", default=list(METHODS), metavar="METHOD")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.touch()
    rows = [json.loads(line) for line in args.out.read_text().splitlines()]
    for seed in range(args.seeds):
        for method in args.methods:
            if (method, seed) in {(row["method"], row["seed"]) for row in rows}:
                continue
            rows.append(run(method, seed, args.data, args.epochs))
            print(rows[-1], flush=True)
            with args.out.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
    print("Fashion-MNIST, 60 % uniform noise, test accuracy in % over seeds, seconds of a fit")
    for method in args.methods:
        found = [row for row in rows if row["method"] == method]
        test = [row["test"] for row in found]
        seconds = np.median([row["seconds"] for row in found])
        print(f"{method:28}{np.mean(test):7.1f} ± {np.std(test):3.1f}{seconds:9.0f}")
    print(json.dumps({"bench": "fast", "rows": rows}))


if __name__ == "__main__":
    main()
