"""Choosing meta_lr by noisy folds and by trusted rows: letter, pair-flip noise at 40 %.

Each candidate is scored by 3-fold cross-validation on the noisy labels, and on trusted rows of its
own; both choices are refitted on all training rows and scored on test rows, beside every fixed
value. Writes one JSON line a seed into --out and skips those that are there already.

usage: bench_selection.py [--data DIR] [--seeds N] [--out FILE]
"""

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
import torch
from bench_defaults import load, split
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold

from skgdw import GDWClassifier
from skgdw.corruption import LabelNoise
from skgdw.exceptions import MetaOverlapWarning
from skgdw.model_selection import split_meta, trusted_scorer

META_LRS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
NOISE_RATE = 0.4
CLEAN_ROWS = 260  # ten a class


def run(seed, folder):
    """Return what both ways of scoring choose, and what each value gives on test rows."""
    X, y, X_meta, y_meta, X_test, y_test = split(*load("letter", folder), seed)
    X, y, X_clean, y_clean = split_meta(X, y, CLEAN_ROWS, random_state=seed)
    noise = LabelNoise(kind="pair", noise_rate=NOISE_RATE, random_state=np.random.RandomState(seed))
    X, y = noise.fit_resample(X, y)
    net = GDWClassifier(weighting="class", random_state=seed, verbose=0)
    meta = {"X_meta": (X_meta,), "y_meta": (y_meta,)}
    folds = StratifiedKFold(3, shuffle=True, random_state=seed)
    scoring = {"noisy": "accuracy", "trusted": trusted_scorer(X_clean, y_clean, "accuracy")}
    search = GridSearchCV(
        net, {"meta_lr": META_LRS}, scoring=scoring, refit=False, cv=folds, error_score="raise"
    ).fit(X, y, **meta)
    result = {"seed": seed}
    for name in scoring:
        scores = search.cv_results_[f"mean_test_{name}"]
        result[name] = [round(100 * float(score), 2) for score in scores]
        result[f"by_{name}"] = META_LRS[int(np.argmax(scores))]
    result["test"] = []
    for meta_lr in META_LRS:
        net.set_params(meta_lr=meta_lr).fit(X, y, X_meta, y_meta)
        result["test"].append(round(100 * accuracy_score(y_test, net.predict(X_test)), 2))
    return result


def table(rows):
    """Print the scores of each value and what was chosen, means over the seeds."""
    print("letter, pair 40 %; accuracy in %, mean ± standard deviation over seeds")
    print(f"{'meta_lr':>8}{'noisy folds':>16}{'trusted rows':>16}{'test rows':>16}")
    for i, meta_lr in enumerate(META_LRS):
        cells = [[row[key][i] for row in rows] for key in ("noisy", "trusted", "test")]
        print(f"{meta_lr:8}" + "".join(f"{np.mean(c):10.1f} ± {np.std(c):3.1f}" for c in cells))
    for name in ("noisy", "trusted"):
        chosen = [row[f"by_{name}"] for row in rows]
        test = [row["test"][META_LRS.index(c)] for row, c in zip(rows, chosen, strict=True)]
        print(f"chosen by {name}: {chosen}, test {np.mean(test):.1f} ± {np.std(test):.1f}")


def main():
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path())
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("bench_selection.jsonl"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", MetaOverlapWarning)  # whole numbers make equal rows
    args.out.touch()
    rows = [json.loads(line) for line in args.out.read_text().splitlines()]
    for seed in range(args.seeds):
        if seed not in {row["seed"] for row in rows}:
            rows.append(run(seed, args.data))
            print(rows[-1], flush=True)
            with args.out.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
    table(rows)


if __name__ == "__main__":
    main()
