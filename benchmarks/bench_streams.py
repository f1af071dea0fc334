"""How well a network learns from rows that come in many small calls of partial_fit.

Calls go through the rows of a cell four times, in batches of 250 or 1000 rows, each with the whole
meta set and for one epoch; judged on clean rows held out of the training rows.

usage: bench_streams.py [--data DIR] [--seeds SEED ...] [--cells CELL ...]
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
from accuracy_cells import CELLS, make_rows
from sklearn.metrics import accuracy_score

from skgdw import GDWClassifier
from skgdw.exceptions import SkgdwWarning

CELLS_SHOWN = ("letter/clean", "letter/uniform40", "letter/pair40", "digits/clean", "digits/pair40")
ROWS_A_CALL, ROUNDS = (250, 1000), 4
SETTINGS = {
    "class pairs": {},
    "class pairs, lr=0.03": {"lr": 0.03},
    "GDW (paper), lr=0.03": {"weighting": "class", "lr": 0.03},
    "plain, lr=0.03": {"weighting": "uniform", "lr": 0.03},
}


def score(rows, cell, seed, size, params):
    """Return the accuracy in % after the last call."""
    own = {k: v for k, v in cell.family.params.items() if k not in ("max_epochs", "lr")}
    net = GDWClassifier(max_epochs=1, random_state=seed, verbose=0, **{**own, **params})
    beside = {"X_meta": rows.X_meta, "y_meta": rows.y_meta}
    if params.get("weighting") == "uniform":
        beside = {}
    order = np.random.RandomState(seed).permutation(len(rows.y))
    for _ in range(ROUNDS):
        for start in range(0, len(order) - size + 1, size):
            part = order[start : start + size]
            net.partial_fit(rows.X[part], rows.y[part], classes=range(rows.n_classes), **beside)
    return 100 * accuracy_score(rows.y_judged, net.predict(rows.X_judged))


def main(argv=None):
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--cells", nargs="+", default=CELLS_SHOWN, choices=list(CELLS))
    args = parser.parse_args(argv)
    warnings.simplefilter("ignore", SkgdwWarning)
    print(f"{'accuracy in %':<40}" + "".join(f"{size:>14} rows" for size in ROWS_A_CALL))
    for name in args.cells:
        for label, params in SETTINGS.items():
            shown = ""
            for size in ROWS_A_CALL:
                if size > len(make_rows(CELLS[name], 0, "held-out", args.data).y):
                    continue
                found = [
                    score(
                        make_rows(CELLS[name], seed, "held-out", args.data),
                        CELLS[name],
                        seed,
                        size,
                        params,
                    )
                    for seed in args.seeds
                ]
                shown += f"{np.mean(found):>12.1f} ± {np.std(found, ddof=1):.1f}"
            print(f"{name + ', ' + label:<40}{shown}", flush=True)


if __name__ == "__main__":
    main()
