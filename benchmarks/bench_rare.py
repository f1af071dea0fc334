"""Rare classes: one fraud in a thousand rows, and 40 trusted rows.

20 frauds among 20000 training rows of 20 columns, a meta set of 20 frauds and 20 others, and 200000
test rows, one in a thousand a fraud; all drawn apart. The cells:

right    all labels are right
missed   7 of the 20 frauds are labelled "ok", and 3 of the others "fraud"
two      frauds of two kinds, on opposite sides of the others, so that no plane parts them

"plain", "logistic" and "boosting" get the trusted rows among their training rows, "trusted alone"
is logistic regression on them. "threshold" holds out 4000 training rows and 10 trusted frauds to
choose a threshold on, and leaves 30 rows to the meta set.
Writes one JSON line a cell, seed and method into --out and skips those that are there already.

usage: bench_rare.py [--seeds N] [--out FILE] [--cells CELL ...] [--methods METHOD ...] [--rst]
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    make_scorer,
    precision_score,
    recall_score,
)
from sklearn.model_selection import TunedThresholdClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skgdw import GDWClassifier

CELLS = {
    "right": "right: all labels are right",
    "missed": "missed: a third of the frauds are labelled ok, 3 of the others fraud",
    "two": "two: frauds of two kinds, all labels right",
}
SCORES = ("balanced", "recall", "precision", "average_precision")
SHARE, COLUMNS, TELLING, SHIFT = 0.001, 20, 5, 2.4


def draw(n_ok, n_fraud, rng, cell):
    """Return rows and true labels, in any order."""
    y = rng.permutation(np.repeat(["ok", "fraud"], [n_ok, n_fraud]))
    X = rng.normal(size=(len(y), COLUMNS))
    side = rng.choice([-1.0, 1.0], len(y)) if cell == "two" else 1.0
    X[:, :TELLING] += (SHIFT * side * (y == "fraud"))[:, None]
    return X.astype(np.float32), y


def data(cell, seed):
    """Return training, trusted and test rows with their labels."""
    rng = np.random.default_rng(seed)
    X, y = draw(20_000, 20, rng, cell)
    if cell == "missed":
        y[rng.choice(np.flatnonzero(y == "fraud"), 7, replace=False)] = "ok?"
        y[rng.choice(np.flatnonzero(y == "ok"), 3, replace=False)] = "fraud"
        y[y == "ok?"] = "ok"
    return (X, y.astype("<U5")), draw(20, 20, rng, cell), draw(199_800, 200, rng, cell)


def f1_at_share(y_true, y_pred, pos_label):
    """Return the F1 score where one row in a thousand is a fraud, whatever the share here."""
    fraud = y_true == pos_label
    recall = np.mean(y_pred[fraud] == pos_label)
    alarms = np.mean(y_pred[~fraud] == pos_label)
    return 2 * SHARE * recall / (SHARE * recall + (1 - SHARE) * alarms + SHARE)


def figures(model, X, y):
    """Return the scores of a fitted model."""
    predicted = model.predict(X)
    fraud = list(model.classes_).index("fraud")
    return {
        "balanced": balanced_accuracy_score(y, predicted),
        "recall": recall_score(y, predicted, pos_label="fraud"),
        "precision": precision_score(y, predicted, pos_label="fraud", zero_division=0.0),
        "average_precision": average_precision_score(
            y == "fraud", model.predict_proba(X)[:, fraud]
        ),
    }


def weighted(**params):
    def fit(train, trusted, seed):
        net = GDWClassifier(random_state=seed, verbose=0).set_params(**params)
        return net.fit(*train, *trusted)

    return fit


def plain(train, trusted, seed):
    X, y = (np.concatenate(parts) for parts in zip(train, trusted, strict=True))
    return GDWClassifier(weighting="uniform", random_state=seed, verbose=0).fit(X, y)


def threshold(train, trusted, seed, **params):
    """Choose the threshold for F1 on rows that neither train nor teach."""
    (X, y), (X_meta, y_meta) = train, trusted
    fraud = np.flatnonzero(y_meta == "fraud")
    teaches = np.ones(len(y_meta), bool)
    teaches[fraud[: len(fraud) // 2]] = False
    trains = np.random.default_rng(seed).permutation(len(y)) >= len(y) // 5
    # On this prior the probabilities near the threshold are not all next to one.
    net = GDWClassifier(class_prior="train", random_state=seed, verbose=0, **params)
    net.fit(X[trains], y[trains], X_meta[teaches], y_meta[teaches])
    held = np.concatenate([X[~trains], X_meta[~teaches]])
    held_labels = np.concatenate([y[~trains], y_meta[~teaches]])
    scoring = make_scorer(f1_at_share, pos_label="fraud")
    tuned = TunedThresholdClassifierCV(net, scoring=scoring, cv="prefit", refit=False)
    return tuned.fit(held, held_labels)


def on_all(model):
    def fit(train, trusted, seed):
        X, y = (np.concatenate(parts) for parts in zip(train, trusted, strict=True))
        return make_pipeline(StandardScaler(), model(seed)).fit(X, y)

    return fit


def on_trusted(train, trusted, seed):
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return model.fit(*trusted)


METHODS = {
    "default": weighted(),
    "3 epochs": weighted(max_epochs=3),
    "10 epochs": weighted(max_epochs=10),
    "train prior": weighted(class_prior="train"),
    "threshold": threshold,
    "class": weighted(weighting="class"),
    "plain": plain,
    "plain, fine-tuned": weighted(weighting="uniform", fine_tune=True),
    "fine-tuned": weighted(fine_tune=True),
    "logistic": on_all(lambda seed: LogisticRegression(class_weight="balanced", max_iter=1000)),
    "boosting": on_all(
        lambda seed: HistGradientBoostingClassifier(class_weight="balanced", random_state=seed)
    ),
    "trusted alone": on_trusted,
    # Single changes of the defaults.
    "meta_weight=2": weighted(meta_weight=2.0),
    "batch_size=512": weighted(batch_size=512),
    "warm_up=0.3": weighted(weighting__warm_up=0.3),
    "meta_every=1": weighted(meta_every=1),
    "keep_best": weighted(keep_best=True),
}


def run(cell, seed, method):
    """Return one row of results."""
    train, trusted, test = data(cell, seed)
    found = figures(METHODS[method](train, trusted, seed), *test)
    scores = {name: round(float(score), 4) for name, score in found.items()}
    return {"cell": cell, "method": method, "seed": seed, **scores}


def summary(rows):
    """Yield each cell and, by method, means and standard deviations in % over the seeds."""
    for cell in CELLS:
        here = [row for row in rows if row["cell"] == cell]
        found = {}
        for method in METHODS:
            of = [row for row in here if row["method"] == method]
            if of:
                scores = [[100 * row[name] for row in of] for name in SCORES]
                found[method] = [f"{np.mean(s):.1f} ± {np.std(s):.1f}" for s in scores]
        if found:
            yield cell, found


def table(rows):
    """Print the scores of each method."""
    for cell, found in summary(rows):
        print(f"\n{cell:18}" + "".join(f"{name:>19}" for name in SCORES))
        for method, cells in found.items():
            print(f"{method:18}" + "".join(f"{text:>19}" for text in cells))


def tables_of_the_page(rows):
    """Return the tables as the documentation has them."""
    lines = []
    for cell, found in summary(rows):
        lines += [f".. list-table:: {CELLS[cell]}", "   :header-rows: 1", ""]
        names = ["method", *(name.replace("_", " ") for name in SCORES)]
        for method, cells in {names[0]: names[1:], **found}.items():
            lines += [f"   * - {method}", *(f"     - {text}" for text in cells)]
        lines.append("")
    return "\n".join(lines)


def main():
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("bench_rare.jsonl"))
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=list(CELLS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--rst", action="store_true", help="print the tables of the page")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.touch()
    rows = [json.loads(line) for line in args.out.read_text().splitlines()]
    done = {(row["cell"], row["seed"], row["method"]) for row in rows}
    for method in args.methods:
        for cell in args.cells:
            for seed in range(args.seeds):
                if (cell, seed, method) not in done:
                    rows.append(run(cell, seed, method))
                    with args.out.open("a") as file:
                        file.write(json.dumps(rows[-1]) + "\n")
    print(tables_of_the_page(rows)) if args.rst else table(rows)


if __name__ == "__main__":
    main()
