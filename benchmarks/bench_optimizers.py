"""The look-ahead beside different optimizers: SGD, Adam and AdamW, plain and weighted.

Letter with pair-flip noise at 40 %, 20 meta rows a class. The look-ahead is a plain gradient step
whatever the optimizer: of its learning rate under SGD, of 0.05 under the others.

usage: bench_optimizers.py [--data DIR] [--seeds N]

DIR holds letter.npz (X, y). Prints a table and a JSON line.
"""

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
import torch
from baselines import METHODS
from bench_defaults import load, split
from sklearn.metrics import accuracy_score

from skgdw.corruption import LabelNoise
from skgdw.exceptions import MetaOverlapWarning

OPTIMIZERS = {
    "SGD, lr 0.1": {"optimizer": torch.optim.SGD, "lr": 0.1},
    "Adam, lr 1e-3": {"optimizer": torch.optim.Adam, "lr": 1e-3},
    "AdamW, lr 1e-3": {"optimizer": torch.optim.AdamW, "lr": 1e-3},
}


def main():
    """Run every optimizer on every seed and print means."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path())
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", MetaOverlapWarning)  # whole numbers make equal rows
    found = {}
    for seed in range(args.seeds):
        X, y, X_meta, y_meta, X_test, y_test = split(*load("letter", args.data), seed)
        _, y = LabelNoise(
            kind="pair", noise_rate=0.4, random_state=np.random.RandomState(seed)
        ).fit_resample(X, y)
        for name, params in OPTIMIZERS.items():
            for method in ("plain", "GDW"):
                net = METHODS[method](X, y, X_meta, y_meta, random_state=seed, **params)
                score = 100 * accuracy_score(y_test, net.predict(X_test))
                found.setdefault(name, {}).setdefault(method, []).append(round(score, 2))
                print(f"seed {seed}, {name}, {method}: {score:.1f}", flush=True)
    print(f"\n{'letter, pair 40 %':20}{'plain':>14}{'GDW':>14}")
    for name, scores in found.items():
        cells = (f"{np.mean(s):.1f} ± {np.std(s):.1f}" for s in scores.values())
        print(f"{name:20}" + "".join(f"{cell:>14}" for cell in cells))
    print(json.dumps({"bench": "optimizers", "accuracy": found}))


if __name__ == "__main__":
    main()
